//! Claims that ran out: their agents crashed, hang, or were cut off.

use sqlx::{Row, query};

use super::finish::{Begun, bury, put_back};
use super::lane::{self, Lane};
use super::{Failed, Retries};
use crate::ids::JobId;
use crate::store::{Result, Store, Topic};

/// A claim that ran out, and what became of its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The job.
    pub job: JobId,
    /// Who had claimed it.
    pub processor_id: Option<String>,
    /// It is tried again at once (its lock was wait enough), or a dead letter.
    pub outcome: Failed,
}

impl Expired {
    /// Why the attempt failed, as it stands with the job.
    pub fn reason(&self) -> &'static str {
        match self.outcome {
            Failed::Dead { .. } => "retries_exhausted",
            Failed::Retried { .. } | Failed::Stale => "claim_expired",
        }
    }
}

impl Store {
    /// Ends up to `limit` claims that ran out. Any worker may run it at any time; what another is
    /// about to end is left to that one.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn requeue_stale(&self, limit: i64, retries: Retries) -> Result<Vec<Expired>> {
        const STALE: &str = "FROM lanes WHERE state = 'busy' AND locked_until <= {NOW}";
        // Mostly there is none, and on SQLite beginning to write keeps everybody else out.
        let any = self.sql(&format!("SELECT 1 {STALE} LIMIT 1"));
        let any: Option<i64> = sqlx::query_scalar(any)
            .fetch_optional(&self.readers)
            .await?;
        if any.is_none() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        let stale = tx.sql(&format!(
            "SELECT conv, account_id, state {STALE} ORDER BY locked_until LIMIT $1 {{FOR UPDATE SKIP LOCKED}}"
        ));
        let lanes = query(stale).bind(limit).fetch_all(&mut tx).await?;
        let lanes: Vec<Lane> = lanes.iter().map(lane::read).collect::<Result<_>>()?;
        let now = tx.now().await?;
        let mut expired = Vec::with_capacity(lanes.len());
        for lane in &lanes {
            let row = query(
                "SELECT job_id, processor_id, attempt_count, started_at FROM jobs
                 WHERE conv = $1 AND status = 'processing'",
            )
            .bind(lane.conv.as_str())
            .fetch_optional(&mut tx)
            .await?;
            if let Some(row) = row {
                let job = JobId(row.try_get("job_id")?);
                let processor_id: Option<String> = row.try_get("processor_id")?;
                let work = Begun::read(&row)?.ended(now);
                let attempt = work.attempt;
                let who = processor_id.as_deref().unwrap_or("its agent");
                let why = format!("{who} neither finished nor renewed attempt {attempt} in time");
                let outcome = if retries.allow(attempt) {
                    put_back(&mut tx, &job, ("claim_expired", Some(&why)), now).await?;
                    Failed::Retried {
                        account: lane.account.clone(),
                        at: now,
                        work,
                    }
                } else {
                    bury(&mut tx, &job, ("retries_exhausted", Some(&why)), now).await?;
                    Failed::Dead {
                        account: lane.account.clone(),
                        work,
                    }
                };
                expired.push(Expired {
                    job,
                    processor_id,
                    outcome,
                });
            }
            lane::free(&mut tx, lane, now).await?;
        }
        tx.commit().await?;
        if !lanes.is_empty() {
            self.tell(Topic::Jobs);
        }
        Ok(expired)
    }
}
