//! A message in the outbox, as people and agents see it.

use sqlx::any::AnyRow;
use sqlx::{Row, query};

use crate::ids::{AccountId, ConversationId, JobId, OutboxId};
use crate::outbound::delivery::{Evidence, Status};
use crate::store::connections::Tx;
use crate::store::{Page, PageCursor, Result, Store, StoreError, stored};

/// A message that waits to be sent, or what became of it. Times are the store's.
#[derive(Clone, Debug, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxRow {
    /// Its id.
    pub outbox_id: OutboxId,
    /// Whose.
    pub account_id: AccountId,
    /// Its lane.
    pub conversation_id: ConversationId,
    /// The id under which WhatsApp knows it, the same in every attempt.
    pub channel_message_id: String,
    /// [`crate::outbound::message::Draft`] as JSON; nothing once its retention is over.
    #[schema(value_type = Option<Object>)]
    pub content: Option<serde_json::Value>,
    /// `reply`, `api` or `operator`.
    pub source: String,
    /// The job that it replies to.
    pub job_id: Option<JobId>,
    /// Its place among the job's replies.
    pub reply_index: Option<i64>,
    /// Where it stands.
    pub status: Status,
    /// How far it has come.
    pub delivery: Option<Evidence>,
    /// How often it was tried.
    pub attempt_count: i64,
    /// When it is tried next, while it is pending.
    pub next_attempt_at: Option<i64>,
    /// What went wrong last, as a code.
    pub error_code: Option<String>,
    /// What went wrong last, in words.
    pub error: Option<String>,
    /// When it was put in.
    pub created_at: i64,
    /// When it changed last.
    pub updated_at: i64,
    /// When it was tried last.
    pub last_attempt_at: Option<i64>,
    /// When it was known to be sent.
    pub sent_at: Option<i64>,
}

/// A message with its attempts.
#[derive(Clone, Debug, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxDetail {
    /// The message.
    #[serde(flatten)]
    pub row: OutboxRow,
    /// Its attempts, first to last.
    pub attempts: Vec<Attempt>,
}

/// One attempt to send a message.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: i64,
    /// When it began.
    pub started_at: i64,
    /// How long it took; nothing while it goes on, and when it was cut short.
    pub duration_ms: Option<i64>,
    /// What went wrong, as a code.
    pub error_code: Option<String>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// The lease's epoch of who made it.
    pub epoch: i64,
}

/// Which messages to list.
#[derive(Clone, Debug, Default)]
pub struct OutboxFilter {
    /// Only this account's.
    pub account: Option<AccountId>,
    /// Only of this conversation.
    pub conversation: Option<ConversationId>,
    /// Only in this status.
    pub status: Option<Status>,
    /// At most so many, newest first.
    pub limit: i64,
}

const COLUMNS: &str =
    "outbox_id, account_id, conv, message_id, content, source, job_id, reply_index, status,
    delivery, attempt_count, next_attempt_at, error_code, error, created_at, updated_at,
    last_attempt_at, sent_at";

impl OutboxRow {
    pub(super) async fn of(tx: &mut Tx, id: &OutboxId) -> Result<Self> {
        let select = tx.sql(&format!(
            "SELECT {COLUMNS} FROM outbox WHERE outbox_id = $1"
        ));
        let row = query(select).bind(id.as_str()).fetch_one(tx).await?;
        Self::read(&row)
    }

    fn read(row: &AnyRow) -> Result<Self> {
        let account: String = row.try_get("account_id")?;
        let content: Option<String> = row.try_get("content")?;
        let delivery: Option<String> = row.try_get("delivery")?;
        let status: Status = row.try_get::<&str, _>("status")?.parse().map_err(odd)?;
        Ok(Self {
            outbox_id: OutboxId(row.try_get("outbox_id")?),
            account_id: account
                .parse()
                .map_err(|error: crate::ids::IdError| odd(error.to_string()))?,
            conversation_id: ConversationId(row.try_get("conv")?),
            channel_message_id: row.try_get("message_id")?,
            content: content.and_then(|text| serde_json::from_str(&text).ok()),
            source: row.try_get("source")?,
            job_id: row.try_get::<Option<String>, _>("job_id")?.map(JobId),
            reply_index: row.try_get("reply_index")?,
            status,
            delivery: delivery.map(|text| text.parse()).transpose().map_err(odd)?,
            attempt_count: row.try_get("attempt_count")?,
            next_attempt_at: match status {
                Status::Pending => Some(row.try_get("next_attempt_at")?),
                _ => None,
            },
            error_code: row.try_get("error_code")?,
            error: row.try_get("error")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            last_attempt_at: row.try_get("last_attempt_at")?,
            sent_at: row.try_get("sent_at")?,
        })
    }
}

impl OutboxRow {
    /// What it says, as a word: `text`, `image` …
    pub fn kind(&self) -> &str {
        self.content
            .as_ref()
            .and_then(|draft| draft["content"]["type"].as_str())
            .unwrap_or("erased")
    }
}

pub(super) fn odd(error: String) -> StoreError {
    StoreError::Unusable(format!("in table outbox: {error}"))
}

impl Store {
    /// The newest messages that fit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn outbox(&self, filter: &OutboxFilter) -> Result<Vec<OutboxRow>> {
        Ok(self.page_of_outbox(filter, None).await?.rows)
    }

    /// The messages that fit, newest first, from `cursor` on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn page_of_outbox(
        &self,
        filter: &OutboxFilter,
        cursor: Option<&PageCursor>,
    ) -> Result<Page<OutboxRow>> {
        let (at, id) = PageCursor::bound(cursor);
        let rows = query(self.sql(&format!(
            "SELECT {COLUMNS} FROM outbox
             WHERE ($1 IS NULL OR account_id = $1) AND ($2 IS NULL OR conv = $2)
               AND ($3 IS NULL OR status = $3) AND (created_at, outbox_id) < ($4, $5)
             ORDER BY created_at DESC, outbox_id DESC LIMIT $6"
        )))
        .bind(filter.account.as_ref().map(AccountId::as_str))
        .bind(
            filter
                .conversation
                .as_ref()
                .map(|conv| stored(conv.as_str())),
        )
        .bind(filter.status.map(Status::as_str))
        .bind(at)
        .bind(id)
        .bind(filter.limit.saturating_add(1))
        .fetch_all(&self.readers)
        .await?;
        let rows = rows.iter().map(OutboxRow::read).collect::<Result<_>>()?;
        Ok(Page::of(rows, filter.limit, |row: &OutboxRow| {
            (row.created_at, row.outbox_id.as_str().to_owned())
        }))
    }

    /// One message with its attempts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn outbox_row(&self, id: &OutboxId) -> Result<Option<OutboxDetail>> {
        let row = query(self.sql(&format!(
            "SELECT {COLUMNS} FROM outbox WHERE outbox_id = $1"
        )))
        .bind(id.as_str())
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let attempts = query(
            "SELECT attempt, started_at, duration_ms, error_code, error, epoch
             FROM outbox_attempts WHERE outbox_id = $1 ORDER BY attempt",
        )
        .bind(id.as_str())
        .fetch_all(&self.readers)
        .await?;
        let attempts = attempts.iter().map(|row| {
            Ok(Attempt {
                attempt: row.try_get("attempt")?,
                started_at: row.try_get("started_at")?,
                duration_ms: row.try_get("duration_ms")?,
                error_code: row.try_get("error_code")?,
                error: row.try_get("error")?,
                epoch: row.try_get("epoch")?,
            })
        });
        Ok(Some(OutboxDetail {
            row: OutboxRow::read(&row)?,
            attempts: attempts.collect::<Result<_>>()?,
        }))
    }
}
