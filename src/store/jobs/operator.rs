//! What operators do to jobs. Each job is a transaction of its own with a line in the audit: a
//! selection of thousands keeps nobody waiting, and one that is cut off has done what it did.

use sqlx::{Row, query};

use super::JobStatus;
use super::finish::bury;
use super::lane::{self, Lane, LaneState};
use crate::ids::{AccountId, ConversationId, JobId};
use crate::store::accounts::entry;
use crate::store::columns;
use crate::store::connections::Tx;
use crate::store::{Result, Store, StoreError, Topic, audit, stored};

/// Which jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobSelection {
    /// This one.
    One(JobId),
    /// The dead letters that fit.
    Where {
        /// Of this account.
        account: Option<AccountId>,
        /// That failed for this reason.
        reason: Option<String>,
        /// Of this kind.
        kind: Option<String>,
    },
    /// All dead letters.
    All,
}

/// What became of an intervention on one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// There is no such job.
    Missing,
    /// It cannot be done to a job that stands so.
    Unfit(JobStatus),
}

/// A job whose lane is locked.
struct Subject {
    lane: Lane,
    status: JobStatus,
    dead: bool,
}

impl Subject {
    /// Whether the job is what its lane waits for: claimed, or the next one.
    async fn holds_up(&self, tx: &mut Tx, job: &JobId) -> Result<bool> {
        match (self.status, self.lane.state) {
            (JobStatus::Processing, _) => return Ok(true),
            (JobStatus::Pending, LaneState::Ready) => {}
            _ => return Ok(false),
        }
        let first: Option<String> = sqlx::query_scalar(
            "SELECT job_id FROM jobs WHERE conv = $1 AND status = 'pending'
             ORDER BY ord, turn LIMIT 1",
        )
        .bind(self.lane.conv.as_str())
        .fetch_optional(tx)
        .await?;
        Ok(first.as_deref() == Some(job.as_str()))
    }
}

impl Store {
    /// Has jobs tried again, with all their attempts before them; returns how many. A dead letter is
    /// replayed: it goes to the end of its lane. One that is named may also be claimed (the claim is
    /// void) or wait for its next attempt: it is up at once, at its place. What is completed, cancelled
    /// or discarded stays so.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: a part may be done.
    pub async fn retry_jobs(&self, selection: &JobSelection, actor: &str) -> Result<u64> {
        let mut done = 0;
        for job in self.selected(selection).await? {
            done += u64::from(self.retry_job(&job, actor).await? == Outcome::Done);
        }
        Ok(done)
    }

    /// As [`Store::retry_jobs`], of one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn retry_job(&self, job: &JobId, actor: &str) -> Result<Outcome> {
        let mut tx = self.begin().await?;
        let Some(subject) = subject(&mut tx, job).await? else {
            return missing_or_unfit(&mut tx, job).await;
        };
        let now = tx.now().await?;
        match (subject.status, subject.dead) {
            (JobStatus::Pending | JobStatus::Processing, _) => {
                begin_anew(&mut tx, job, now).await?;
                if subject.holds_up(&mut tx, job).await? {
                    lane::free(&mut tx, &subject.lane, now).await?;
                }
            }
            (JobStatus::Failed, true) => {
                replay(&mut tx, job, &subject.lane, now).await?;
                if subject.lane.state == LaneState::Idle {
                    lane::free(&mut tx, &subject.lane, now).await?;
                }
            }
            (status, _) => return Ok(Outcome::Unfit(status)),
        }
        self.done(tx, &subject.lane, job, actor, "job.retried")
            .await
    }

    /// Fails a pending or claimed job, which becomes a dead letter; its lane goes on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn fail_job_by_hand(
        &self,
        job: &JobId,
        error: (&str, Option<&str>),
        actor: &str,
    ) -> Result<Outcome> {
        self.end(job, error, true, actor, "job.failed").await
    }

    /// Cancels a pending or claimed job: it is failed as `cancelled`, and no dead letter.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn cancel_job(&self, job: &JobId, actor: &str) -> Result<Outcome> {
        self.end(job, ("cancelled", None), false, actor, "job.cancelled")
            .await
    }

    async fn end(
        &self,
        job: &JobId,
        error: (&str, Option<&str>),
        dead: bool,
        actor: &str,
        action: &str,
    ) -> Result<Outcome> {
        let mut tx = self.begin().await?;
        let Some(subject) = subject(&mut tx, job).await? else {
            return missing_or_unfit(&mut tx, job).await;
        };
        if !matches!(subject.status, JobStatus::Pending | JobStatus::Processing) {
            return Ok(Outcome::Unfit(subject.status));
        }
        let now = tx.now().await?;
        let held_up = subject.holds_up(&mut tx, job).await?;
        bury(&mut tx, job, error, now).await?;
        if !dead {
            unlist(&mut tx, job, now).await?;
        }
        if held_up {
            lane::free(&mut tx, &subject.lane, now).await?;
        }
        self.done(tx, &subject.lane, job, actor, action).await
    }

    /// Takes dead letters off the list for good; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: a part may be done.
    pub async fn discard_jobs(&self, selection: &JobSelection, actor: &str) -> Result<u64> {
        let mut done = 0;
        for job in self.selected(selection).await? {
            done += u64::from(self.discard_job(&job, actor).await? == Outcome::Done);
        }
        Ok(done)
    }

    /// As [`Store::discard_jobs`], of one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn discard_job(&self, job: &JobId, actor: &str) -> Result<Outcome> {
        let mut tx = self.begin().await?;
        let Some(subject) = subject(&mut tx, job).await? else {
            return missing_or_unfit(&mut tx, job).await;
        };
        if !subject.dead {
            return Ok(Outcome::Unfit(subject.status));
        }
        let now = tx.now().await?;
        unlist(&mut tx, job, now).await?;
        self.done(tx, &subject.lane, job, actor, "job.discarded")
            .await
    }

    /// Gives a conversation's lane a priority: -1 low, 0 normal, 1 high. `false`: it has had no work.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Rejected`] for another number.
    pub async fn set_lane_priority(
        &self,
        conversation: &ConversationId,
        priority: i64,
        actor: &str,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let account: Option<String> = sqlx::query_scalar(
            "UPDATE lanes SET priority = $2 WHERE conv = $1 RETURNING account_id",
        )
        .bind(stored(conversation.as_str()))
        .bind(priority)
        .fetch_optional(&mut tx)
        .await?;
        let Some(account) = account else {
            return Ok(false);
        };
        let account = columns::account(&account, "lanes")?;
        let detail = format!("{} to {priority}", conversation.as_str());
        audit::write(&mut tx, entry(&account, actor, "lane.priority", &detail)).await?;
        tx.commit().await?;
        self.tell(Topic::Jobs);
        Ok(true)
    }

    async fn done(
        &self,
        mut tx: Tx,
        lane: &Lane,
        job: &JobId,
        actor: &str,
        action: &str,
    ) -> Result<Outcome> {
        audit::write(&mut tx, entry(&lane.account, actor, action, job.as_str())).await?;
        self.commit_telling(tx, Some(Topic::Jobs)).await?;
        Ok(Outcome::Done)
    }

    async fn selected(&self, selection: &JobSelection) -> Result<Vec<JobId>> {
        let (account, reason, kind) = match selection {
            JobSelection::One(job) => return Ok(vec![job.clone()]),
            JobSelection::Where {
                account,
                reason,
                kind,
            } => (account.as_ref(), reason.as_deref(), kind.as_deref()),
            JobSelection::All => (None, None, None),
        };
        // Oldest first within a lane: so they come to its end in their old order.
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT job_id FROM jobs WHERE dead = 1 AND ($1 IS NULL OR account_id = $1)
               AND ($2 IS NULL OR error_reason = $2) AND ($3 IS NULL OR kind = $3)
             ORDER BY conv, ord, turn",
        )
        .bind(account.map(AccountId::as_str))
        .bind(reason)
        .bind(kind)
        .fetch_all(&self.readers)
        .await?;
        Ok(ids.into_iter().map(JobId).collect())
    }
}

/// Locks the lane of `job`. `None`: there is no such job, or it never was work for agents.
async fn subject(tx: &mut Tx, job: &JobId) -> Result<Option<Subject>> {
    let Some(lane) = lane::lock_of(tx, job).await? else {
        return Ok(None);
    };
    let row = query("SELECT status, dead FROM jobs WHERE job_id = $1")
        .bind(job.as_str())
        .fetch_optional(tx)
        .await?;
    row.map(|row| {
        Ok(Subject {
            lane,
            status: status(row.try_get("status")?)?,
            dead: row.try_get::<i64, _>("dead")? == 1,
        })
    })
    .transpose()
}

async fn missing_or_unfit(tx: &mut Tx, job: &JobId) -> Result<Outcome> {
    let found: Option<String> = sqlx::query_scalar("SELECT status FROM jobs WHERE job_id = $1")
        .bind(job.as_str())
        .fetch_optional(tx)
        .await?;
    Ok(match found {
        None => Outcome::Missing,
        Some(text) => Outcome::Unfit(status(&text)?),
    })
}

fn status(text: &str) -> Result<JobStatus> {
    text.parse()
        .map_err(|error| StoreError::Unusable(format!("in table jobs: {error}")))
}

/// Puts a dead letter behind everything that its lane has. New jobs get greater numbers.
async fn replay(tx: &mut Tx, job: &JobId, lane: &Lane, now: i64) -> Result<()> {
    let last =
        query("SELECT ord, turn FROM jobs WHERE conv = $1 ORDER BY ord DESC, turn DESC LIMIT 1")
            .bind(lane.conv.as_str())
            .fetch_one(&mut *tx)
            .await?;
    query(
        "UPDATE jobs SET status = 'pending', dead = 0, attempt_count = 0, finished_at = NULL, ord = $2,
           turn = $3 + 1, updated_at = $4 WHERE job_id = $1",
    )
    .bind(job.as_str())
    .bind(last.try_get::<i64, _>("ord")?)
    .bind(last.try_get::<i64, _>("turn")?)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

async fn begin_anew(tx: &mut Tx, job: &JobId, now: i64) -> Result<()> {
    query(
        "UPDATE jobs SET status = 'pending', attempt_count = 0, claim_token = NULL,
           locked_until = NULL, updated_at = $2 WHERE job_id = $1",
    )
    .bind(job.as_str())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

async fn unlist(tx: &mut Tx, job: &JobId, now: i64) -> Result<()> {
    query("UPDATE jobs SET dead = 0, updated_at = $2 WHERE job_id = $1")
        .bind(job.as_str())
        .bind(now)
        .execute(tx)
        .await?;
    Ok(())
}
