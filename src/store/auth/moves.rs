//! Whole auth states that come into the shared store, leave it, or are put aside in it.

use auth_store::{Head, KeySet, RecordKey};
use bytes::Bytes;
use sqlx::query;

use super::AT_ONCE;
use super::remote::put;
use crate::store::accounts::{AuthMedium, entry};
use crate::store::audit;
use crate::store::connections::Tx;
use crate::store::{Fence, Result, Store, StoreError};

impl Store {
    /// `records` and their `head`, copied as they are sealed, become the auth state of the fence's
    /// account, in the place of whatever the store had of it.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when `records` are not all of those that `head` knows;
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn adopt_auth(
        &self,
        fence: &Fence,
        head: &Head,
        records: &[(RecordKey, Bytes)],
    ) -> Result<()> {
        let keys: KeySet = records.iter().map(|(key, _)| key.as_str()).collect();
        if keys != head.keys {
            return Err(StoreError::Unusable(format!(
                "the auth state to be taken over has {} records, and should have {}: nothing was changed",
                keys.count(),
                head.keys.count()
            )));
        }
        let mut tx = self.begin_fenced(fence).await?;
        remove(&mut tx, fence).await?;
        for records in records.chunks(AT_ONCE) {
            put(&mut tx, fence.account(), records).await?;
        }
        query(
            "INSERT INTO auth_heads(account_id, epoch, lineage, writes, key_count, key_digest, last_write_at, verified_at)
             VALUES($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(fence.account().as_str())
        .bind(fence.epoch().0)
        .bind(&head.lineage)
        .bind(i64::try_from(head.writes).unwrap_or(i64::MAX))
        .bind(head.keys.count())
        .bind(head.keys.digest())
        .bind(head.last_write_ms)
        .bind(head.verified_ms)
        .execute(&mut tx)
        .await?;
        settle(&mut tx, fence, AuthMedium::Remote, None).await?;
        tx.commit().await
    }

    /// The auth state of the fence's account is a file of the installation `auth_home` from now on,
    /// and the shared store has nothing of it any more. Call it when the file is complete.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn leave_auth(&self, fence: &Fence, auth_home: &str) -> Result<()> {
        let mut tx = self.begin_fenced(fence).await?;
        remove(&mut tx, fence).await?;
        settle(&mut tx, fence, AuthMedium::Local, Some(auth_home)).await?;
        tx.commit().await
    }

    /// Keeps the remote auth state of the fence's account, whatever is wrong with it, under a name of
    /// its own that is returned, so that the account can begin another one.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn set_auth_aside(&self, fence: &Fence) -> Result<String> {
        let account = fence.account().as_str();
        let mut tx = self.begin_fenced(fence).await?;
        // No account is called like this.
        let aside = format!("{account}!{}", tx.now().await?);
        for table in ["auth_records", "auth_heads"] {
            let text = format!("UPDATE {table} SET account_id = $2 WHERE account_id = $1");
            let statement = tx.sql(&text);
            query(statement)
                .bind(account)
                .bind(&aside)
                .execute(&mut tx)
                .await?;
        }
        let line = entry(fence.account(), "worker", "auth.set_aside", &aside);
        audit::write(&mut tx, line).await?;
        tx.commit().await?;
        Ok(aside)
    }
}

async fn remove(tx: &mut Tx, fence: &Fence) -> Result<()> {
    for table in ["auth_records", "auth_heads"] {
        let statement = tx.sql(&format!("DELETE FROM {table} WHERE account_id = $1"));
        query(statement)
            .bind(fence.account().as_str())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

async fn settle(
    tx: &mut Tx,
    fence: &Fence,
    medium: AuthMedium,
    auth_home: Option<&str>,
) -> Result<()> {
    query("UPDATE accounts SET auth_medium = $2, auth_home = $3 WHERE account_id = $1")
        .bind(fence.account().as_str())
        .bind(medium.as_str())
        .bind(auth_home)
        .execute(&mut *tx)
        .await?;
    let detail = format!("to the {} medium", medium.as_str());
    let line = entry(fence.account(), "operator", "auth.moved", &detail);
    audit::write(tx, line).await
}
