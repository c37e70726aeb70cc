//! The auth state of one account in the shared store, held under a lease.

use std::sync::Arc;

use async_trait::async_trait;
use auth_store::{Batch, Head, RecordError, RecordKey, RecordStore};
use bytes::Bytes;
use sqlx::{AssertSqlSafe, query};

use super::{AT_ONCE, AuthView, HEAD, head, key, list};
use crate::ids::AccountId;
use crate::store::connections::Tx;
use crate::store::{Fence, Result, Store, StoreError};

/// Statements about up to this many records are worth keeping prepared.
const COMMON: usize = 4;

/// The records of one account in the shared store, open for one term.
#[derive(Debug)]
pub struct RemoteMedium {
    view: AuthView,
    fence: Arc<Fence>,
}

impl RemoteMedium {
    /// Opens the auth state of the fence's account, beginning one if there is none.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn open(store: Store, fence: Arc<Fence>) -> Result<Self> {
        let view = store.auth_view(fence.account());
        let begun = Head::begin(fence.epoch().0)
            .map_err(|error| StoreError::Unusable(error.to_string()))?;
        let mut tx = store.begin_fenced(&fence).await?;
        query(
            "INSERT INTO auth_heads(account_id, epoch, lineage, writes, key_count, key_digest)
             VALUES($1, $2, $3, 0, 0, $4)
             ON CONFLICT(account_id) DO UPDATE SET epoch = excluded.epoch",
        )
        .bind(fence.account().as_str())
        .bind(fence.epoch().0)
        .bind(begun.lineage)
        .bind(begun.keys.digest())
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(Self { view, fence })
    }

    /// The number of statements does not depend on the batch, up to [`AT_ONCE`] records.
    async fn write(&self, batch: &Batch) -> Result<()> {
        let account = self.fence.account();
        let mut tx = self.view.store.begin_fenced(&self.fence).await?;
        let row = query(HEAD)
            .bind(account.as_str())
            .fetch_optional(&mut tx)
            .await?;
        let Some(row) = row else {
            return Err(StoreError::Unusable(format!(
                "the head of account '{account}' is gone from the table auth_heads"
            )));
        };
        let mut keys = head(&row)?.keys;
        for puts in batch.puts.chunks(AT_ONCE) {
            let known = self.known(&mut tx, puts.iter().map(|(key, _)| key)).await?;
            for (key, _) in puts.iter().filter(|(key, _)| !known.contains(key)) {
                keys.insert(key.as_str());
            }
            put(&mut tx, account, puts).await?;
        }
        for deletes in batch.deletes.chunks(AT_ONCE) {
            for key in self.delete(&mut tx, deletes).await? {
                keys.remove(key.as_str());
            }
        }
        let update = tx.sql(
            "UPDATE auth_heads SET
               writes = CASE WHEN $4 = 1 AND {NOW} > writes THEN {NOW} ELSE writes + 1 END, key_count = $2, key_digest = $3, last_write_at = {NOW}
             WHERE account_id = $1",
        );
        query(update)
            .bind(account.as_str())
            .bind(keys.count())
            .bind(keys.digest())
            .bind(i64::from(batch.overtakes))
            .execute(&mut tx)
            .await?;
        tx.commit().await
    }

    /// Which of `keys` are there.
    async fn known(
        &self,
        tx: &mut Tx,
        keys: impl ExactSizeIterator<Item = &RecordKey>,
    ) -> Result<Vec<RecordKey>> {
        let count = keys.len();
        let text = format!(
            "SELECT key FROM auth_records WHERE account_id = $1 AND key IN ({})",
            list(2, count)
        );
        let mut statement = query(AssertSqlSafe(text))
            .persistent(count <= COMMON)
            .bind(self.fence.account().as_str());
        for key in keys {
            statement = statement.bind(key.as_str().as_bytes());
        }
        statement.fetch_all(tx).await?.iter().map(key).collect()
    }

    /// Returns those that were there.
    async fn delete(&self, tx: &mut Tx, deletes: &[RecordKey]) -> Result<Vec<RecordKey>> {
        let text = format!(
            "DELETE FROM auth_records WHERE account_id = $1 AND key IN ({}) RETURNING key",
            list(2, deletes.len())
        );
        let mut statement = query(AssertSqlSafe(text))
            .persistent(deletes.len() <= COMMON)
            .bind(self.fence.account().as_str());
        for key in deletes {
            statement = statement.bind(key.as_str().as_bytes());
        }
        statement.fetch_all(tx).await?.iter().map(key).collect()
    }
}

/// Inserts or replaces at most [`AT_ONCE`] records.
pub(super) async fn put(
    tx: &mut Tx,
    account: &AccountId,
    records: &[(RecordKey, Bytes)],
) -> Result<()> {
    let rows: Vec<_> = (0..records.len())
        .map(|n| format!("($1, ${}, ${})", 2 * n + 2, 2 * n + 3))
        .collect();
    let text = format!(
        "INSERT INTO auth_records(account_id, key, value) VALUES {}
         ON CONFLICT(account_id, key) DO UPDATE SET value = excluded.value",
        rows.join(", ")
    );
    let mut statement = query(AssertSqlSafe(text))
        .persistent(records.len() <= COMMON)
        .bind(account.as_str());
    for (key, value) in records {
        statement = statement.bind(key.as_str().as_bytes()).bind(value.as_ref());
    }
    statement.execute(tx).await?;
    Ok(())
}

#[async_trait]
impl RecordStore for RemoteMedium {
    async fn load(&self, key: &RecordKey) -> std::result::Result<Option<Bytes>, RecordError> {
        self.view.load(key).await
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
    ) -> std::result::Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.view.load_many(keys).await
    }

    async fn load_prefix(
        &self,
        prefix: &str,
    ) -> std::result::Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.view.load_prefix(prefix).await
    }

    async fn keys(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> std::result::Result<Vec<RecordKey>, RecordError> {
        self.view.keys(from, before, limit).await
    }

    async fn page(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> std::result::Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.view.page(after, limit).await
    }

    async fn count(&self, prefix: &str) -> std::result::Result<u64, RecordError> {
        self.view.count(prefix).await
    }

    async fn apply(&self, batch: &Batch) -> std::result::Result<(), RecordError> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.write(batch).await {
            Ok(()) => Ok(()),
            Err(StoreError::Fenced(account)) => {
                let ours = self.fence.epoch().0;
                let lease = self.view.store.lease(&account).await;
                // Only told to people: the refusal is certain without it.
                let stored = lease.ok().flatten().map_or(ours, |lease| lease.epoch.0);
                Err(RecordError::Fenced { ours, stored })
            }
            Err(error) => Err(self.view.fault(error)),
        }
    }

    async fn head(&self) -> std::result::Result<Option<Head>, RecordError> {
        self.view.head().await
    }

    async fn stamp_verified(&self) -> std::result::Result<(), RecordError> {
        self.view.stamp_verified().await
    }

    async fn examine(&self) -> std::result::Result<(), RecordError> {
        self.view.examine().await
    }

    fn place(&self) -> String {
        self.view.place()
    }

    fn checks_itself(&self) -> bool {
        self.view.checks_itself()
    }
}
