//! Agent work: jobs in lanes, one lane for each conversation.
//!
//! ```text
//!             claim                   complete
//!  pending ───────────▶ processing ─────────────▶ completed
//!     ▲  ▲                │      │ fail: not retryable, no attempts left
//!     │  └────────────────┘      └──────────────▶ failed ──▶ dead letter
//!     │   fail, stale claim                         │
//!     └─────────────────────────────────────────────┘ replay: at the end of its lane
//! ```
//!
//! A lane is `idle` (nothing pending), `ready` (its first job may be claimed from `ready_at` on) or
//! `busy` (a claim holds it, until `locked_until`). Claims look at the heads of indices alone, so a long
//! queue costs no more than a short one. Whoever changes the state of a job locks its lane's row first:
//! without that, a lane could be left idle with a job that arrived at the same moment. The claim's token
//! fences the agent's writes, on any worker; no lease is involved.
//!
//! A message that came and cannot be read yet has an order too: what came after it in its lane is not
//! claimed until another copy of it came, or its time is over.
//!
//! - [`claim`]: the next jobs; [`finish`]: how a claim ends; [`stale`]: claims that nobody ends
//! - [`operator`]: retry, fail, cancel, discard, priority; [`dead`]: the dead letters; [`depth`]: how
//!   much there is
//! - [`lane`]: what they share; [`retries`]: when a failed job is tried again

mod claim;
mod dead;
mod depth;
mod finish;
pub(in crate::store) mod lane;
mod operator;
mod retries;
mod stale;

use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row, query};

use super::columns::account_id;
use super::{Page, PageCursor, Result, Store, StoreError};
use crate::ids::{AccountId, ConversationId, JobId};

pub use self::claim::{Claim, ClaimRequest, Outlook};
pub use self::dead::DeadFilter;
pub use self::depth::QueueDepth;
pub use self::finish::{Completed, Completion, Failed, Failure, Work};
pub use self::operator::{JobSelection, Outcome};
pub use self::retries::Retries;
pub use self::stale::Expired;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum JobStatus {
    /// Waits for an agent.
    Pending,
    /// An agent has claimed it.
    Processing,
    /// Done.
    Completed,
    /// Given up, or it never was fit for an agent.
    Failed,
}

impl JobStatus {
    /// As it stands in the store and in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for JobStatus {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [
            Self::Pending,
            Self::Processing,
            Self::Completed,
            Self::Failed,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| {
            format!("job status {text:?} is not one of pending, processing, completed, failed")
        })
    }
}

/// A job without its message.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its id.
    pub job_id: JobId,
    /// Whose.
    pub account_id: AccountId,
    /// Its lane.
    pub conversation_id: ConversationId,
    /// `message`, `undecryptable` or `lost`.
    pub kind: String,
    /// WhatsApp's id of the message.
    pub channel_message_id: String,
    /// The message's key in the inbox, by which its file is got.
    pub key: String,
    /// Where it stands.
    pub status: JobStatus,
    /// One line without content.
    pub summary: String,
    /// How often it was claimed.
    pub attempt_count: i64,
    /// Why it failed, as a code.
    pub error_reason: Option<String>,
    /// Why it failed, in words.
    pub error_message: Option<String>,
    /// Who works on it.
    pub processor_id: Option<String>,
    /// Until when the claim holds, store's clock.
    pub locked_until: Option<i64>,
    /// When it was claimed, store's clock.
    pub started_at: Option<i64>,
    /// When it was committed, store's clock.
    pub created_at: i64,
    /// When it was completed or failed, store's clock.
    pub finished_at: Option<i64>,
    /// Whether it is a dead letter.
    pub dead: bool,
}

/// A job with its message.
#[derive(Clone, Debug, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobDetail {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// The sender's address, in either form.
    #[schema(value_type = Object)]
    pub sender: serde_json::Value,
    /// The name that the sender shows.
    pub push_name: Option<String>,
    /// When it was sent, Unix milliseconds.
    pub sent_at: Option<i64>,
    /// [`crate::inbound::message::Content`] as JSON.
    #[schema(value_type = Option<Object>)]
    pub content: serde_json::Value,
    /// [`crate::inbound::message::Context`] as JSON.
    #[schema(value_type = Option<Object>)]
    pub context: serde_json::Value,
    /// What the agent completed it with.
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<serde_json::Value>,
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only this account's.
    pub account: Option<AccountId>,
    /// Only in this status.
    pub status: Option<JobStatus>,
    /// At most so many, newest first.
    pub limit: i64,
}

const COLUMNS: &str =
    "j.job_id, j.account_id, j.conv, j.kind, j.status, j.summary, j.attempt_count,
    j.error_reason, j.error_message, j.processor_id, j.locked_until, j.started_at, j.created_at,
    j.finished_at, j.dead, j.key, COALESCE(i.message_id, j.key) AS message_id";

impl Job {
    fn read(row: &AnyRow) -> Result<Self> {
        let odd = |error: String| StoreError::Unusable(format!("in table jobs: {error}"));
        Ok(Self {
            job_id: JobId(row.try_get("job_id")?),
            account_id: account_id(row, "jobs")?,
            conversation_id: ConversationId(row.try_get("conv")?),
            kind: row.try_get("kind")?,
            channel_message_id: row.try_get("message_id")?,
            key: row.try_get("key")?,
            status: row.try_get::<&str, _>("status")?.parse().map_err(odd)?,
            summary: row.try_get("summary")?,
            attempt_count: row.try_get("attempt_count")?,
            error_reason: row.try_get("error_reason")?,
            error_message: row.try_get("error_message")?,
            processor_id: row.try_get("processor_id")?,
            locked_until: row.try_get("locked_until")?,
            started_at: row.try_get("started_at")?,
            created_at: row.try_get("created_at")?,
            finished_at: row.try_get("finished_at")?,
            dead: row.try_get::<i64, _>("dead")? == 1,
        })
    }
}

impl Store {
    /// The newest jobs that fit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>> {
        Ok(self.page_of_jobs(filter, None).await?.rows)
    }

    /// The jobs that fit, newest first, from `cursor` on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn page_of_jobs(
        &self,
        filter: &JobFilter,
        cursor: Option<&PageCursor>,
    ) -> Result<Page<Job>> {
        let (at, id) = PageCursor::bound(cursor);
        let rows = query(self.sql(&format!(
            "SELECT {COLUMNS} FROM jobs j LEFT JOIN inbox i ON i.account_id = j.account_id AND i.key = j.key
             WHERE ($1 IS NULL OR j.account_id = $1) AND ($2 IS NULL OR j.status = $2)
               AND (j.created_at, j.job_id) < ($3, $4)
             ORDER BY j.created_at DESC, j.job_id DESC LIMIT $5"
        )))
        .bind(filter.account.as_ref().map(AccountId::as_str))
        .bind(filter.status.map(JobStatus::as_str))
        .bind(at)
        .bind(id)
        .bind(filter.limit.saturating_add(1))
        .fetch_all(&self.readers)
        .await?;
        let jobs = rows.iter().map(Job::read).collect::<Result<_>>()?;
        Ok(Page::of(jobs, filter.limit, |job: &Job| {
            (job.created_at, job.job_id.as_str().to_owned())
        }))
    }

    /// One job with its message.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn job(&self, id: &JobId) -> Result<Option<JobDetail>> {
        Ok(details(&self.readers, &[id.as_str()]).await?.pop())
    }
}

/// These jobs with their messages, in no order.
async fn details<'c>(
    executor: impl Executor<'c, Database = Any>,
    ids: &[&str],
) -> Result<Vec<JobDetail>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let select = sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS}, m.sender_pn, m.sender_lid, m.push_name, m.sent_at, m.content, m.context, j.result
         FROM jobs j
         LEFT JOIN inbox i ON i.account_id = j.account_id AND i.key = j.key
         LEFT JOIN messages m ON m.account_id = j.account_id AND m.key = j.key
         WHERE j.job_id IN ({})",
        places(1, ids.len())
    ));
    ids.iter()
        .fold(query(select), |query, id| query.bind(*id))
        .fetch_all(executor)
        .await?
        .iter()
        .map(JobDetail::read)
        .collect()
}

impl JobDetail {
    fn read(row: &AnyRow) -> Result<Self> {
        let json = |column: &str| -> Result<Option<serde_json::Value>> {
            let text: Option<String> = row.try_get(column)?;
            Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
        };
        Ok(Self {
            job: Job::read(row)?,
            sender: serde_json::json!({
                "pn": row.try_get::<Option<String>, _>("sender_pn")?,
                "lid": row.try_get::<Option<String>, _>("sender_lid")?,
            }),
            push_name: row.try_get("push_name")?,
            sent_at: row.try_get("sent_at")?,
            content: json("content")?.unwrap_or_default(),
            context: json("context")?.unwrap_or_default(),
            result: json("result")?,
        })
    }
}

/// `$3,$4,$5` for `places(3, 3)`.
fn places(from: usize, count: usize) -> String {
    let places: Vec<String> = (from..from + count).map(|n| format!("${n}")).collect();
    places.join(",")
}
