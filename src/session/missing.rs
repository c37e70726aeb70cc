//! Messages that arrived and are not there: asked for again, then told to people.
//!
//! The auth store finds them on the one path where they would be lost in silence: the library sees a
//! ciphertext that it has decrypted before, and no row of it. [`StoreLedger`] answers whether we have
//! the message, and notes durably when we do not. Those that could not be decrypted come by way of
//! [`super::arrivals`]. [`sweep`] does the asking, from a task that holds
//! none of the library's locks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth_store::{InboundId, InboundLedger, LedgerError, Missing};
use tracing::{info, warn};
use wacore_binary::builder::NodeBuilder;
use whatsapp_rust::{Client, RetryRequestOptions};

use super::SessionContext;
use crate::clock;
use crate::ids::Jid;
use crate::inbound::message::{Chat, Party};
use crate::store::{Fence, Ledger, MissingMessage, MissingNote, Store, StoreError};
use crate::telemetry::event::{self, Event};

/// After asking once, twice, three times.
const WAITS: [Duration; 3] = [
    Duration::from_mins(1),
    Duration::from_hours(1),
    Duration::from_hours(22),
];
/// For a message that cannot be decrypted: the library asks by itself at once, but without keys for a new
/// session, and a worker that dies forgets that it asked. So we ask too, with keys.
pub(super) const UNREAD: Duration = Duration::from_secs(20);
/// After asking for it once, twice; then people are told.
const UNREAD_WAITS: [Duration; 2] = [Duration::from_mins(2), Duration::from_mins(8)];
/// How many are handled in one go.
const BATCH: i64 = 20;

/// The inbox, as far as the auth store asks.
pub(super) struct StoreLedger {
    pub(super) store: Store,
    pub(super) fence: Arc<Fence>,
}

#[async_trait]
impl InboundLedger for StoreLedger {
    async fn committed(&self, message: InboundId<'_>) -> Result<bool, LedgerError> {
        self.store
            .is_committed(
                self.fence.account(),
                message.chat,
                message.sender,
                message.id,
            )
            .await
            .map_err(|error| LedgerError(Arc::new(error)))
    }

    async fn missing(&self, message: InboundId<'_>) -> Result<Missing, LedgerError> {
        let note = self
            .store
            .note_missing(
                &self.fence,
                message.chat,
                message.sender,
                message.id,
                Ledger::Lost,
                Duration::ZERO,
            )
            .await
            .map_err(|error| LedgerError(Arc::new(error)))?;
        Ok(match note {
            MissingNote::Waiting => Missing::Requested,
            MissingNote::Settled => Missing::GivenUp,
        })
    }
}

/// Asks for what is due, gives up what was asked for long enough.
///
/// # Errors
/// The store's; the next sweep goes on.
pub(super) async fn sweep(
    context: &SessionContext,
    client: &Arc<Client>,
) -> Result<(), StoreError> {
    for missing in context.store.due_missing(&context.account, BATCH).await? {
        let (waits, why) = match missing.kind {
            Ledger::Lost => (&WAITS[..], "was lost before it was stored"),
            Ledger::Undecryptable => (&UNREAD_WAITS[..], "cannot be decrypted"),
        };
        let wait = usize::try_from(missing.asked)
            .ok()
            .and_then(|asked| waits.get(asked));
        match wait {
            Some(wait) => {
                info!(account = %context.account, message = %missing.message_id, "a message {why}: asking for it again");
                let asked = ask(client, &missing.chat, &missing.sender, &missing.message_id).await;
                if let Err(error) = asked {
                    warn!(account = %context.account, %error, "asking again failed");
                }
                context
                    .store
                    .asked_missing(&context.fence, &missing, *wait)
                    .await?;
            }
            None => give_up(context, &missing).await?,
        }
    }
    Ok(())
}

async fn give_up(context: &SessionContext, missing: &MissingMessage) -> Result<(), StoreError> {
    let reason = match missing.kind {
        Ledger::Lost => "it was lost before it was stored, and no answer came to our requests",
        Ledger::Undecryptable => "it could not be decrypted for 10 minutes",
    };
    let told = context
        .store
        .give_up_missing(&context.fence, missing, &chat_of(&missing.chat), reason)
        .await?;
    if told {
        event::emit(Event::Lost {
            account: &context.account,
            message_id: &missing.message_id,
            asked: missing.asked,
        });
    }
    Ok(())
}

fn chat_of(chat: &str) -> Chat {
    let jid = Jid::new(chat);
    let plain = Jid::new(format!("{}@{}", jid.user(), jid.server()));
    match jid.server() {
        "g.us" => Chat::Group { jid },
        "newsletter" => Chat::Newsletter { jid },
        "broadcast" if jid.user() == "status" => Chat::Status,
        "broadcast" => Chat::Broadcast { jid },
        "lid" => Chat::Direct(Party {
            pn: None,
            lid: Some(plain),
        }),
        _ => Chat::Direct(Party {
            pn: Some(plain),
            lid: None,
        }),
    }
}

/// A retry receipt with keys for a stanza that we do not have any more: its addressing is enough.
pub(super) async fn ask(
    client: &Arc<Client>,
    chat: &str,
    sender: &str,
    message_id: &str,
) -> anyhow::Result<()> {
    let time = (clock::wall_ms() / 1000).to_string();
    let mut stanza = NodeBuilder::new("message")
        .attr("id", message_id)
        .attr("t", time.as_str())
        .attr("type", "text");
    let is_direct = matches!(chat_of(chat), Chat::Direct(_));
    let ours = [client.pn(), client.lid()]
        .into_iter()
        .flatten()
        .any(|jid| jid.user.as_str() == Jid::new(sender).user());
    stanza = match (is_direct, ours) {
        (true, false) => stanza.attr("from", sender),
        (true, true) => stanza.attr("from", sender).attr("recipient", chat),
        (false, _) => stanza.attr("from", chat).attr("participant", sender),
    };
    let stanza = stanza.build();
    let options = RetryRequestOptions::new().with_force_include_keys(true);
    client
        .request_message_retry(&stanza.as_node_ref(), options)
        .await?;
    Ok(())
}
