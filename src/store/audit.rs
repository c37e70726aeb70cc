//! Who did what to an account, when and why.

use sqlx::any::AnyRow;
use sqlx::{Row, query};

use super::connections::Tx;
use super::{Page, PageCursor, Result, Store};
use crate::ids::{AccountId, Epoch};

/// One line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRow {
    /// Milliseconds, by the store's clock.
    pub at: i64,
    /// An owner, or `operator`.
    pub actor: String,
    /// E.g. `lease.acquired`.
    pub action: String,
    /// In words.
    pub detail: String,
    /// The lease's epoch before it, for what changes or ends a lease.
    pub epoch_before: Option<i64>,
    /// The lease's epoch after it.
    pub epoch_after: Option<i64>,
}

/// A line of the audit of all accounts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// Its id.
    pub id: String,
    /// The account; none: it concerns all of them.
    pub account_id: Option<String>,
    /// What it says.
    #[serde(flatten)]
    pub row: AuditRow,
}

impl AuditLine {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            account_id: row.try_get("account_id")?,
            row: AuditRow {
                at: row.try_get("at")?,
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                detail: row.try_get("detail")?,
                epoch_before: row.try_get("epoch_before")?,
                epoch_after: row.try_get("epoch_after")?,
            },
        })
    }
}

/// A line to be written.
pub(super) struct Entry<'a> {
    pub(super) account: &'a AccountId,
    pub(super) actor: &'a str,
    pub(super) action: &'a str,
    pub(super) detail: &'a str,
    pub(super) epochs: Option<(Epoch, Epoch)>,
}

/// Adds a line, in the transaction of what it tells about.
pub(super) async fn write(tx: &mut Tx, entry: Entry<'_>) -> Result<()> {
    let insert = tx.sql(
        "INSERT INTO audit(id, at, account_id, actor, action, detail, epoch_before, epoch_after)
         VALUES($1, {NOW}, $2, $3, $4, $5, $6, $7)",
    );
    query(insert)
        .bind(uuid::Uuid::now_v7().simple().to_string())
        .bind(entry.account.as_str())
        .bind(entry.actor)
        .bind(entry.action)
        .bind(super::stored(entry.detail))
        .bind(entry.epochs.map(|(before, _)| before.0))
        .bind(entry.epochs.map(|(_, after)| after.0))
        .execute(tx)
        .await?;
    Ok(())
}

/// Adds a line about what concerns every account.
pub(super) async fn write_of_all(
    tx: &mut Tx,
    actor: &str,
    action: &str,
    detail: &str,
) -> Result<()> {
    let insert =
        tx.sql("INSERT INTO audit(id, at, actor, action, detail) VALUES($1, {NOW}, $2, $3, $4)");
    query(insert)
        .bind(uuid::Uuid::now_v7().simple().to_string())
        .bind(actor)
        .bind(action)
        .bind(super::stored(detail))
        .execute(tx)
        .await?;
    Ok(())
}

impl Store {
    /// The newest `limit` lines about `account`, newest first.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn audit(&self, account: &AccountId, limit: i64) -> Result<Vec<AuditRow>> {
        let page = self.page_of_audit(Some(account), limit, None).await?;
        Ok(page.rows.into_iter().map(|line| line.row).collect())
    }

    /// The lines about `account`, or all lines, newest first, from `cursor` on.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn page_of_audit(
        &self,
        account: Option<&AccountId>,
        limit: i64,
        cursor: Option<&PageCursor>,
    ) -> Result<Page<AuditLine>> {
        let (at, id) = PageCursor::bound(cursor);
        let rows = query(
            "SELECT id, account_id, at, actor, action, detail, epoch_before, epoch_after FROM audit
             WHERE ($1 IS NULL OR account_id = $1) AND (at, id) < ($2, $3)
             ORDER BY at DESC, id DESC LIMIT $4",
        )
        .bind(account.map(AccountId::as_str))
        .bind(at)
        .bind(id)
        .bind(limit.saturating_add(1))
        .fetch_all(&self.readers)
        .await?;
        let lines = rows.iter().map(AuditLine::read).collect::<Result<_>>()?;
        Ok(Page::of(lines, limit, |line: &AuditLine| {
            (line.row.at, line.id.clone())
        }))
    }
}
