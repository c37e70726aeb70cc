//! The shared store: the only door for writes that other processes must see.
//!
//! One transaction for each business fact, named after it ([`Store::accept_inbound`],
//! [`Store::acquire_lease`]). Everything that belongs to an account is written under a [`Fence`],
//! which the transaction checks first: a worker that lost its lease finds no row and changes nothing.
//!
//! The engine is SQLite: WAL, `synchronous=FULL` (a commit that a power cut takes back would roll
//! back a ratchet that WhatsApp has already seen move), every write `BEGIN IMMEDIATE`. Lease
//! statements have a connection of their own, so that a heartbeat never queues behind messages.
//!
//! Failures: [`StoreError::Fenced`] means step down; [`StoreError::Unavailable`] means try again
//! while trusted, and never "the store is empty".

mod accounts;
mod audit;
mod fence;
mod inbound;
mod jobs;
mod lease;
mod link;
mod missing;
mod schema;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Sqlite, Transaction};

pub use accounts::Account;
pub use audit::AuditRow;
pub use fence::Fence;
pub use inbound::{Accepted, Arrival};
pub use jobs::{Job, JobDetail, JobFilter, JobStatus};
pub use lease::{AcquireLease, LeaseRow};
pub use link::{LinkCode, LinkCodeKind, LinkWish, SessionStatus};
pub use missing::{Ledger, MissingMessage, MissingNote};

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The lease that this write belongs to is somebody else's now. Nothing was written.
    #[error("the lease of account '{0}' was lost: another worker holds it now")]
    Fenced(crate::ids::AccountId),
    /// The store could not be reached or was busy. Nothing is known about the write's success.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The store refuses what is written: repeating it changes nothing.
    #[error("the store refuses it: {0}")]
    Rejected(#[source] sqlx::Error),
    /// The store cannot be used as it is; a person must act.
    #[error("{0}")]
    Unusable(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        match &error {
            sqlx::Error::Database(db) if !matches!(db.kind(), ErrorKind::Other) => {
                Self::Rejected(error)
            }
            _ => Self::Unavailable(error),
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// A handle to the shared store. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    file: FileId,
    store_id: String,
    writer: SqlitePool,
    leases: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens the store at `url` (`sqlite:PATH`), creating and migrating it when needed.
    /// `busy` is how long a statement waits for another process's transaction.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] for a URL, directory, file system or schema that cannot serve, with
    /// the cure in its text; [`StoreError::Unavailable`] when it may work later.
    pub async fn open(url: &str, busy: Duration) -> Result<Self> {
        let path = sqlite_path(url)?;
        make_directory(&path)?;
        Self::open_file(path, busy).await
    }

    /// Opens the store at `url` if there is one: for commands that only look, which must not make an
    /// empty store where a path is misspelt.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::Unusable`] when there is no store.
    pub async fn open_existing(url: &str, busy: Duration) -> Result<Self> {
        let path = sqlite_path(url)?;
        if !path.exists() {
            return Err(StoreError::Unusable(format!(
                "there is no store at {}: STORE_URL is {url:?}, and a worker makes the store when it first runs",
                path.display()
            )));
        }
        Self::open_file(path, busy).await
    }

    async fn open_file(path: PathBuf, busy: Duration) -> Result<Self> {
        schema::refuse_network_file_system(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(busy)
            .statement_cache_capacity(64);
        let one = || {
            SqlitePoolOptions::new()
                .max_connections(1)
                .idle_timeout(None)
        };
        let (writer, store_id) = {
            // Making a file WAL wants it alone, and does not wait as other statements do.
            let _turn = schema::Turn::take(&path).await?;
            let writer = one()
                .connect_with(options.clone())
                .await
                .map_err(|error| cannot_open(&path, error))?;
            let store_id = schema::migrate(&writer, &path).await?;
            (writer, store_id)
        };
        let leases = one().connect_with(options.clone()).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(3)
            .min_connections(0)
            .idle_timeout(Duration::from_secs(30))
            .connect_with(options)
            .await?;
        let store = Self {
            file: FileId::of(&path)?,
            path,
            store_id,
            writer,
            leases,
            readers,
        };
        store.assert_durable().await?;
        Ok(store)
    }

    /// Identifies this store for good, wherever its file is moved to.
    pub fn store_id(&self) -> &str {
        &self.store_id
    }

    /// The file behind it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes all connections after their current statement. Not cancel safe: await it to the end.
    pub async fn close(&self) {
        self.readers.close().await;
        self.leases.close().await;
        self.writer.close().await;
    }

    /// The store's clock, in milliseconds: for telling people how old something is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn now_ms(&self) -> Result<i64> {
        let sql = sql("SELECT {NOW}");
        Ok(sqlx::query_scalar(sql).fetch_one(&self.readers).await?)
    }

    async fn assert_durable(&self) -> Result<()> {
        for pool in [&self.writer, &self.leases] {
            let level: i64 = sqlx::query_scalar("PRAGMA synchronous")
                .fetch_one(pool)
                .await?;
            if level < 2 {
                return Err(StoreError::Unusable(format!(
                    "{} runs with synchronous={level}, which may lose commits when power fails; FULL (2) is needed",
                    self.path.display()
                )));
            }
        }
        Ok(())
    }

    /// Whether the file that is open is still the one at the path. What is committed to a file that
    /// was deleted or replaced is lost, however well the commits go.
    fn is_still_there(&self) -> Result<()> {
        if FileId::of(&self.path).ok() == Some(self.file) {
            return Ok(());
        }
        Err(StoreError::Unusable(format!(
            "{} was deleted or replaced while it was in use: stop every worker, put the right file back, start again",
            self.path.display()
        )))
    }

    /// Begins a write that no lease protects: operators and the lease itself.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        self.is_still_there()?;
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Begins a write under `fence`. The lease row is checked before anything else.
    async fn begin_fenced(&self, fence: &Fence) -> Result<Transaction<'static, Sqlite>> {
        let mut tx = self.begin().await?;
        fence.check(&mut tx).await?;
        Ok(tx)
    }
}

/// Puts the engine's clock where the shared SQL says `{NOW}`.
fn sql(text: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(text.replace("{NOW}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)"))
}

/// The store's clock inside a transaction, read once and used for all its rows.
async fn now(tx: &mut SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(sql("SELECT {NOW}"))
        .fetch_one(tx)
        .await?)
}

/// Device and inode: a path may come to name another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(path: &Path) -> Result<Self> {
        std::fs::metadata(path)
            .map(|file| Self(file.dev(), file.ino()))
            .map_err(|error| StoreError::Unusable(format!("{}: {error}", path.display())))
    }
}

/// The path in a store URL; nothing is touched.
///
/// # Errors
/// [`StoreError::Unusable`] with the form that is wanted.
pub fn sqlite_path(url: &str) -> Result<PathBuf> {
    let Some(rest) = url.strip_prefix("sqlite:") else {
        let scheme = url.split(':').next().unwrap_or(url);
        return Err(StoreError::Unusable(format!(
            "STORE_URL has the scheme {scheme:?}, which this version does not know: use sqlite:PATH"
        )));
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains('?') {
        return Err(StoreError::Unusable(format!(
            "STORE_URL is {url:?}: write sqlite:PATH, without parameters, e.g. sqlite:data/store.db"
        )));
    }
    Ok(PathBuf::from(path))
}

fn make_directory(path: &Path) -> Result<()> {
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
