//! Older messages that the phone sends along with a link: recorded, never queued. A live copy of one
//! of them is then seen as the same message.

use std::sync::Arc;

use wacore::types::events::LazyHistorySync;
use wacore::types::message::{MessageInfo, MessageSource};
use wacore_binary::{Jid as WireJid, JidExt};
use waproto::whatsapp as wa;
use whatsapp_rust::Client;

use super::SessionContext;
use super::decode;
use super::hook::{complete, own_party};
use crate::inbound::message::{Chat, Inbound, Party};

/// Messages in one commit.
const TOGETHER: usize = 200;

/// Records the messages of one piece of history.
///
/// # Errors
/// The piece cannot be read, or the intake is closed.
pub(super) async fn record(
    context: &SessionContext,
    client: &Arc<Client>,
    history: &LazyHistorySync,
) -> anyhow::Result<usize> {
    let us = own_party(client);
    let mut recorded = 0;
    let mut together = Vec::new();
    let Some(history) = history.get() else {
        anyhow::bail!("a piece of history could not be read");
    };
    for conversation in &history.conversations {
        for item in &conversation.messages {
            let Some(mut inbound) = item
                .message
                .as_option()
                .and_then(|message| past(&conversation.id, message, &us))
            else {
                continue;
            };
            complete(client, &mut inbound.key.sender).await;
            if let Chat::Direct(peer) = &mut inbound.key.chat {
                complete(client, peer).await;
            }
            together.push(inbound);
            recorded += 1;
            if together.len() == TOGETHER {
                context.intake.record(std::mem::take(&mut together)).await?;
            }
        }
    }
    if !together.is_empty() {
        context.intake.record(together).await?;
    }
    Ok(recorded)
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
