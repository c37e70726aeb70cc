//! How a claim goes on and ends: renewed, completed, failed. Each names the claim's token, and a claim
//! that was lost changes nothing.

use std::time::Duration;

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Row, query};

use super::Retries;
use super::lane::{self, Lane};
use super::retries::wait_after;
use crate::ids::{AccountId, ClaimToken, JobId, OutboxId};
use crate::outbound::message::Draft;
use crate::store::columns;
use crate::store::connections::Tx;
use crate::store::error::sqlstate;
use crate::store::lease::millis;
use crate::store::outbox::{Origin, insert_outgoing, resolve};
use crate::store::{Result, Store, StoreError, Topic, stored};

/// The longest wait that an agent may ask for: its conversation waits as well.
const LATEST: Duration = Duration::from_hours(24);

/// What came of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// For people: kept with the job.
    pub result: Option<Value>,
    /// What is to be sent, in this order; without a recipient of its own each goes into the job's
    /// conversation. Their media is [prepared](crate::outbound).
    pub replies: Vec<Draft>,
}

/// What became of a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completed {
    /// The job is completed, and its replies are in the outbox.
    Done {
        /// Whose job it was.
        account: AccountId,
        /// The replies' rows, in their order.
        messages: Vec<OutboxId>,
        /// It was completed by the same claim before; nothing was written.
        again: bool,
        /// Which attempt did it.
        work: Work,
    },
    /// The claim was lost. Nothing was written.
    Stale,
    /// A reply cannot be taken. Nothing was written, and the claim goes on.
    Invalid {
        /// Which reply, from 0.
        reply: usize,
        /// Which of its fields.
        field: String,
        /// What is wrong with it.
        why: String,
    },
}

/// An attempt at a job that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its number, from 1.
    pub attempt: i64,
    /// From the claim to its end, milliseconds.
    pub took_ms: i64,
}

/// Why an agent gives a job back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A code, e.g. `agent_error`.
    pub reason: String,
    /// In words.
    pub message: Option<String>,
    /// Whether another attempt may help.
    pub retryable: bool,
    /// When it may, if the agent knows, within a day; otherwise the wait grows with each attempt.
    pub retry_after: Option<Duration>,
}

/// What became of a job that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It is tried again; its lane waits for it.
    Retried {
        /// Whose job it is.
        account: AccountId,
        /// When, store's clock.
        at: i64,
        /// Which attempt failed.
        work: Work,
    },
    /// It is a dead letter, and its lane goes on.
    Dead {
        /// Whose job it was.
        account: AccountId,
        /// The last attempt.
        work: Work,
    },
    /// The claim was lost. Nothing was written.
    Stale,
}

impl Failed {
    /// Whose job it is; none: it was not looked at.
    pub const fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Retried { account, .. } | Self::Dead { account, .. } => Some(account),
            Self::Stale => None,
        }
    }
}

impl Store {
    /// Makes the claim hold for `lock` from now; returns until when, by the store's clock. `None`: it
    /// was lost.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn heartbeat_job(
        &self,
        job: &JobId,
        token: &ClaimToken,
        lock: Duration,
    ) -> Result<Option<i64>> {
        let mut tx = self.begin().await?;
        let Some((lane, _)) = claimed(&mut tx, job, token).await? else {
            return Ok(None);
        };
        let until = tx.now().await?.saturating_add(millis(lock));
        query("UPDATE lanes SET locked_until = $2 WHERE conv = $1")
            .bind(lane.conv.as_str())
            .bind(until)
            .execute(&mut tx)
            .await?;
        query("UPDATE jobs SET locked_until = $2 WHERE job_id = $1")
            .bind(job.as_str())
            .bind(until)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(Some(until))
    }

    /// Completes a job and puts its replies into the outbox, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: unknown. Repeating it is safe: it is done once.
    pub async fn complete_job(
        &self,
        job: &JobId,
        token: &ClaimToken,
        completion: &Completion,
    ) -> Result<Completed> {
        for (reply, draft) in completion.replies.iter().enumerate() {
            if let Err(invalid) = draft.check() {
                return Ok(Completed::Invalid {
                    reply,
                    field: invalid.field,
                    why: invalid.why,
                });
            }
        }
        match self.try_complete(job, token, completion).await {
            // Somebody opened the same conversation at the same time.
            Err(StoreError::Rejected(error)) if sqlstate(&error) == Some("23505") => {
                self.try_complete(job, token, completion).await
            }
            done => done,
        }
    }

    async fn try_complete(
        &self,
        job: &JobId,
        token: &ClaimToken,
        completion: &Completion,
    ) -> Result<Completed> {
        let mut tx = self.begin().await?;
        let Some((lane, begun)) = claimed(&mut tx, job, token).await? else {
            return completed_before(&mut tx, job, token).await;
        };
        let now = tx.now().await?;
        query(
            "UPDATE jobs SET status = 'completed', result = $2, finished_at = $3, updated_at = $3,
               locked_until = NULL, error_reason = NULL, error_message = NULL WHERE job_id = $1",
        )
        .bind(job.as_str())
        .bind(
            completion
                .result
                .as_ref()
                .map(|result| stored(&result.to_string())),
        )
        .bind(now)
        .execute(&mut tx)
        .await?;
        let mut messages = Vec::with_capacity(completion.replies.len());
        for (reply, draft) in completion.replies.iter().enumerate() {
            let conv = match &draft.to {
                None => Some(lane.conv.clone()),
                to => resolve(&mut tx, &lane.account, to.as_ref(), now).await?,
            };
            let Some(conv) = conv else {
                return Ok(Completed::Invalid {
                    reply,
                    field: "to".to_owned(),
                    why: "this account has no such conversation".to_owned(),
                });
            };
            let origin = Origin::Reply {
                job,
                index: i64::try_from(reply).unwrap_or(i64::MAX),
            };
            let id = insert_outgoing(&mut tx, &lane.account, &conv, draft, origin, now).await?;
            messages.push(id);
        }
        let more = lane::free(&mut tx, &lane, now).await?;
        tx.commit().await?;
        if more {
            self.tell(Topic::Jobs);
        }
        if !messages.is_empty() {
            self.tell(Topic::Outbox);
        }
        Ok(Completed::Done {
            account: lane.account,
            messages,
            again: false,
            work: begun.ended(now),
        })
    }

    /// Gives a job back: for another attempt while `retries` allow one, else as a dead letter.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: unknown. Repeating it finds the claim gone, if it was done.
    pub async fn fail_job(
        &self,
        job: &JobId,
        token: &ClaimToken,
        failure: &Failure,
        retries: Retries,
    ) -> Result<Failed> {
        let mut tx = self.begin().await?;
        let Some((lane, begun)) = claimed(&mut tx, job, token).await? else {
            return Ok(Failed::Stale);
        };
        let now = tx.now().await?;
        let work = begun.ended(now);
        let error = (failure.reason.as_str(), failure.message.as_deref());
        let failed = if failure.retryable && retries.allow(work.attempt) {
            let wait = failure.retry_after.map_or_else(
                || wait_after(work.attempt, rand::random()),
                |wait| wait.min(LATEST),
            );
            let at = now.saturating_add(millis(wait));
            put_back(&mut tx, job, error, now).await?;
            lane::free(&mut tx, &lane, at).await?;
            Failed::Retried {
                account: lane.account,
                at,
                work,
            }
        } else {
            bury(&mut tx, job, error, now).await?;
            lane::free(&mut tx, &lane, now).await?;
            Failed::Dead {
                account: lane.account,
                work,
            }
        };
        tx.commit().await?;
        // Also when it waits: those who sleep learn until when.
        self.tell(Topic::Jobs);
        Ok(failed)
    }
}

/// An attempt at a job that goes on.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    attempt: i64,
    at: i64,
}

impl Begun {
    /// From the columns `attempt_count` and `started_at`.
    pub(super) fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            attempt: row.try_get("attempt_count")?,
            at: row.try_get("started_at")?,
        })
    }

    pub(super) fn ended(self, now: i64) -> Work {
        Work {
            attempt: self.attempt,
            took_ms: now.saturating_sub(self.at).max(0),
        }
    }
}

/// Locks the lane of a claim; returns it with the attempt. `None`: the claim was lost.
async fn claimed(tx: &mut Tx, job: &JobId, token: &ClaimToken) -> Result<Option<(Lane, Begun)>> {
    let Some(lane) = lane::lock_claimed(tx, job, token).await? else {
        return Ok(None);
    };
    let row = query(
        "SELECT attempt_count, started_at FROM jobs
         WHERE job_id = $1 AND status = 'processing' AND claim_token = $2",
    )
    .bind(job.as_str())
    .bind(token.as_str())
    .fetch_optional(tx)
    .await?;
    row.map(|row| Ok((lane, Begun::read(&row)?))).transpose()
}

/// A repeated completion, or one of a claim that was lost.
async fn completed_before(tx: &mut Tx, job: &JobId, token: &ClaimToken) -> Result<Completed> {
    let before = query(
        "SELECT account_id, attempt_count, started_at, finished_at FROM jobs
         WHERE job_id = $1 AND status = 'completed' AND claim_token = $2",
    )
    .bind(job.as_str())
    .bind(token.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = before else {
        return Ok(Completed::Stale);
    };
    let work = Begun::read(&row)?.ended(row.try_get("finished_at")?);
    let messages: Vec<String> =
        sqlx::query_scalar("SELECT outbox_id FROM outbox WHERE job_id = $1 ORDER BY reply_index")
            .bind(job.as_str())
            .fetch_all(tx)
            .await?;
    Ok(Completed::Done {
        account: columns::account_id(&row, "jobs")?,
        messages: messages.into_iter().map(OutboxId).collect(),
        again: true,
        work,
    })
}

/// The job waits for an agent again, at its place.
pub(super) async fn put_back(
    tx: &mut Tx,
    job: &JobId,
    error: (&str, Option<&str>),
    now: i64,
) -> Result<()> {
    query(
        "UPDATE jobs SET status = 'pending', claim_token = NULL, locked_until = NULL,
           error_reason = $2, error_message = $3, updated_at = $4 WHERE job_id = $1",
    )
    .bind(job.as_str())
    .bind(stored(error.0))
    .bind(error.1.map(stored))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// The job becomes a dead letter.
pub(super) async fn bury(
    tx: &mut Tx,
    job: &JobId,
    error: (&str, Option<&str>),
    now: i64,
) -> Result<()> {
    query(
        "UPDATE jobs SET status = 'failed', dead = 1, claim_token = NULL, locked_until = NULL,
           error_reason = $2, error_message = $3, updated_at = $4, finished_at = $4
         WHERE job_id = $1",
    )
    .bind(job.as_str())
    .bind(stored(error.0))
    .bind(error.1.map(stored))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}
