//! The table of records and the checksum of its keys.

use std::path::Path;

use bytes::Bytes;
use ring::digest;
use sqlx::{Row as _, SqliteConnection};

use super::classify;
use super::header::Header;
use crate::clock;
use crate::record::{Batch, RecordError, RecordKey, after_prefix};

const DIGEST_LEN: usize = 16;

/// Size and order-free checksum of a set of keys: the XOR of their hashes.
/// It detects damage, not malice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KeySet {
    count: i64,
    digest: [u8; DIGEST_LEN],
}

impl KeySet {
    pub(super) fn from_parts(count: i64, digest: Vec<u8>) -> Result<Self, sqlx::Error> {
        let digest = digest
            .try_into()
            .map_err(|_| sqlx::Error::Decode("the checksum of the keys has another size".into()))?;
        Ok(Self { count, digest })
    }

    pub(super) fn count(&self) -> i64 {
        self.count
    }

    pub(super) fn digest(&self) -> &[u8; DIGEST_LEN] {
        &self.digest
    }

    fn insert(&mut self, key: &str) {
        self.count += 1;
        self.toggle(key);
    }

    fn remove(&mut self, key: &str) {
        self.count -= 1;
        self.toggle(key);
    }

    fn toggle(&mut self, key: &str) {
        let hash = digest::digest(&digest::SHA256, key.as_bytes());
        for (byte, mask) in self.digest.iter_mut().zip(hash.as_ref()) {
            *byte ^= mask;
        }
    }
}

pub(super) async fn create(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "CREATE TABLE header(id INTEGER PRIMARY KEY CHECK(id = 1), format INTEGER NOT NULL, \
         account TEXT NOT NULL, store_id TEXT NOT NULL, epoch INTEGER NOT NULL, \
         key_count INTEGER NOT NULL, key_digest BLOB NOT NULL, last_write_ms INTEGER, \
         checksum BLOB NOT NULL)",
        "CREATE TABLE records(key TEXT NOT NULL UNIQUE, value BLOB NOT NULL)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Compares the keys that are there with the checksum in the header.
///
/// Reads the keys alone (their index covers it), not the values.
pub(crate) async fn verify(
    connection: &mut SqliteConnection,
    header: &Header,
    file: &Path,
) -> Result<(), RecordError> {
    let rows = sqlx::query("SELECT key FROM records INDEXED BY sqlite_autoindex_records_1")
        .fetch_all(connection)
        .await
        .map_err(|error| classify(file, error))?;
    let mut keys = KeySet::default();
    for row in &rows {
        let key: &str = row.try_get(0).map_err(|error| classify(file, error))?;
        keys.insert(key);
    }
    if keys == header.keys {
        return Ok(());
    }
    Err(RecordError::Damaged {
        file: file.to_owned(),
        detail: format!(
            "its keys do not match their checksum ({} there, {} expected)",
            keys.count(),
            header.keys.count()
        ),
    })
}

pub(crate) async fn load(
    connection: &mut SqliteConnection,
    key: &RecordKey,
    file: &Path,
) -> Result<Option<Bytes>, RecordError> {
    let sql = |error| classify(file, error);
    let row = sqlx::query("SELECT value FROM records WHERE key = ?1")
        .bind(key.as_str())
        .fetch_optional(connection)
        .await
        .map_err(sql)?;
    row.map(|row| row.try_get::<Vec<u8>, _>(0).map(Bytes::from))
        .transpose()
        .map_err(sql)
}

pub(crate) async fn load_prefix(
    connection: &mut SqliteConnection,
    prefix: &str,
    file: &Path,
) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
    let sql = |error| classify(file, error);
    let rows =
        sqlx::query("SELECT key, value FROM records WHERE key >= ?1 AND key < ?2 ORDER BY key")
            .bind(prefix)
            .bind(after_prefix(prefix))
            .fetch_all(connection)
            .await
            .map_err(sql)?;
    rows.iter()
        .map(|row| {
            let key: &str = row.try_get(0)?;
            let value: Vec<u8> = row.try_get(1)?;
            Ok((RecordKey::new(key), Bytes::from(value)))
        })
        .collect::<Result<_, _>>()
        .map_err(sql)
}

pub(crate) async fn keys(
    connection: &mut SqliteConnection,
    from: &str,
    before: &str,
    limit: usize,
    file: &Path,
) -> Result<Vec<RecordKey>, RecordError> {
    let sql = |error| classify(file, error);
    let rows =
        sqlx::query("SELECT key FROM records WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3")
            .bind(from)
            .bind(before)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await
            .map_err(sql)?;
    rows.iter()
        .map(|row| row.try_get(0).map(|key: &str| RecordKey::new(key)))
        .collect::<Result<_, _>>()
        .map_err(sql)
}

pub(crate) async fn count_prefix(
    connection: &mut SqliteConnection,
    prefix: &str,
    file: &Path,
) -> Result<u64, RecordError> {
    let sql = |error| classify(file, error);
    let count: i64 = sqlx::query("SELECT count(*) FROM records WHERE key >= ?1 AND key < ?2")
        .bind(prefix)
        .bind(after_prefix(prefix))
        .fetch_one(connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(sql)?;
    Ok(count.unsigned_abs())
}

/// Applies a batch and keeps the header's account of it. The caller has
/// checked the fence in the same transaction and writes the header afterwards.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    header: &mut Header,
    batch: &Batch,
    file: &Path,
) -> Result<(), RecordError> {
    let sql = |error| classify(file, error);
    for key in &batch.deletes {
        let gone = sqlx::query("DELETE FROM records WHERE key = ?1")
            .bind(key.as_str())
            .execute(&mut *connection)
            .await
            .map_err(sql)?;
        if gone.rows_affected() > 0 {
            header.keys.remove(key.as_str());
        }
    }
    for (key, value) in &batch.puts {
        let updated = sqlx::query("UPDATE records SET value = ?2 WHERE key = ?1")
            .bind(key.as_str())
            .bind(value.as_ref())
            .execute(&mut *connection)
            .await
            .map_err(sql)?;
        if updated.rows_affected() == 0 {
            sqlx::query("INSERT INTO records(key, value) VALUES(?1, ?2)")
                .bind(key.as_str())
                .bind(value.as_ref())
                .execute(&mut *connection)
                .await
                .map_err(sql)?;
            header.keys.insert(key.as_str());
        }
    }
    header.last_write_ms = Some(clock::unix_millis());
    Ok(())
}
