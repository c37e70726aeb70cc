//! Mail on its way from a device's queue to its socket, and what goes wrong there on purpose.

use tokio::time::sleep;
use wacore_binary::{Node, NodeContent};

use super::{Caller, ConnectionError};
use crate::clock;
use crate::server::Server;
use crate::server::frames::StanzaWriter;
use crate::server::mailbox::{Mailbox, Outgoing, backlog_end};

/// What a fault sends where a stanza should be: no node starts like this.
const GARBAGE: &[u8] = &[0, 0xF8, 0x03, 0xFF, 0xFF];

/// Sends everything that the mailbox releases, with whatever goes wrong on the way.
pub(super) async fn deliver(
    server: &Server,
    caller: Caller<'_>,
    mailbox: Option<&Mailbox>,
    stanzas: &mut StanzaWriter,
) -> Result<(), ConnectionError> {
    let Some(mailbox) = mailbox else {
        return Ok(());
    };
    loop {
        if server.faults.current().is_deaf_to(caller.name) {
            return Ok(());
        }
        let mut batch = mailbox.take(caller.id, clock::now());
        if batch.is_empty() {
            return Ok(());
        }
        for index in 0..batch.len() {
            let fate = server.faults.fate();
            let entries_follow = matches!(batch.get(index + 1), Some(Outgoing::Entry { .. }));
            if fate.swap && entries_follow {
                batch.swap(index, index + 1);
            }
            if !fate.delay.is_zero() {
                stanzas.flush().await?;
                sleep(fate.delay).await; // justified: the delay is the fault
            }
            let mut stanza = match &batch[index] {
                Outgoing::Entry { entry, offline } => place(&entry.stanza, *offline),
                Outgoing::BacklogEnd { count } => {
                    stanzas.feed(&backlog_end(*count)).await?;
                    continue;
                }
            };
            if fate.garbage {
                stanzas.feed_bytes(GARBAGE.to_vec()).await?;
            }
            if fate.corrupt {
                corrupt(&mut stanza);
            }
            if !fate.drop {
                stanzas.feed(&stanza).await?;
            }
            if fate.duplicate {
                stanzas.feed(&stanza).await?;
            }
        }
        stanzas.flush().await?;
    }
}

fn place(stanza: &Node, offline: Option<usize>) -> Node {
    let mut stanza = stanza.clone();
    if let Some(place) = offline {
        stanza.attrs.push("offline", place);
    }
    stanza
}

/// Flips one bit in the middle of the last ciphertext.
fn corrupt(stanza: &mut Node) {
    let Some(NodeContent::Nodes(children)) = &mut stanza.content else {
        return;
    };
    let last = children.iter_mut().rev().find(|child| child.tag == "enc");
    if let Some(NodeContent::Bytes(ciphertext)) = last.and_then(|enc| enc.content.as_mut()) {
        let middle = ciphertext.len() / 2;
        if let Some(byte) = ciphertext.get_mut(middle) {
            *byte ^= 1;
        }
    }
}
