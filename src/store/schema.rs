//! Migrations. Each only adds (tables, columns; indices may change), so that an older worker runs on with the newer schema;
//! what takes something away comes a release after the last reader, and raises `min_compatible`.
//!
//! A migration and its mark in `schema_meta` are one transaction: a crash in the middle leaves nothing,
//! and of two processes that migrate at once one waits, finds the mark and goes on.

use std::time::Duration;

use sqlx::raw_sql;

use super::connections::{Connections, Tx};
use super::error::sqlstate;
use super::{Engine, Result, Store, StoreError};
use crate::clock::Boot;

/// The text of each migration; its number is its place, from 1.
const MIGRATIONS: [&str; 11] = [
    include_str!("../../migrations/001_init.sql"),
    include_str!("../../migrations/002_fleet.sql"),
    include_str!("../../migrations/003_auth.sql"),
    include_str!("../../migrations/004_jobs.sql"),
    include_str!("../../migrations/005_outbox.sql"),
    include_str!("../../migrations/006_contacts.sql"),
    include_str!("../../migrations/007_webhooks.sql"),
    include_str!("../../migrations/008_operate.sql"),
    include_str!("../../migrations/009_events.sql"),
    include_str!("../../migrations/010_places.sql"),
    include_str!("../../migrations/011_tickets.sql"),
];

/// The newest migration that this binary knows.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// How long a lock that others hold is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a migration that finds its tables made is begun again: whoever made them has committed by
/// then, with the mark.
const RACES: u32 = 5;

/// Brings the schema up to date and returns the store's id. `place` is told to people.
pub(super) async fn migrate(store: &Connections, engine: Engine, place: &str) -> Result<String> {
    let began = Boot::now();
    let mut races = 0;
    loop {
        match step(store, engine).await {
            Ok(Schema::Older) => {}
            Ok(Schema::Current { store_id }) => return Ok(store_id),
            Ok(Schema::TooNew {
                version,
                min_compatible,
            }) => {
                return Err(StoreError::Unusable(format!(
                    "{place} has schema {version}, which needs a binary that knows schema {min_compatible} or later; this one knows {VERSION}. Use the newer binary."
                )));
            }
            Err(error) if is_locked(&error) && Boot::now().since(began) < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) if is_made_already(&error) && races < RACES => {
                races += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(StoreError::Rejected(error)) => {
                return Err(cannot_migrate(place, &error));
            }
            // SQLITE_ERROR: the statement does not fit the tables that are there.
            Err(StoreError::Unavailable(sqlx::Error::Database(error)))
                if error.code().as_deref() == Some("1") =>
            {
                return Err(cannot_migrate(place, &error));
            }
            Err(error) => return Err(error),
        }
    }
}

impl Store {
    /// The version of the schema, and the newest that this binary knows.
    ///
    /// # Errors
    /// The store's.
    pub async fn schema_version(&self) -> Result<(i64, i64)> {
        let version = sqlx::query_scalar("SELECT version FROM schema_meta")
            .fetch_one(&self.readers)
            .await?;
        Ok((version, VERSION))
    }
}

fn cannot_migrate(place: &str, error: &dyn std::error::Error) -> StoreError {
    StoreError::Unusable(format!("{place} cannot be migrated: {error}"))
}

enum Schema {
    /// Another step is needed.
    Older,
    /// This binary can use it; it may be newer.
    Current { store_id: String },
    /// It must not be used by this binary.
    TooNew { version: i64, min_compatible: i64 },
}

/// Looks at the schema and runs the next migration, if there is one.
async fn step(store: &Connections, engine: Engine) -> Result<Schema> {
    if has_schema(store, engine).await? {
        let (version, min_compatible, store_id): (i64, i64, String) =
            sqlx::query_as("SELECT version, min_compatible, store_id FROM schema_meta")
                .fetch_one(store)
                .await?;
        if min_compatible > VERSION {
            return Ok(Schema::TooNew {
                version,
                min_compatible,
            });
        }
        if version >= VERSION {
            return Ok(Schema::Current { store_id });
        }
        let mut tx = begin(store, engine).await?;
        // Takes the row's lock: who comes second waits here, and then finds another version.
        let ours = sqlx::query("UPDATE schema_meta SET version = version + 1 WHERE version = $1")
            .bind(version)
            .execute(&mut tx)
            .await?;
        if ours.rows_affected() == 1 {
            let index = usize::try_from(version).expect("migrations are counted from 1");
            raw_sql(MIGRATIONS[index]).execute(&mut tx).await?;
            tx.commit().await?;
        }
        return Ok(Schema::Older);
    }
    let mut tx = begin(store, engine).await?;
    raw_sql(MIGRATIONS[0]).execute(&mut tx).await?;
    sqlx::query(
        "INSERT INTO schema_meta(one, version, min_compatible, store_id) VALUES(1, 1, 1, $1)",
    )
    .bind(uuid::Uuid::new_v4().to_string())
    .execute(&mut tx)
    .await?;
    tx.commit().await?;
    Ok(Schema::Older)
}

async fn begin(store: &Connections, engine: Engine) -> Result<Tx> {
    let mut tx = store.begin().await?;
    if engine == Engine::Postgres {
        // A migration that waits for a lock holds up everybody who comes after it.
        raw_sql("SET LOCAL lock_timeout = 1000")
            .execute(&mut tx)
            .await?;
    }
    Ok(tx)
}

async fn has_schema(store: &Connections, engine: Engine) -> Result<bool> {
    let count = match engine {
        Engine::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_meta'",
        Engine::Postgres => "SELECT COUNT(to_regclass('schema_meta'))",
    };
    let count: i64 = sqlx::query_scalar(count).fetch_one(store).await?;
    Ok(count > 0)
}

/// Another process migrates, or a transaction on the table goes on.
fn is_locked(error: &StoreError) -> bool {
    let StoreError::Unavailable(error) = error else {
        return false;
    };
    matches!(sqlstate(error), Some("55P03" | "40P01" | "40001"))
}

/// What the loser of a race for the same migration sees: unique_violation in the catalogue,
/// duplicate_table, duplicate_column, duplicate_object.
fn is_made_already(error: &StoreError) -> bool {
    let StoreError::Rejected(error) = error else {
        return false;
    };
    matches!(sqlstate(error), Some("23505" | "42P07" | "42701" | "42710"))
}
