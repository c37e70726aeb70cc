//! The gate of acknowledgement: the library hands over decrypted messages and acknowledges them only
//! when this returns `Ok`.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wacore::types::events::InboundMessage;
use wacore::types::lid_pn::LidPnEntry;
use wacore_binary::Jid as WireJid;
use whatsapp_rust::{Client, InboundDurabilityHook};

use super::acquaintances::Acquaintances;
use super::arrivals::Arrivals;
use super::ballots::Ballots;
use super::decode;
use super::observer::Signal;
use super::peers::Peers;
use crate::ids::Jid;
use crate::inbound::intake::Intake;
use crate::inbound::message::{Chat, Inbound, Party};

/// How many hooks are running.
#[derive(Clone)]
pub(super) struct InFlight(Arc<watch::Sender<usize>>);

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl InFlight {
    /// Resolves when none is running.
    pub(super) async fn settled(&self) {
        let mut count = self.0.subscribe();
        // The sender is ours.
        let _ = count.wait_for(|count| *count == 0).await;
    }

    fn enter(&self) -> InFlightGuard {
        self.0.send_modify(|count| *count += 1);
        InFlightGuard(self.clone())
    }
}

struct InFlightGuard(InFlight);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// See the module.
pub(super) struct Hook {
    /// Without it nothing is taken in, and so nothing acknowledged.
    pub(super) intake: Option<Intake>,
    pub(super) in_flight: InFlight,
    /// Where what is taken in gets its order.
    pub(super) arrivals: Arrivals,
    /// Told when a commit cannot succeed any more.
    pub(super) broken: CancellationToken,
    /// Told which chats wrote, when each message is to be answered.
    pub(super) answers: Option<mpsc::UnboundedSender<Signal>>,
    /// Told whose messages can be read.
    pub(super) peers: Peers,
    /// Told who writes.
    pub(super) acquaintances: Acquaintances,
    /// Opens votes.
    pub(super) ballots: Ballots,
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    async fn on_messages(
        &self,
        client: Arc<Client>,
        batch: &[InboundMessage],
    ) -> anyhow::Result<()> {
        let Some(intake) = &self.intake else {
            anyhow::bail!("this connection takes nothing in");
        };
        let _running = self.in_flight.enter();
        for item in batch {
            self.peers.readable(&item.info.source);
        }
        let mut messages = decode_all(&client, batch).await;
        for (item, message) in batch.iter().zip(&mut messages) {
            self.ballots.open(&client, item, message).await;
        }
        for message in &messages {
            self.acquaintances.note_sender(message);
        }
        let chats = self.answers.as_ref().map(|_| chats_to_answer(&messages));
        let committed = match self.arrivals.hand_in(&client, intake, messages).await {
            Ok(committing) => committing.done().await,
            Err(error) => Err(error),
        };
        if let Err(error) = committed {
            self.broken.cancel();
            return Err(anyhow::anyhow!("{error}"));
        }
        if let Some(answers) = &self.answers {
            for chat in chats.into_iter().flatten() {
                answers.send(Signal::Answer(chat))?;
            }
        }
        Ok(())
    }
}

fn chats_to_answer(messages: &[Inbound]) -> Vec<Jid> {
    messages
        .iter()
        .filter(|message| !message.key.from_me)
        .filter_map(|message| match &message.key.chat {
            Chat::Direct(peer) => peer.lid.clone().or_else(|| peer.pn.clone()),
            Chat::Group { jid } => Some(jid.clone()),
            _ => None,
        })
        .collect()
}

/// Decodes a batch, with every address form that the library knows filled in.
pub(super) async fn decode_all(client: &Arc<Client>, batch: &[InboundMessage]) -> Vec<Inbound> {
    let us = own_party(client);
    let mut messages = Vec::with_capacity(batch.len());
    for item in batch {
        let mut inbound = decode::inbound(&item.message, &item.info, &us);
        complete(client, &mut inbound.key.sender).await;
        if let Chat::Direct(peer) = &mut inbound.key.chat {
            complete(client, peer).await;
        }
        messages.push(inbound);
    }
    messages
}

/// Our own account, in both forms.
pub(super) fn own_party(client: &Client) -> Party {
    let plain = |jid: WireJid| Jid::new(jid.to_non_ad().to_string());
    Party {
        pn: client.pn().map(plain),
        lid: client.lid().map(plain),
    }
}

/// Adds the missing form when the library has learned the mapping. A mapping that cannot be read is
/// done without: dedupe bears one form, a message that waits for a lookup would not be queued.
pub(super) async fn complete(client: &Client, party: &mut Party) {
    let known = match (&party.pn, &party.lid) {
        (Some(jid), None) | (None, Some(jid)) => jid,
        _ => return,
    };
    let Ok(wire) = known.as_str().parse::<WireJid>() else {
        return;
    };
    match client.get_lid_pn_entry(&wire).await {
        Ok(Some(LidPnEntry {
            lid, phone_number, ..
        })) => {
            party
                .pn
                .get_or_insert_with(|| Jid::new(format!("{phone_number}@s.whatsapp.net")));
            party
                .lid
                .get_or_insert_with(|| Jid::new(format!("{lid}@lid")));
        }
        Ok(None) => {}
        Err(error) => {
            warn!(person = %known, %error, "the other address of a person cannot be read")
        }
    }
}
