//! An attempt begins: the message is `sending`, durably, before anything leaves.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Row, query};

use super::lane;
use super::row::odd;
use crate::ids::{AccountId, ConversationId, Jid, JobId, OutboxId};
use crate::outbound::delivery::Rules;
use crate::outbound::message::Draft;
use crate::store::columns::{self, jid};
use crate::store::connections::Tx;
use crate::store::{Fence, Result, Store};

/// Before it is looked again whether an account that is paused may send: who resumes it wakes its
/// session, unless the session has not heard of the pause yet.
const HELD: Duration = Duration::from_secs(2);

/// Where a conversation is, in every form that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatAddress {
    /// Of a person, by number.
    pub pn: Option<Jid>,
    /// Of a person, hidden form.
    pub lid: Option<Jid>,
    /// Of a group or another chat that is not a person.
    pub jid: Option<Jid>,
}

impl ChatAddress {
    /// From the columns of a conversation.
    pub(in crate::store) fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            pn: jid(row, "pn")?,
            lid: jid(row, "lid")?,
            jid: jid(row, "jid")?,
        })
    }

    /// The form to send to: the hidden one where it is known, as phones do.
    pub fn preferred(&self) -> Option<&Jid> {
        self.jid.as_ref().or(self.lid.as_ref()).or(self.pn.as_ref())
    }
}

/// A message that is to be sent now.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// Its id.
    pub id: OutboxId,
    /// Its lane.
    pub conversation: ConversationId,
    /// Where to.
    pub chat: ChatAddress,
    /// The id to send it under.
    pub message_id: String,
    /// What it says; none: it was erased, or a newer worker took it, of a kind that this one does not
    /// know.
    pub draft: Option<Draft>,
    /// The job that it replies to.
    pub job: Option<JobId>,
    /// Number of this attempt, from 1.
    pub attempt: i64,
}

/// What is to be sent now, and when there is more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claimed {
    /// One message for each lane.
    pub messages: Vec<Dispatch>,
    /// Until when nothing else becomes due, unless something is put in; none: nothing waits.
    pub rest: Option<Duration>,
}

impl Store {
    /// Accounts of which a lane can send something now. One question for all sessions of a process.
    ///
    /// # Errors
    /// [`super::super::StoreError::Unavailable`].
    pub async fn due_accounts(&self) -> Result<HashSet<AccountId>> {
        // Only the head of each account's index is looked at, however much waits behind it.
        let due = self.sql(
            "SELECT account_id FROM accounts a WHERE EXISTS(SELECT 1 FROM outbox_lanes l
               WHERE l.account_id = a.account_id AND l.state = 'ready' AND l.ready_at <= {NOW})",
        );
        query(due)
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(|row| columns::account_id(row, "accounts"))
            .collect()
    }

    /// How long until one of the account's lanes can send something; none: nothing waits.
    ///
    /// # Errors
    /// [`super::super::StoreError::Unavailable`].
    pub async fn outgoing_due(&self, account: &AccountId) -> Result<Option<Duration>> {
        let next = self.sql(
            "SELECT MIN(ready_at) - {NOW} FROM outbox_lanes WHERE account_id = $1 AND state = 'ready'",
        );
        let wait: Option<i64> = sqlx::query_scalar(next)
            .bind(account.as_str())
            .fetch_one(&self.readers)
            .await?;
        Ok(wait.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }

    /// Takes the next message of up to `limit` lanes whose turn it is. Each is `sending` from now on,
    /// and the caller owes [`Store::settle_outgoing`]; what it cannot settle any more,
    /// [`Store::recover_outgoing`] does. Nothing is taken while the account is paused.
    ///
    /// # Errors
    /// [`super::super::StoreError::Fenced`], [`super::super::StoreError::Unavailable`]: unknown.
    pub async fn claim_outgoing(
        &self,
        fence: &Fence,
        limit: usize,
        rules: &Rules,
    ) -> Result<Claimed> {
        let mut tx = self.begin_fenced(fence).await?;
        if is_held(&mut tx, fence.account()).await? {
            return Ok(Claimed {
                messages: Vec::new(),
                rest: Some(HELD),
            });
        }
        let now = tx.now().await?;
        let due = tx.sql(
            "SELECT conv FROM outbox_lanes WHERE account_id = $1 AND state = 'ready' AND ready_at <= $2
             ORDER BY ready_at, conv LIMIT $3 {FOR UPDATE SKIP LOCKED}",
        );
        let lanes: Vec<String> = sqlx::query_scalar(due)
            .bind(fence.account().as_str())
            .bind(now)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut tx)
            .await?;
        let mut messages = Vec::with_capacity(lanes.len());
        for conv in lanes.into_iter().map(ConversationId) {
            if let Some(message) = begin_attempt(&mut tx, fence, &conv, now).await? {
                messages.push(message);
                if !rules.chat_pace.is_zero() {
                    let pace = i64::try_from(rules.chat_pace.as_millis()).unwrap_or(i64::MAX);
                    lane::pace(&mut tx, &conv, now.saturating_add(pace)).await?;
                }
            }
            lane::refresh(&mut tx, &conv).await?;
        }
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(ready_at) FROM outbox_lanes WHERE account_id = $1 AND state = 'ready'",
        )
        .bind(fence.account().as_str())
        .fetch_one(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(Claimed {
            messages,
            rest: next.map(|at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0))),
        })
    }
}

/// Whether nothing may be sent for the account.
async fn is_held(tx: &mut Tx, account: &AccountId) -> Result<bool> {
    let paused: Option<i64> = sqlx::query_scalar(
        "SELECT CASE WHEN c.paused = 1 THEN c.paused ELSE a.paused END
         FROM accounts a, controls c WHERE a.account_id = $1",
    )
    .bind(account.as_str())
    .fetch_optional(tx)
    .await?;
    Ok(paused == Some(1))
}

/// The first message of the lane whose time has come: one that waits for its next attempt longer than
/// its lane may wait has stepped aside. One that was never tried steps aside for none, whatever a clock that
/// was set back says of its time.
async fn begin_attempt(
    tx: &mut Tx,
    fence: &Fence,
    conv: &ConversationId,
    now: i64,
) -> Result<Option<Dispatch>> {
    let first = query(
        "SELECT o.outbox_id, o.message_id, o.content, o.job_id, o.attempt_count, c.pn, c.lid, c.jid
         FROM outbox o LEFT JOIN conversations c ON c.conv = o.conv
         WHERE o.conv = $1 AND o.status = 'pending'
           AND (o.next_attempt_at <= $2 OR o.attempt_count = o.round_start)
         ORDER BY o.ord LIMIT 1",
    )
    .bind(conv.as_str())
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = first else { return Ok(None) };
    let message = read(&row, conv)?;
    query(
        "UPDATE outbox SET status = 'sending', attempt_count = $2, epoch = $3, last_attempt_at = $4,
           updated_at = $4 WHERE outbox_id = $1",
    )
    .bind(message.id.as_str())
    .bind(message.attempt)
    .bind(fence.epoch().0)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    query(
        "INSERT INTO outbox_attempts(outbox_id, attempt, epoch, started_at) VALUES($1, $2, $3, $4)",
    )
    .bind(message.id.as_str())
    .bind(message.attempt)
    .bind(fence.epoch().0)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(Some(message))
}

fn read(row: &AnyRow, conv: &ConversationId) -> Result<Dispatch> {
    let attempts: i64 = row.try_get("attempt_count")?;
    let content: Option<String> = row.try_get("content")?;
    Ok(Dispatch {
        id: OutboxId(row.try_get("outbox_id")?),
        conversation: conv.clone(),
        chat: ChatAddress::read(row)?,
        message_id: row.try_get("message_id")?,
        draft: content.and_then(|text| serde_json::from_str(&text).ok()),
        job: row.try_get::<Option<String>, _>("job_id")?.map(JobId),
        attempt: attempts
            .checked_add(1)
            .ok_or_else(|| odd("too many attempts".to_owned()))?,
    })
}
