//! The table of records.

use std::path::Path;

use bytes::Bytes;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::error::{classify, damaged};
use super::header::Header;
use crate::clock;
use crate::head::KeySet;
use crate::record::{Batch, RecordError, RecordKey, after_prefix};

/// Compares the keys that are there with the checksum in the header.
///
/// Reads the keys alone (their index covers it), not the values.
pub(super) async fn verify(
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
    if keys == header.head.keys {
        return Ok(());
    }
    let detail = format!(
        "its keys do not match their checksum ({} there, {} expected)",
        keys.count(),
        header.head.keys.count()
    );
    Err(damaged(file, detail))
}

/// Has SQLite look at every page, and compare the table with its index.
pub(super) async fn examine(
    connection: &mut SqliteConnection,
    file: &Path,
) -> Result<(), RecordError> {
    let found: String = sqlx::query("PRAGMA integrity_check(1)")
        .fetch_one(connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| classify(file, error))?;
    if found == "ok" {
        return Ok(());
    }
    // Its second line says what is wrong; none of them quotes a record.
    Err(damaged(file, found.lines().last().unwrap_or_default()))
}

pub(super) async fn load(
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

pub(super) async fn load_prefix(
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
        .map(record)
        .collect::<Result<_, _>>()
        .map_err(sql)
}

pub(super) async fn page(
    connection: &mut SqliteConnection,
    after: Option<&RecordKey>,
    limit: usize,
    file: &Path,
) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
    let sql = |error| classify(file, error);
    let rows = sqlx::query("SELECT key, value FROM records WHERE key > ?1 ORDER BY key LIMIT ?2")
        .bind(after.map_or("", RecordKey::as_str))
        .bind(sql_limit(limit))
        .fetch_all(connection)
        .await
        .map_err(sql)?;
    rows.iter()
        .map(record)
        .collect::<Result<_, _>>()
        .map_err(sql)
}

fn record(row: &SqliteRow) -> Result<(RecordKey, Bytes), sqlx::Error> {
    let key: &str = row.try_get(0)?;
    let value: Vec<u8> = row.try_get(1)?;
    Ok((RecordKey::new(key), Bytes::from(value)))
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) async fn keys(
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
            .bind(sql_limit(limit))
            .fetch_all(connection)
            .await
            .map_err(sql)?;
    rows.iter()
        .map(|row| row.try_get(0).map(|key: &str| RecordKey::new(key)))
        .collect::<Result<_, _>>()
        .map_err(sql)
}

pub(super) async fn count_prefix(
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

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    key: &RecordKey,
    value: &Bytes,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO records(key, value) VALUES(?1, ?2)")
        .bind(key.as_str())
        .bind(value.as_ref())
        .execute(connection)
        .await?;
    Ok(())
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
            header.head.keys.remove(key.as_str());
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
            insert(connection, key, value).await.map_err(sql)?;
            header.head.keys.insert(key.as_str());
        }
    }
    let now = clock::unix_millis();
    header.head.writes += 1;
    if batch.overtakes {
        header.head.writes = header.head.writes.max(now.unsigned_abs());
    }
    header.head.last_write_ms = Some(now);
    Ok(())
}
