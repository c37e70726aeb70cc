//! Who did what to an account, when and why.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, query};

use super::{Result, Store, sql};
use crate::ids::AccountId;

/// One line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
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
}

/// Adds a line, in the transaction of what it tells about.
pub(super) async fn write(
    tx: &mut SqliteConnection,
    account: Option<&AccountId>,
    actor: &str,
    action: &str,
    detail: &str,
) -> Result<()> {
    query(sql(
        "INSERT INTO audit(id, at, account_id, actor, action, detail) VALUES($1, {NOW}, $2, $3, $4, $5)",
    ))
    .bind(uuid::Uuid::now_v7().simple().to_string())
    .bind(account.map(AccountId::as_str))
    .bind(actor)
    .bind(action)
    .bind(detail)
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
        query("SELECT at, actor, action, detail FROM audit WHERE account_id = $1 ORDER BY at DESC, id DESC LIMIT $2")
            .bind(account.as_str())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(|row| {
                Ok(AuditRow {
                    at: row.try_get("at")?,
                    actor: row.try_get("actor")?,
                    action: row.try_get("action")?,
                    detail: row.try_get("detail")?,
                })
            })
            .collect()
    }
}
