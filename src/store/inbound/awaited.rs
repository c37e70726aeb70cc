//! Messages that came and cannot be read yet: each keeps its place in its lane.

use sqlx::{Row, query};

use super::commit::Commit;
use super::{Accepted, Arrival};
use crate::ids::ConversationId;
use crate::inbound::disposition::Awaited;
use crate::store::connections::Tx;
use crate::store::jobs::lane;
use crate::store::missing::{Note, Place};
use crate::store::{Ledger, Result, stored};

/// A message that was missing and is here.
pub(super) struct Recovered {
    conversation: Option<ConversationId>,
    order: Option<i64>,
    held_until: i64,
}

impl Commit<'_> {
    /// Notes that the message of `arrival` is awaited, and what order its job is to have.
    pub(super) async fn keep_place(
        &mut self,
        tx: &mut Tx,
        arrival: &Arrival,
        awaited: &Awaited,
    ) -> Result<Accepted> {
        let conversation = self.conversation(tx, &arrival.inbound).await?;
        let note = Note {
            chat: &awaited.chat,
            sender: &awaited.sender,
            message_id: &arrival.identity.id,
            kind: Ledger::Undecryptable,
            due_in: awaited.ask_in,
            place: Some(Place {
                conversation: &conversation,
                order: self.fence.next_order(),
                hold: awaited.hold,
            }),
        };
        note.insert(tx, self.fence.account()).await?;
        self.expects_missing = true;
        Ok(Accepted::Awaited)
    }

    /// The message is here: it is awaited no more. `None`: it was not.
    pub(super) async fn settle_missing(
        &mut self,
        tx: &mut Tx,
        message_id: &str,
    ) -> Result<Option<Recovered>> {
        if !self.expects_missing {
            return Ok(None);
        }
        let rows = query(
            "UPDATE missing SET outcome = 'recovered'
             WHERE account_id = $1 AND message_id = $2 AND outcome IS NULL
             RETURNING conv, ord, held_until",
        )
        .bind(self.fence.account().as_str())
        .bind(stored(message_id))
        .fetch_all(tx)
        .await?;
        let mut recovered = None;
        for row in &rows {
            let conversation: Option<String> = row.try_get("conv")?;
            let conversation = conversation.map(ConversationId);
            self.relieved.extend(conversation.clone());
            recovered = Some(Recovered {
                conversation,
                order: row.try_get("ord")?,
                held_until: row.try_get("held_until")?,
            });
        }
        Ok(recovered)
    }

    /// The order that was kept for a message, while its lane has waited for it: afterwards its place is
    /// the end, like any other's.
    pub(super) fn kept_order(
        &self,
        recovered: &Recovered,
        conversation: &ConversationId,
    ) -> Option<i64> {
        let waited = recovered.held_until > self.now
            && recovered.conversation.as_ref() == Some(conversation);
        recovered.order.filter(|_| waited)
    }

    /// Lanes with new work, and lanes that waited for what has come: whether any may be claimed.
    pub(super) async fn wake_lanes(&self, tx: &mut Tx) -> Result<bool> {
        let mut any = false;
        for conversation in &self.ready {
            any |= lane::wake(tx, conversation, self.fence.account(), self.now).await?;
        }
        for conversation in &self.relieved {
            any |= lane::relieve(tx, conversation, self.now).await?;
        }
        Ok(any)
    }
}
