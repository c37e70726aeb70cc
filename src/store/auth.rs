//! Auth states in the shared store: the remote medium of [`auth_store`], what operators ask of their
//! holders, and marks that tell older copies.
//!
//! The records arrive sealed and are opaque here. Every write is one transaction under the holder's
//! [`Fence`](super::Fence), so a worker that was overtaken writes nothing. [`AuthView`] reads and
//! belongs to nobody.
//!
//! Failures, for who holds a medium: a store that does not answer is
//! [`RecordError::Unavailable`], never an absent record; rows that contradict each other, or a store
//! that refuses what is written, are [`RecordError::Damaged`].

mod marks;
mod moves;
mod orders;
mod remote;

use std::sync::Arc;

use async_trait::async_trait;
use auth_store::{Batch, Head, KeySet, RecordError, RecordKey, RecordStore, after_prefix};
use bytes::Bytes;
use sqlx::any::AnyRow;
use sqlx::{Row, query, query_scalar};

use super::{Result, Store, StoreError};
use crate::ids::AccountId;

pub use marks::AuthMark;
pub use orders::{AskedOrder, AuthOrder};
pub use remote::RemoteMedium;

/// Records that one statement reads or writes at most. SQLite takes 32,766 values in a statement.
const AT_ONCE: usize = 1000;

/// The auth state of an account in the shared store, to look at: whoever holds it goes on writing.
#[derive(Clone, Debug)]
pub struct AuthView {
    store: Store,
    account: AccountId,
}

impl Store {
    /// A look at the remote auth state of `account`; its head tells whether there is one.
    pub fn auth_view(&self, account: &AccountId) -> AuthView {
        AuthView {
            store: self.clone(),
            account: account.clone(),
        }
    }
}

impl AuthView {
    async fn records(&self, keys: &[RecordKey]) -> Result<Vec<(RecordKey, Bytes)>> {
        let mut found = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            // Few different texts, so that prepared statements are used again.
            let places = keys.len().next_power_of_two();
            let text = format!(
                "SELECT key, value FROM auth_records WHERE account_id = $1 AND key IN ({})",
                list(2, places)
            );
            let mut statement = query(self.store.sql(&text)).bind(self.account.as_str());
            for place in 0..places {
                let key = &keys[place.min(keys.len() - 1)];
                statement = statement.bind(key.as_str().as_bytes());
            }
            for row in statement.fetch_all(&self.store.readers).await? {
                found.push(record(&row)?);
            }
        }
        Ok(found)
    }

    async fn range(&self, from: &str, before: &str) -> Result<Vec<(RecordKey, Bytes)>> {
        query(
            "SELECT key, value FROM auth_records WHERE account_id = $1 AND key >= $2 AND key < $3 ORDER BY key",
        )
        .bind(self.account.as_str())
        .bind(from.as_bytes())
        .bind(before.as_bytes())
        .fetch_all(&self.store.readers)
        .await?
        .iter()
        .map(record)
        .collect()
    }

    async fn names(&self, from: &str, before: &str, limit: usize) -> Result<Vec<RecordKey>> {
        query(
            "SELECT key FROM auth_records WHERE account_id = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4",
        )
        .bind(self.account.as_str())
        .bind(from.as_bytes())
        .bind(before.as_bytes())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.store.readers)
        .await?
        .iter()
        .map(key)
        .collect()
    }

    async fn after(&self, after: &str, limit: usize) -> Result<Vec<(RecordKey, Bytes)>> {
        query(
            "SELECT key, value FROM auth_records WHERE account_id = $1 AND key > $2 ORDER BY key LIMIT $3",
        )
        .bind(self.account.as_str())
        .bind(after.as_bytes())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.store.readers)
        .await?
        .iter()
        .map(record)
        .collect()
    }

    async fn counted(&self, prefix: &str) -> Result<u64> {
        let count: i64 = query_scalar(
            "SELECT COUNT(*) FROM auth_records WHERE account_id = $1 AND key >= $2 AND key < $3",
        )
        .bind(self.account.as_str())
        .bind(prefix.as_bytes())
        .bind(after_prefix(prefix).into_bytes())
        .fetch_one(&self.store.readers)
        .await?;
        Ok(count.unsigned_abs())
    }

    async fn read_head(&self) -> Result<Option<Head>> {
        query(HEAD)
            .bind(self.account.as_str())
            .fetch_optional(&self.store.readers)
            .await?
            .map(|row| head(&row))
            .transpose()
    }

    async fn stamp(&self) -> Result<()> {
        let mut tx = self.store.begin().await?;
        let stamp = tx.sql("UPDATE auth_heads SET verified_at = {NOW} WHERE account_id = $1");
        query(stamp)
            .bind(self.account.as_str())
            .execute(&mut tx)
            .await?;
        tx.commit().await
    }

    fn fault(&self, error: StoreError) -> RecordError {
        match error {
            StoreError::Unavailable(_) => RecordError::Unavailable(Arc::new(error)),
            error => RecordError::Damaged {
                place: self.place(),
                detail: error.to_string(),
            },
        }
    }
}

#[async_trait]
impl RecordStore for AuthView {
    async fn load(&self, key: &RecordKey) -> std::result::Result<Option<Bytes>, RecordError> {
        let found = self.records(std::slice::from_ref(key)).await;
        let found = found.map_err(|error| self.fault(error))?;
        Ok(found.into_iter().next().map(|(_, value)| value))
    }

    async fn load_many(
        &self,
        keys: &[RecordKey],
    ) -> std::result::Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.records(keys).await.map_err(|error| self.fault(error))
    }

    async fn load_prefix(
        &self,
        prefix: &str,
    ) -> std::result::Result<Vec<(RecordKey, Bytes)>, RecordError> {
        let found = self.range(prefix, &after_prefix(prefix)).await;
        found.map_err(|error| self.fault(error))
    }

    async fn keys(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> std::result::Result<Vec<RecordKey>, RecordError> {
        let found = self.names(from, before, limit).await;
        found.map_err(|error| self.fault(error))
    }

    async fn page(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> std::result::Result<Vec<(RecordKey, Bytes)>, RecordError> {
        let found = self.after(after.map_or("", RecordKey::as_str), limit).await;
        found.map_err(|error| self.fault(error))
    }

    async fn count(&self, prefix: &str) -> std::result::Result<u64, RecordError> {
        self.counted(prefix)
            .await
            .map_err(|error| self.fault(error))
    }

    async fn apply(&self, _: &Batch) -> std::result::Result<(), RecordError> {
        Err(RecordError::ReadOnly)
    }

    async fn head(&self) -> std::result::Result<Option<Head>, RecordError> {
        self.read_head().await.map_err(|error| self.fault(error))
    }

    async fn stamp_verified(&self) -> std::result::Result<(), RecordError> {
        self.stamp().await.map_err(|error| self.fault(error))
    }

    /// The server answers for the structure of its tables.
    async fn examine(&self) -> std::result::Result<(), RecordError> {
        Ok(())
    }

    fn place(&self) -> String {
        "the shared store".to_owned()
    }

    fn checks_itself(&self) -> bool {
        false
    }
}

const HEAD: &str =
    "SELECT epoch, lineage, writes, key_count, key_digest, last_write_at, verified_at
     FROM auth_heads WHERE account_id = $1";

fn head(row: &AnyRow) -> Result<Head> {
    let digest: Vec<u8> = row.try_get("key_digest")?;
    let keys = KeySet::from_parts(row.try_get("key_count")?, &digest).ok_or_else(|| {
        StoreError::Unusable("in table auth_heads: key_digest has another size".to_owned())
    })?;
    Ok(Head {
        epoch: row.try_get("epoch")?,
        lineage: row.try_get("lineage")?,
        writes: row.try_get::<i64, _>("writes")?.unsigned_abs(),
        keys,
        last_write_ms: row.try_get("last_write_at")?,
        verified_ms: row.try_get("verified_at")?,
    })
}

fn key(row: &AnyRow) -> Result<RecordKey> {
    String::from_utf8(row.try_get("key")?)
        .map(RecordKey::new)
        .map_err(|_| StoreError::Unusable("in table auth_records: a key is no text".to_owned()))
}

fn record(row: &AnyRow) -> Result<(RecordKey, Bytes)> {
    let value: Vec<u8> = row.try_get("value")?;
    Ok((key(row)?, value.into()))
}

/// `$first, …`: places for `count` values.
fn list(first: usize, count: usize) -> String {
    let places: Vec<_> = (first..first + count).map(|n| format!("${n}")).collect();
    places.join(", ")
}
