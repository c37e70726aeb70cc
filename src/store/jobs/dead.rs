//! Dead letters: jobs that were given up, until somebody replays or discards them.

use sqlx::query;

use super::{COLUMNS, Job};
use crate::ids::{AccountId, JobId};
use crate::store::{Result, Store, stored};

/// Which dead letters to list.
#[derive(Clone, Debug, Default)]
pub struct DeadFilter {
    /// Only this account's.
    pub account: Option<AccountId>,
    /// Only those that failed for this reason.
    pub reason: Option<String>,
    /// At most so many.
    pub limit: i64,
}

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadCursor {
    finished_at: i64,
    job: JobId,
}

impl std::fmt::Display for DeadCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.finished_at, self.job.as_str())
    }
}

impl std::str::FromStr for DeadCursor {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        text.split_once('.')
            .and_then(|(at, job)| {
                Some(Self {
                    finished_at: at.parse().ok()?,
                    job: JobId(job.to_owned()),
                })
            })
            .ok_or_else(|| format!("{text:?} is not a cursor of an earlier page"))
    }
}

/// A part of the list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadPage {
    /// The dead letters.
    pub jobs: Vec<Job>,
    /// Where the next page begins; none: this was the last.
    pub next: Option<DeadCursor>,
}

impl Store {
    /// The dead letters that fit, newest first, from `cursor` on.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn dead_letters(
        &self,
        filter: &DeadFilter,
        cursor: Option<&DeadCursor>,
    ) -> Result<DeadPage> {
        let rows = query(self.sql(&format!(
            "SELECT {COLUMNS} FROM jobs j
             LEFT JOIN inbox i ON i.account_id = j.account_id AND i.key = j.key
             WHERE j.dead = 1 AND ($1 IS NULL OR j.account_id = $1)
               AND ($2 IS NULL OR j.error_reason = $2) AND (j.finished_at, j.job_id) < ($3, $4)
             ORDER BY j.finished_at DESC, j.job_id DESC LIMIT $5"
        )))
        .bind(filter.account.as_ref().map(AccountId::as_str))
        .bind(filter.reason.as_deref())
        .bind(cursor.map_or(i64::MAX, |cursor| cursor.finished_at))
        .bind(stored(cursor.map_or("", |cursor| cursor.job.as_str())))
        .bind(filter.limit.saturating_add(1))
        .fetch_all(&self.readers)
        .await?;
        let mut jobs: Vec<Job> = rows.iter().map(Job::read).collect::<Result<_>>()?;
        let limit = usize::try_from(filter.limit).unwrap_or_default();
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let next = jobs.last().filter(|_| more).map(|last| DeadCursor {
            finished_at: last.finished_at.unwrap_or_default(),
            job: last.job_id.clone(),
        });
        Ok(DeadPage { jobs, next })
    }
}
