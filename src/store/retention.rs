//! Forgetting what is old, in batches small enough to keep nobody waiting. Any process may do it at any
//! time; two that do it at once only share the work.

use std::time::Duration;

use sqlx::{query, query_scalar};

use super::connections::Tx;
use super::lease::millis;
use super::{Result, Store};

/// Rows of one transaction.
const BATCH: i64 = 500;

/// Conversations that are looked through in one transaction.
const CONVERSATIONS: i64 = 200;

/// How long what is finished is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Completed jobs.
    pub jobs: Duration,
    /// Dedupe rows, and what is known of messages that were missing.
    pub inbox: Duration,
    /// What people wrote and what was written to them, with their names; jobs that failed, and what
    /// was sent, go with it.
    pub messages: Duration,
    /// What the workers told.
    pub events: Duration,
    /// And how much of it, about.
    pub most_events: i64,
}

impl Retention {
    /// With `messages` as it is set; the rest is as it is unless set.
    pub const fn of_messages(messages: Duration) -> Self {
        Self {
            jobs: Duration::from_hours(7 * 24),
            inbox: Duration::from_hours(35 * 24),
            messages,
            events: Duration::from_hours(7 * 24),
            most_events: 100_000,
        }
    }
}

/// How far a walk through everything that may be old has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    stage: usize,
    /// The conversation that was looked through last.
    after: String,
}

/// What one batch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Of which table.
    pub what: &'static str,
    /// How many rows went.
    pub rows: u64,
    /// Whether the walk is over.
    pub finished: bool,
}

/// What is deleted by age alone: a table's name, and the statement.
const BY_AGE: [(&str, &str); 7] = [
    (
        "jobs",
        "DELETE FROM jobs WHERE job_id IN (SELECT job_id FROM jobs
           WHERE status = 'completed' AND finished_at < $1 ORDER BY finished_at LIMIT $2)",
    ),
    (
        "inbox",
        "DELETE FROM inbox WHERE (account_id, key) IN (SELECT account_id, key FROM inbox
           WHERE committed_at < $1 ORDER BY committed_at LIMIT $2)",
    ),
    (
        "missing",
        "DELETE FROM missing WHERE (account_id, chat, sender, message_id) IN
           (SELECT account_id, chat, sender, message_id FROM missing
            WHERE outcome IS NOT NULL AND first_seen < $1 ORDER BY first_seen LIMIT $2)",
    ),
    (
        "jobs",
        "DELETE FROM jobs WHERE job_id IN (SELECT job_id FROM jobs
           WHERE status = 'failed' AND finished_at < $1 ORDER BY finished_at LIMIT $2)",
    ),
    (
        "contacts",
        "DELETE FROM contacts WHERE contact_id IN (SELECT contact_id FROM contacts
           WHERE updated_at < $1 ORDER BY updated_at LIMIT $2)",
    ),
    // Attempts first: without their message nobody would find them again.
    (
        "outbox",
        "DELETE FROM outbox WHERE outbox_id IN (SELECT outbox_id FROM outbox
           WHERE created_at < $1 AND status NOT IN ('pending', 'sending')
           ORDER BY created_at LIMIT $2)",
    ),
    (
        "events",
        "DELETE FROM events WHERE id IN (SELECT id FROM events
           WHERE at < $1 ORDER BY at, id LIMIT $2)",
    ),
];

impl Store {
    /// Forgets one batch of what is older than `retention`, and moves `sweep` on.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn sweep(&self, retention: Retention, sweep: &mut Sweep) -> Result<Swept> {
        let mut tx = self.begin().await?;
        let now = tx.now().await?;
        let Some((what, delete)) = BY_AGE.get(sweep.stage) else {
            let cutoff = now.saturating_sub(millis(retention.messages));
            let (rows, last) = forget_messages(&mut tx, &sweep.after, cutoff).await?;
            tx.commit().await?;
            let finished = last.is_none();
            *sweep = last.map_or_else(Sweep::default, |after| Sweep {
                stage: sweep.stage,
                after,
            });
            return Ok(Swept {
                what: "messages",
                rows,
                finished,
            });
        };
        let age = match (sweep.stage, *what) {
            (0, _) => retention.jobs,
            (_, "inbox" | "missing") => retention.inbox,
            (_, "events") => retention.events,
            _ => retention.messages,
        };
        let mut cutoff = now.saturating_sub(millis(age));
        if *what == "events" {
            let newest =
                query_scalar("SELECT at FROM events ORDER BY at DESC, id DESC LIMIT 1 OFFSET $1");
            let crowd: Option<i64> = newest
                .bind(retention.most_events)
                .fetch_optional(&mut tx)
                .await?;
            cutoff = cutoff.max(crowd.map_or(i64::MIN, |at| at.saturating_add(1)));
        }
        if *what == "outbox" {
            query(
                "DELETE FROM outbox_attempts WHERE outbox_id IN (SELECT outbox_id FROM outbox
                   WHERE created_at < $1 AND status NOT IN ('pending', 'sending')
                   ORDER BY created_at LIMIT $2)",
            )
            .bind(cutoff)
            .bind(BATCH)
            .execute(&mut tx)
            .await?;
        }
        let rows = query(*delete)
            .bind(cutoff)
            .bind(BATCH)
            .execute(&mut tx)
            .await?
            .rows_affected();
        tx.commit().await?;
        if rows < BATCH.unsigned_abs() {
            sweep.stage += 1;
        }
        Ok(Swept {
            what,
            rows,
            finished: false,
        })
    }
}

/// Looks through the next conversations after `after`; returns the last one of them, if there may be
/// more. Messages have no index by age alone, which each inbound commit would pay for; `CROSS JOIN` keeps
/// SQLite from reading all messages of these conversations.
async fn forget_messages(tx: &mut Tx, after: &str, cutoff: i64) -> Result<(u64, Option<String>)> {
    let convs: Vec<String> =
        query_scalar("SELECT conv FROM conversations WHERE conv > $1 ORDER BY conv LIMIT $2")
            .bind(after)
            .bind(CONVERSATIONS)
            .fetch_all(&mut *tx)
            .await?;
    let (Some(first), Some(last)) = (convs.first(), convs.last()) else {
        return Ok((0, None));
    };
    let gone = query(
        "DELETE FROM messages WHERE (account_id, key) IN (SELECT m.account_id, m.key
           FROM conversations c CROSS JOIN messages m
           WHERE c.conv >= $1 AND c.conv <= $2 AND m.conv = c.conv AND m.committed_at < $3 LIMIT $4)",
    )
    .bind(first)
    .bind(last)
    .bind(cutoff)
    .bind(BATCH)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    query(
        "UPDATE conversations SET name = NULL
         WHERE conv >= $1 AND conv <= $2 AND last_message_at < $3 AND name IS NOT NULL",
    )
    .bind(first)
    .bind(last)
    .bind(cutoff)
    .execute(&mut *tx)
    .await?;
    if gone >= BATCH.unsigned_abs() {
        // These once more.
        return Ok((gone, Some(after.to_owned())));
    }
    let more = i64::try_from(convs.len()).is_ok_and(|looked| looked == CONVERSATIONS);
    Ok((gone, more.then(|| last.clone())))
}
