//! Migrations and what is checked before a store is used.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqlitePool;

use super::{Result, StoreError};

/// The newest migration that this binary knows.
const VERSION: i64 = 1;

const MIGRATIONS: [(i64, &str, &str); 1] =
    [(1, "init", include_str!("../../migrations/001_init.sql"))];

/// Brings the schema up to date and returns the store's id. The caller has the [`Turn`].
pub(super) async fn migrate(pool: &SqlitePool, path: &Path) -> Result<String> {
    if let Some((version, min_compatible)) = version(pool).await?
        && VERSION < min_compatible
    {
        return Err(StoreError::Unusable(format!(
            "{} has schema {version}, which needs a binary that knows schema {min_compatible} or later; this one knows {VERSION}. Use the newer binary.",
            path.display()
        )));
    }
    let migrations = MIGRATIONS
        .iter()
        .map(|&(version, name, text)| {
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                sqlx::SqlSafeStr::into_sql_str(text),
                false,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    // A newer binary may have gone ahead during a rollover.
    migrator.set_ignore_missing(true);
    migrator.run(pool).await.map_err(|error| {
        StoreError::Unusable(format!("{} cannot be migrated: {error}", path.display()))
    })?;
    sqlx::query(
        "INSERT INTO schema_meta(one, version, min_compatible, store_id) VALUES(1, $1, 1, $2)
         ON CONFLICT(one) DO UPDATE SET version = MAX(schema_meta.version, excluded.version)",
    )
    .bind(VERSION)
    .bind(uuid::Uuid::new_v4().to_string())
    .execute(pool)
    .await?;
    Ok(sqlx::query_scalar("SELECT store_id FROM schema_meta")
        .fetch_one(pool)
        .await?)
}

async fn version(pool: &SqlitePool) -> Result<Option<(i64, i64)>> {
    let exists: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_meta'")
            .fetch_one(pool)
            .await?;
    if exists == 0 {
        return Ok(None);
    }
    Ok(
        sqlx::query_as("SELECT version, min_compatible FROM schema_meta")
            .fetch_optional(pool)
            .await?,
    )
}

/// Processes that start at once open and migrate the store one after the other. The lock goes with
/// the file handle.
pub(super) struct Turn(#[expect(dead_code, reason = "dropping it unlocks")] std::fs::File);

impl Turn {
    /// Waits for the turn, and makes the store's file when there is none: for its owner's eyes only.
    pub(super) async fn take(store: &Path) -> Result<Self> {
        let (path, lock) = (store.to_owned(), store.with_extension("open.lock"));
        let lock = tokio::task::spawn_blocking(move || {
            let lock = std::fs::File::create(&lock)?;
            lock.lock()?;
            std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&path)?;
            std::io::Result::Ok(lock)
        });
        lock.await
            .expect("locking a file does not panic")
            .map(Self)
            .map_err(|error| {
                StoreError::Unusable(format!(
                    "no file can be made beside {}: {error}",
                    store.display()
                ))
            })
    }
}

/// SQLite's locks are not reliable on network file systems, and the lease stands on them.
pub(super) fn refuse_network_file_system(path: &Path) -> Result<()> {
    // From statfs(2): NFS, SMB, CIFS, SMB2, AFS, Coda, NCP, Ceph, 9P.
    const NETWORK: [i64; 9] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x5346_414f,
        0x7375_7245,
        0x564c,
        0x00c3_6400,
        0x0102_1997,
    ];
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match rustix::fs::statfs(dir) {
        Ok(stat) if NETWORK.contains(&(stat.f_type & 0xffff_ffff)) => {
            Err(StoreError::Unusable(format!(
                "STORE_URL: {} is on a network file system, where SQLite's locks cannot be trusted: use a local disk",
                dir.display()
            )))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(StoreError::Unusable(format!(
            "STORE_URL: {} cannot be read: {error}",
            dir.display()
        ))),
    }
}
