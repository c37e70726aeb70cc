//! Dead letters: jobs that were given up, until somebody replays or discards them.

use sqlx::query;

use super::{COLUMNS, Job};
use crate::ids::AccountId;
use crate::store::{Page, PageCursor, Result, Store};

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

impl Store {
    /// The dead letters that fit, newest first, from `cursor` on.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn dead_letters(
        &self,
        filter: &DeadFilter,
        cursor: Option<&PageCursor>,
    ) -> Result<Page<Job>> {
        let (at, id) = PageCursor::bound(cursor);
        let rows = query(self.sql(&format!(
            "SELECT {COLUMNS} FROM jobs j
             LEFT JOIN inbox i ON i.account_id = j.account_id AND i.key = j.key
             WHERE j.dead = 1 AND ($1 IS NULL OR j.account_id = $1)
               AND ($2 IS NULL OR j.error_reason = $2) AND (j.finished_at, j.job_id) < ($3, $4)
             ORDER BY j.finished_at DESC, j.job_id DESC LIMIT $5"
        )))
        .bind(filter.account.as_ref().map(AccountId::as_str))
        .bind(filter.reason.as_deref())
        .bind(at)
        .bind(id)
        .bind(filter.limit.saturating_add(1))
        .fetch_all(&self.readers)
        .await?;
        let jobs = rows.iter().map(Job::read).collect::<Result<_>>()?;
        Ok(Page::of(jobs, filter.limit, |job: &Job| {
            let at = job.finished_at.unwrap_or_default();
            (at, job.job_id.as_str().to_owned())
        }))
    }
}
