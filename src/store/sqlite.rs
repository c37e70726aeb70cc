//! Opening a store that is a file.

use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::changes::Exchange;
use super::connections::Connections;
use super::{Engine, Place, Result, Store, StoreError, StoreOptions, schema};

pub(super) async fn open(path: &Path, options: StoreOptions) -> Result<Store> {
    refuse_network_file_system(path)?;
    let target = target(path);
    let pool = |connections: u32, idle: Option<Duration>| {
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .idle_timeout(idle)
            .after_connect(move |connection, _| {
                Box::pin(async move { configure(connection, options.busy).await })
            })
            .connect_lazy_with(target.clone());
        Connections::new(pool, Engine::Sqlite, None)
    };
    let writer = pool(1, None);
    let store_id = {
        // Making a file WAL wants it alone, and does not wait as other statements do.
        let _turn = Turn::take(path).await?;
        first_connection(&target, options.busy)
            .await
            .map_err(|error| cannot_open(path, error))?;
        schema::migrate(&writer, Engine::Sqlite, &path.display().to_string()).await?
    };
    let leases = pool(1, None);
    let place = Arc::new(Place::Sqlite(path.to_owned()));
    let store = Store {
        exchange: Exchange::new(place.clone()),
        place,
        file: Some(FileIdentity::of(path)?),
        store_id,
        writer,
        // The queue of a pool is fair, and SQLite's own among connections is not.
        beats: leases.clone(),
        leases,
        readers: pool(3, Some(Duration::from_secs(30))),
    };
    for connections in [&store.writer, &store.leases] {
        assert_durable(connections, path).await?;
    }
    Ok(store)
}

/// A connection of its own, for [`super::Changes`].
pub(super) async fn connect(path: &Path, busy: Duration) -> sqlx::Result<AnyConnection> {
    let mut connection = target(path).connect().await?;
    configure(&mut connection, busy).await?;
    Ok(connection)
}

fn target(path: &Path) -> AnyConnectOptions {
    // Even the slashes: the driver decodes it, and nothing in between may tidy the path.
    let path = path.to_str().expect("a store URL is text");
    format!("sqlite:{}", utf8_percent_encode(path, NON_ALPHANUMERIC))
        .parse()
        .expect("an encoded path is a URL")
}

/// A pool would repeat what fails until its time is up, and forget why.
async fn first_connection(target: &AnyConnectOptions, busy: Duration) -> sqlx::Result<()> {
    let mut connection = target.connect().await?;
    configure(&mut connection, busy).await?;
    connection.close().await
}

async fn configure(connection: &mut AnyConnection, busy: Duration) -> sqlx::Result<()> {
    let busy = busy.as_millis();
    let pragmas = format!(
        "PRAGMA busy_timeout = {busy}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"
    );
    connection.execute(AssertSqlSafe(pragmas)).await?;
    Ok(())
}

async fn assert_durable(connections: &Connections, path: &Path) -> Result<()> {
    let level: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(connections)
        .await?;
    if level >= 2 {
        return Ok(());
    }
    Err(StoreError::Unusable(format!(
        "{} runs with synchronous={level}, which may lose commits when power fails; FULL (2) is needed",
        path.display()
    )))
}

/// Device and inode: a path may come to name another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity(u64, u64);

impl FileIdentity {
    fn of(path: &Path) -> Result<Self> {
        std::fs::metadata(path)
            .map(|file| Self(file.dev(), file.ino()))
            .map_err(|error| StoreError::Unusable(format!("{}: {error}", path.display())))
    }

    pub(super) fn assert_is_at(self, path: &Path) -> Result<()> {
        if Self::of(path).ok() == Some(self) {
            return Ok(());
        }
        Err(StoreError::Unusable(format!(
            "{} was deleted or replaced while it was in use: stop every worker, put the right file back, start again",
            path.display()
        )))
    }
}

/// Processes that start at once open and migrate the store one after the other. The lock goes with
/// the file handle.
struct Turn(#[expect(dead_code, reason = "dropping it unlocks")] std::fs::File);

impl Turn {
    /// Waits for the turn, and makes the store's file when there is none: for its owner's eyes only.
    async fn take(store: &Path) -> Result<Self> {
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

pub(super) fn make_directory(path: &Path) -> Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|error| {
            StoreError::Unusable(format!(
                "STORE_URL: the directory {} cannot be made: {error}",
                dir.display()
            ))
        })?;
    }
    Ok(())
}

fn cannot_open(path: &Path, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(db) if is_not_a_store(db.as_ref()) => StoreError::Unusable(format!(
            "{} is not a usable SQLite file ({db}). Nothing was changed; move it away or restore a copy.",
            path.display()
        )),
        _ => StoreError::Unavailable(error),
    }
}

/// SQLITE_NOTADB, SQLITE_CORRUPT, SQLITE_CANTOPEN, SQLITE_READONLY with their extended codes.
fn is_not_a_store(error: &dyn sqlx::error::DatabaseError) -> bool {
    error
        .code()
        .and_then(|code| code.parse::<i32>().ok())
        .is_some_and(|code| matches!(code & 0xff, 26 | 11 | 14 | 8))
}

/// SQLite's locks are not reliable on network file systems, and the lease stands on them.
fn refuse_network_file_system(path: &Path) -> Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match rustix::fs::statfs(dir) {
        Ok(stat) => refuse_network(dir, stat.f_type),
        Err(error) => Err(StoreError::Unusable(format!(
            "STORE_URL: {} cannot be read: {error}",
            dir.display()
        ))),
    }
}

fn refuse_network(dir: &Path, kind: i64) -> Result<()> {
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
    if NETWORK.contains(&(kind & 0xffff_ffff)) {
        return Err(StoreError::Unusable(format!(
            "STORE_URL: {} is on a network file system, where SQLite's locks cannot be trusted: use a local disk",
            dir.display()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_refused_and_a_local_one_is_not() {
        let dir = Path::new("data");
        let nfs = refuse_network(dir, 0x6969).expect_err("NFS");
        assert_eq!(
            nfs.to_string(),
            "STORE_URL: data is on a network file system, where SQLite's locks cannot be trusted: use a local disk"
        );
        // As a machine with a 32-bit field tells SMB2: with its sign.
        assert!(refuse_network(dir, i64::from(0xfe53_4d42_u32.cast_signed())).is_err());
        for local in [0xef53, 0x0102_1994, 0x5846_5342] {
            assert!(refuse_network(dir, local).is_ok(), "{local:x}");
        }
    }
}
