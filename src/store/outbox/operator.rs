//! What people do about messages: take back, try anew. Audited, and open to whoever may write: it
//! concerns messages that nobody is sending.

use sqlx::{Row, query};

use super::lane;
use super::row::odd;
use crate::ids::{AccountId, ConversationId, OutboxId};
use crate::outbound::delivery::Status;
use crate::store::columns::account_id;
use crate::store::connections::Tx;
use crate::store::{Result, Store, Topic, accounts, audit};

/// What became of the wish to take a message back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It will not be sent. After an attempt without an answer it may have been.
    Done,
    /// It does not wait any more.
    TooLate(Status),
    /// There is no such message.
    Unknown,
}

/// What became of the wish to have a message tried anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It is tried at once, under the same id, with a new round of attempts.
    Done,
    /// It is on its way, or has been sent.
    Needless(Status),
    /// What it said is erased.
    Erased,
    /// There is no such message.
    Unknown,
}

impl Store {
    /// Takes back a message that waits.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn cancel_outgoing(&self, id: &OutboxId, actor: &str) -> Result<Cancelled> {
        let mut tx = self.begin().await?;
        let Some(message) = Message::locked(&mut tx, id).await? else {
            return Ok(Cancelled::Unknown);
        };
        if message.status != Status::Pending {
            return Ok(Cancelled::TooLate(message.status));
        }
        let now = tx.now().await?;
        query("UPDATE outbox SET status = 'cancelled', updated_at = $2 WHERE outbox_id = $1")
            .bind(id.as_str())
            .bind(now)
            .execute(&mut tx)
            .await?;
        lane::unblock(&mut tx, &message.conv, id).await?;
        self.finish(tx, &message, id, actor, "outbox.cancelled")
            .await?;
        Ok(Cancelled::Done)
    }

    /// Begins a new round of attempts for a message that was given up, or whose next attempt is
    /// waited for. It keeps its place: messages behind it may have been sent before.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn retry_outgoing(&self, id: &OutboxId, actor: &str) -> Result<Retried> {
        let mut tx = self.begin().await?;
        let Some(message) = Message::locked(&mut tx, id).await? else {
            return Ok(Retried::Unknown);
        };
        match message.status {
            Status::Sending | Status::Sent => return Ok(Retried::Needless(message.status)),
            Status::Pending | Status::Failed | Status::Uncertain | Status::Cancelled => {}
        }
        if message.erased {
            return Ok(Retried::Erased);
        }
        let now = tx.now().await?;
        query(
            "UPDATE outbox SET status = 'pending', round_start = attempt_count, next_attempt_at = $2,
               updated_at = $2 WHERE outbox_id = $1",
        )
        .bind(id.as_str())
        .bind(now)
        .execute(&mut tx)
        .await?;
        lane::unblock(&mut tx, &message.conv, id).await?;
        self.finish(tx, &message, id, actor, "outbox.retried")
            .await?;
        Ok(Retried::Done)
    }

    async fn finish(
        &self,
        mut tx: Tx,
        message: &Message,
        id: &OutboxId,
        actor: &str,
        action: &str,
    ) -> Result<()> {
        lane::refresh(&mut tx, &message.conv).await?;
        let detail = format!("{}, which was {}", id.as_str(), message.status.as_str());
        let line = accounts::entry(&message.account, actor, action, &detail);
        audit::write(&mut tx, line).await?;
        self.commit_telling(tx, Some(Topic::Outbox)).await?;
        Ok(())
    }
}

struct Message {
    account: AccountId,
    conv: ConversationId,
    status: Status,
    erased: bool,
}

impl Message {
    /// Read under the lock of its lane. Conversations of one person become one: then the lane is
    /// another one before it is locked.
    async fn locked(tx: &mut Tx, id: &OutboxId) -> Result<Option<Self>> {
        let mut locked: Option<ConversationId> = None;
        loop {
            let row = query(
                "SELECT account_id, conv, status,
                   CAST(CASE WHEN content IS NULL THEN 1 ELSE 0 END AS BIGINT) AS erased
                 FROM outbox WHERE outbox_id = $1",
            )
            .bind(id.as_str())
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else { return Ok(None) };
            let conv = ConversationId(row.try_get("conv")?);
            if locked.as_ref() != Some(&conv) {
                lane::lock(tx, &conv).await?;
                locked = Some(conv);
                continue;
            }
            return Ok(Some(Self {
                account: account_id(&row, "outbox")?,
                conv,
                status: row.try_get::<&str, _>("status")?.parse().map_err(odd)?,
                erased: row.try_get::<i64, _>("erased")? == 1,
            }));
        }
    }
}
