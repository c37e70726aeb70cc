//! The tables of a file, letter by letter.
//!
//! Nothing else may stand there: the database driver trusts the text of a schema
//! and panics over one that a flipped bit made into something else.

use std::path::Path;

use sqlx::{Row as _, SqliteConnection};

use super::error::{classify, damaged};
use crate::record::RecordError;

const RECORDS: &str = "CREATE TABLE records(key TEXT NOT NULL UNIQUE, value BLOB NOT NULL)";
/// The header of format 1, up to its last bracket.
const HEADER: &str = "CREATE TABLE header(id INTEGER PRIMARY KEY CHECK(id = 1), \
    format INTEGER NOT NULL, account TEXT NOT NULL, store_id TEXT NOT NULL, \
    epoch INTEGER NOT NULL, key_count INTEGER NOT NULL, key_digest BLOB NOT NULL, \
    last_write_ms INTEGER, checksum BLOB NOT NULL";
/// What format 2 adds to it.
const ADDED: [&str; 3] = [
    "lineage TEXT NOT NULL DEFAULT ''",
    "writes INTEGER NOT NULL DEFAULT 0",
    "verified_ms INTEGER",
];

/// SQLite keeps the text like this when columns were added, too.
fn header() -> String {
    format!("{HEADER}, {})", ADDED.join(", "))
}

pub(super) async fn create(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for statement in [header(), RECORDS.to_owned()] {
        execute(connection, statement).await?;
    }
    Ok(())
}

/// Brings the tables of format 1 to this format.
pub(super) async fn upgrade(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for column in ADDED {
        execute(
            connection,
            format!("ALTER TABLE header ADD COLUMN {column}"),
        )
        .await?;
    }
    Ok(())
}

async fn execute(connection: &mut SqliteConnection, statement: String) -> Result<(), sqlx::Error> {
    // It is made of the constants above.
    let statement = sqlx::query(sqlx::AssertSqlSafe(statement));
    statement.execute(connection).await.map(|_| ())
}

/// Refuses a file with anything else in its schema.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    file: &Path,
) -> Result<(), RecordError> {
    let sql = |error| classify(file, error);
    let rows = sqlx::query("SELECT name, sql FROM sqlite_schema ORDER BY name")
        .fetch_all(connection)
        .await
        .map_err(sql)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let name: &str = row.try_get(0).map_err(sql)?;
        let text: Option<&str> = row.try_get(1).map_err(sql)?;
        found.push((name, text));
    }
    let (first, current) = (format!("{HEADER})"), header());
    let known = [first, current].iter().any(|header| {
        found
            == [
                ("header", Some(header.as_str())),
                ("records", Some(RECORDS)),
                ("sqlite_autoindex_records_1", None),
            ]
    });
    if known {
        return Ok(());
    }
    Err(damaged(file, "its tables are not those of an auth state"))
}
