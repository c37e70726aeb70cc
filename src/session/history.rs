//! Messages of the past that the phone sends along with a link. What becomes of them is decided by
//! [`crate::inbound::backfill`]; a live copy of one of them is then seen as the same message.
//!
//! Those of the gap between two links are committed oldest first, as they were written. Phones send
//! each conversation newest first, and may spread it over several pieces: order is kept within one.
//!
//! Known limit: the library acknowledges a piece before it is read here, and a phone sends it once. A
//! process that is killed in between has lost it.

use std::sync::Arc;

use wacore::types::events::LazyHistorySync;
use wacore::types::message::{MessageInfo, MessageSource};
use wacore_binary::{Jid as WireJid, JidExt};
use waproto::whatsapp as wa;
use whatsapp_rust::Client;

use super::SessionContext;
use super::decode;
use super::hook::{complete, own_party};
use crate::clock;
use crate::ids::Jid;
use crate::inbound::backfill::Gap;
use crate::inbound::message::{Chat, Inbound, Party};

/// Messages in one commit.
const TOGETHER: usize = 200;

/// What became of a piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// Messages of the gap between two links, and those just before it that are known.
    pub(super) of_the_gap: usize,
    /// Older ones.
    pub(super) older: usize,
}

/// Commits the messages of one piece of history.
///
/// # Errors
/// The piece cannot be read, the store does not answer, or the intake is closed.
pub(super) async fn accept(
    context: &SessionContext,
    client: &Arc<Client>,
    history: &LazyHistorySync,
) -> anyhow::Result<Told> {
    let gap = Gap {
        backfill: context.backfill,
        since_ms: context.store.known_until(&context.account).await?,
        now_ms: clock::wall_ms(),
    };
    let us = own_party(client);
    let mut told = Told::default();
    let mut older = Vec::new();
    let mut of_the_gap = Vec::new();
    let Some(history) = history.get() else {
        anyhow::bail!("a piece of history could not be read");
    };
    for conversation in &history.conversations {
        let peer = peer_of(conversation);
        for item in &conversation.messages {
            let Some(mut inbound) = item
                .message
                .as_option()
                .and_then(|message| past(&conversation.id, message, &us))
            else {
                continue;
            };
            complete(client, &mut inbound.key.sender).await;
            if let Chat::Direct(person) = &mut inbound.key.chat {
                learn(person, &peer);
                complete(client, person).await;
                if !inbound.key.from_me {
                    learn(&mut inbound.key.sender, &peer);
                }
            }
            if gap.holds(&inbound) {
                of_the_gap.push((inbound.sent_at_ms, item.msg_order_id, inbound));
                continue;
            }
            older.push(inbound);
            told.older += 1;
            if older.len() == TOGETHER {
                let together = std::mem::take(&mut older);
                context.intake.accept_past(together, &gap).await?;
            }
        }
    }
    // Those of one moment without a place of their own are in the order of phones: the newest first.
    of_the_gap.reverse();
    of_the_gap.sort_by_key(|(sent_at, place, _)| (*sent_at, *place));
    told.of_the_gap = of_the_gap.len();
    for (_, _, inbound) in of_the_gap {
        older.push(inbound);
        if older.len() == TOGETHER {
            let together = std::mem::take(&mut older);
            context.intake.accept_past(together, &gap).await?;
        }
    }
    if !older.is_empty() {
        context.intake.accept_past(older, &gap).await?;
    }
    Ok(told)
}

/// Both names of the other person of a conversation, as far as the phone tells them.
fn peer_of(conversation: &wa::Conversation) -> Party {
    let plain = |jid: &WireJid| Jid::new(jid.to_non_ad().to_string());
    let names = [
        Some(conversation.id.as_str()),
        conversation.pn_jid.as_deref(),
        conversation.lid_jid.as_deref(),
    ];
    let names: Vec<WireJid> = names
        .into_iter()
        .flatten()
        .filter_map(|name| name.parse().ok())
        .collect();
    Party {
        pn: names.iter().find(|name| name.is_pn()).map(plain),
        lid: names.iter().find(|name| name.is_lid()).map(plain),
    }
}

fn learn(person: &mut Party, known: &Party) {
    person.pn = person.pn.take().or_else(|| known.pn.clone());
    person.lid = person.lid.take().or_else(|| known.lid.clone());
}

/// A message of the past; `None` for an entry that is none (a notice, an unreadable address).
fn past(chat: &str, item: &wa::WebMessageInfo, us: &Party) -> Option<Inbound> {
    let message = item.message.as_option()?;
    let key = item.key.as_option()?;
    let chat: WireJid = chat.parse().ok()?;
    let from_me = key.from_me.unwrap_or(false);
    let author = item.participant.as_ref().or(key.participant.as_ref());
    let sender: WireJid = match (from_me, author) {
        (true, _) => us.pn.as_ref().or(us.lid.as_ref())?.as_str().parse().ok()?,
        (false, Some(author)) => author.parse().ok()?,
        (false, None) => chat.clone(),
    };
    let info = MessageInfo {
        source: MessageSource {
            is_group: chat.is_group(),
            is_from_me: from_me,
            recipient: from_me.then(|| chat.clone()),
            chat,
            sender,
            ..MessageSource::default()
        },
        id: key.id.clone()?,
        push_name: item.push_name.clone().unwrap_or_default(),
        ..MessageInfo::default()
    };
    let mut inbound = decode::inbound(message, &info, us);
    inbound.sent_at_ms = i64::try_from(item.message_timestamp.unwrap_or_default())
        .unwrap_or_default()
        .saturating_mul(1000);
    inbound.offline = true;
    Some(inbound)
}
