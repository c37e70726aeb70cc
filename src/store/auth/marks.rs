//! How far local auth states had come.

use sqlx::{Row, query};

use crate::ids::AccountId;
#[cfg(doc)]
use crate::store::StoreError;
use crate::store::{Fence, Result, Store};

/// How far an auth state had come when somebody looked: an older copy of it is known by this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthMark {
    /// Of its medium; marks of different lineages say nothing about each other.
    pub lineage: String,
    /// How many writes it had taken.
    pub writes: u64,
}

impl Store {
    /// The mark of the local auth state of `account`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn auth_mark(&self, account: &AccountId) -> Result<Option<AuthMark>> {
        query("SELECT lineage, writes FROM auth_marks WHERE account_id = $1")
            .bind(account.as_str())
            .fetch_optional(&self.readers)
            .await?
            .map(|row| {
                Ok(AuthMark {
                    lineage: row.try_get("lineage")?,
                    writes: u64::try_from(row.try_get::<i64, _>("writes")?).unwrap_or(0),
                })
            })
            .transpose()
    }

    /// Sets the mark of the local auth state of the fence's account.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn set_auth_mark(&self, fence: &Fence, mark: &AuthMark) -> Result<()> {
        let mut tx = self.begin_fenced(fence).await?;
        query(
            "INSERT INTO auth_marks(account_id, lineage, writes) VALUES($1, $2, $3)
             ON CONFLICT(account_id) DO UPDATE SET lineage = excluded.lineage, writes = excluded.writes",
        )
        .bind(fence.account().as_str())
        .bind(&mark.lineage)
        .bind(i64::try_from(mark.writes).unwrap_or(i64::MAX))
        .execute(&mut tx)
        .await?;
        tx.commit().await
    }
}
