//! An attempt ends: known to its worker, or found by the next one.

use std::time::Duration;

use sqlx::{Row, query};

use super::claim::Dispatch;
use super::lane;
use super::row::odd;
use crate::ids::{AccountId, ConversationId, OutboxId};
use crate::outbound::delivery::{self, INTERRUPTED, Next, Outcome, Rules, Status};
use crate::store::connections::Tx;
use crate::store::{Fence, Result, Store, Topic, accounts, audit, stored};

/// What became of a message after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// As the rules say.
    Now(Next),
    /// It was settled already: by a receipt, for instance.
    Before(Status),
}

/// A message whose attempt ended with its worker or its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Its id.
    pub id: OutboxId,
    /// The id under which it was sent.
    pub message_id: String,
    /// What comes next.
    pub next: Next,
}

impl Store {
    /// The attempt `dispatch` went as `outcome` says and took `took`. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`super::super::StoreError::Fenced`], [`super::super::StoreError::Unavailable`]: unknown, repeat it.
    pub async fn settle_outgoing(
        &self,
        fence: &Fence,
        dispatch: &Dispatch,
        outcome: &Outcome,
        took: Duration,
        rules: &Rules,
    ) -> Result<Settled> {
        let mut tx = self.begin_fenced(fence).await?;
        let took = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        lane::lock(&mut tx, &dispatch.conversation).await?;
        note_attempt(&mut tx, &dispatch.id, dispatch.attempt, Some(took), outcome).await?;
        let Some(message) = Trial::read(&mut tx, &dispatch.id).await? else {
            // Its conversation was erased meanwhile.
            return Ok(Settled::Before(Status::Cancelled));
        };
        let settled = match message.status {
            Status::Sending if message.attempt == dispatch.attempt => {
                let now = tx.now().await?;
                let next = message.next(outcome, rules);
                message
                    .carry_out(&mut tx, fence, outcome, next, now, now)
                    .await?;
                Settled::Now(next)
            }
            status => Settled::Before(status),
        };
        // The account was paused then.
        let paused = matches!(settled, Settled::Now(Next::Failed { restricted: true }));
        self.commit_telling(tx, paused.then_some(Topic::Fleet))
            .await?;
        Ok(settled)
    }

    /// Settles the account's attempts whose worker or connection ended. To be called while nothing is
    /// being sent, after the receipts of the backlog: what they tell of needs no other attempt.
    ///
    /// # Errors
    /// [`super::super::StoreError::Fenced`], [`super::super::StoreError::Unavailable`]: repeat it.
    pub async fn recover_outgoing(&self, fence: &Fence, rules: &Rules) -> Result<Vec<Recovered>> {
        let mut tx = self.begin_fenced(fence).await?;
        // A claim of this holder's whose answer was lost may be still on its way to its commit.
        let alone = tx.sql("SELECT 1 FROM lease WHERE account_id = $1 {FOR UPDATE}");
        query(alone)
            .bind(fence.account().as_str())
            .execute(&mut tx)
            .await?;
        let found: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT outbox_id, message_id, conv FROM outbox
             WHERE account_id = $1 AND status = 'sending' ORDER BY conv, ord",
        )
        .bind(fence.account().as_str())
        .fetch_all(&mut tx)
        .await?;
        let now = tx.now().await?;
        let outcome = Outcome::Unanswered(INTERRUPTED);
        let mut recovered = Vec::with_capacity(found.len());
        for (id, message_id, conv) in found {
            let id = OutboxId(id);
            lane::lock(&mut tx, &ConversationId(conv)).await?;
            let Some(message) = Trial::read(&mut tx, &id).await? else {
                continue;
            };
            note_attempt(&mut tx, &id, message.attempt, None, &outcome).await?;
            let next = message.next(&outcome, rules);
            let began = message.began.min(now);
            message
                .carry_out(&mut tx, fence, &outcome, next, began, now)
                .await?;
            recovered.push(Recovered {
                id,
                message_id,
                next,
            });
        }
        tx.commit().await?;
        Ok(recovered)
    }
}

async fn note_attempt(
    tx: &mut Tx,
    id: &OutboxId,
    attempt: i64,
    took: Option<i64>,
    outcome: &Outcome,
) -> Result<()> {
    query(
        "UPDATE outbox_attempts SET duration_ms = $3, error_code = $4, error = $5
         WHERE outbox_id = $1 AND attempt = $2 AND duration_ms IS NULL AND error_code IS NULL",
    )
    .bind(id.as_str())
    .bind(attempt)
    .bind(took)
    .bind(outcome.code().map(stored))
    .bind(outcome.error().as_deref().map(stored))
    .execute(tx)
    .await?;
    Ok(())
}

/// What the rules ask about a message.
struct Trial {
    id: OutboxId,
    conv: ConversationId,
    status: Status,
    attempt: i64,
    round_start: i64,
    may_have_left: bool,
    began: i64,
}

impl Trial {
    /// `None`: it is erased.
    async fn read(tx: &mut Tx, id: &OutboxId) -> Result<Option<Self>> {
        let row = query(
            "SELECT conv, status, attempt_count, round_start, may_have_left, last_attempt_at
             FROM outbox WHERE outbox_id = $1",
        )
        .bind(id.as_str())
        .fetch_optional(tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Self {
            id: id.clone(),
            conv: ConversationId(row.try_get("conv")?),
            status: row.try_get::<&str, _>("status")?.parse().map_err(odd)?,
            attempt: row.try_get("attempt_count")?,
            round_start: row.try_get("round_start")?,
            may_have_left: row.try_get::<i64, _>("may_have_left")? == 1,
            began: row
                .try_get::<Option<i64>, _>("last_attempt_at")?
                .unwrap_or(0),
        }))
    }

    fn next(&self, outcome: &Outcome, rules: &Rules) -> Next {
        let attempt = self.attempt - self.round_start;
        delivery::next(outcome, attempt, self.may_have_left, rules)
    }

    /// Writes what comes next. Waits count from `base`, and are over at `now` at the earliest.
    async fn carry_out(
        &self,
        tx: &mut Tx,
        fence: &Fence,
        outcome: &Outcome,
        next: Next,
        base: i64,
        now: i64,
    ) -> Result<()> {
        let at = |wait: Duration| {
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            base.saturating_add(wait).max(now)
        };
        let (status, due) = match next {
            Next::Sent => (Status::Sent, now),
            Next::Again { wait, .. } => (Status::Pending, at(wait)),
            Next::Failed { .. } => (Status::Failed, now),
            Next::Uncertain => (Status::Uncertain, now),
        };
        query(
            "UPDATE outbox SET status = $2, next_attempt_at = $3, updated_at = $4,
               may_have_left = CASE WHEN $5 = 1 THEN 1 ELSE may_have_left END,
               error_code = $6, error = $7,
               delivery = CASE WHEN $2 = 'sent' THEN COALESCE(delivery, 'server') ELSE delivery END,
               sent_at = CASE WHEN $2 = 'sent' THEN COALESCE(sent_at, $4) ELSE sent_at END
             WHERE outbox_id = $1",
        )
        .bind(self.id.as_str())
        .bind(status.as_str())
        .bind(due)
        .bind(now)
        .bind(i64::from(outcome.may_have_left()))
        .bind(outcome.code().map(stored))
        .bind(outcome.error().as_deref().map(stored))
        .execute(&mut *tx)
        .await?;
        match next {
            Next::Again { block, .. } => {
                lane::block(tx, &self.conv, &self.id, at(block)).await?;
            }
            Next::Sent | Next::Failed { .. } | Next::Uncertain => {
                lane::unblock(tx, &self.conv, &self.id).await?;
            }
        }
        if let Next::Failed { restricted: true } = next {
            restrict(tx, fence.account(), outcome).await?;
        }
        lane::refresh(tx, &self.conv).await
    }
}

/// WhatsApp restricts the account: nothing more is sent until a person has looked.
async fn restrict(tx: &mut Tx, account: &AccountId, outcome: &Outcome) -> Result<()> {
    let reason = format!(
        "{} (code {})",
        outcome.error().unwrap_or_default(),
        outcome.code().unwrap_or_default()
    );
    let paused = query(
        "UPDATE accounts SET paused = 1, pause_reason = $2 WHERE account_id = $1 AND paused = 0",
    )
    .bind(account.as_str())
    .bind(&reason)
    .execute(&mut *tx)
    .await?;
    if paused.rows_affected() == 1 {
        let line = accounts::entry(account, "worker", "account.paused", &reason);
        audit::write(tx, line).await?;
    }
    Ok(())
}
