//! The local medium: an SQLite file per account, `<auth_root>/<account>/auth.db`.
//!
//! # Invariants
//!
//! - The file names the account and the shared store it belongs to, and holds
//!   the highest epoch that opened it. Opening raises the epoch; every write
//!   transaction first checks that the epoch is still its own, so a process
//!   that was overtaken cannot write. Nothing is locked for longer than a
//!   transaction: a frozen owner must not keep the next one out.
//! - Absence is never the reading of damage. A file is made under another name
//!   and linked into place, so an empty or truncated `auth.db` is damage. The
//!   set of keys has a checksum, verified on opening, so a key that a flipped
//!   bit renamed is damage too. Values are covered by their seal.
//! - Directory 0700, files 0600.
//!
//! # Failures
//!
//! A busy, full or unreadable disk is [`RecordError::Unavailable`]. A malformed
//! file is [`RecordError::Damaged`] and names the file.
//!
//! The one connection is opened on demand and closed after half a minute
//! without use, which gives its memory back.

pub(crate) mod file;
mod header;
pub(crate) mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::AccountName;
use crate::record::{Batch, RecordError, RecordKey, RecordStore};

pub(crate) use file::{AUTH_FILE, account_file};
pub(crate) use header::Header;
pub use header::OpenMediumError;

/// How long the connection stays open without being used.
const IDLE: Duration = Duration::from_secs(30);
/// How long a transaction waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The records of one account in a local file, opened for one epoch.
pub struct LocalMedium {
    file: PathBuf,
    epoch: i64,
    pool: SqlitePool,
}

impl LocalMedium {
    /// Opens the account's file under `auth_root` for `epoch`, making it if
    /// there is none, and raises its stored epoch. `store_id` is the identity
    /// of the shared store that the account belongs to.
    ///
    /// # Errors
    /// [`OpenMediumError::Fenced`] if a higher epoch has opened it,
    /// [`OpenMediumError::ForeignStore`] if it belongs to another store, and
    /// the others as they say. On an error the file is unchanged.
    pub async fn open(
        auth_root: &Path,
        account: &AccountName,
        store_id: &str,
        epoch: i64,
    ) -> Result<Self, OpenMediumError> {
        let file = account_file(auth_root, account);
        file::ensure(auth_root, account, store_id, epoch).await?;
        let medium = Self {
            pool: SqlitePoolOptions::new()
                .max_connections(1)
                .min_connections(0)
                .idle_timeout(IDLE)
                .max_lifetime(None)
                .test_before_acquire(false)
                .connect_lazy_with(connect_options(&file)),
            file,
            epoch,
        };
        match medium.claim(account, store_id).await {
            Ok(()) => Ok(medium),
            Err(error) => {
                medium.close().await;
                Err(error)
            }
        }
    }

    async fn claim(&self, account: &AccountName, store_id: &str) -> Result<(), OpenMediumError> {
        let mut tx = self.begin().await?;
        let mut header = Header::read(&mut tx, &self.file).await?;
        header.check_owner(&self.file, account, store_id)?;
        if header.epoch > self.epoch {
            return Err(OpenMediumError::Fenced {
                file: self.file.clone(),
                ours: self.epoch,
                stored: header.epoch,
            });
        }
        table::verify(&mut tx, &header, &self.file).await?;
        if header.epoch < self.epoch {
            header.epoch = self.epoch;
            header.write(&mut tx, &self.file).await?;
        }
        self.commit(tx).await?;
        Ok(())
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Closes the connection and waits until it is closed. Later calls fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, RecordError> {
        self.pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| classify(&self.file, error))
    }

    async fn commit(&self, tx: Transaction<'static, Sqlite>) -> Result<(), RecordError> {
        tx.commit()
            .await
            .map_err(|error| classify(&self.file, error))
    }

    async fn reader(&self) -> Result<sqlx::pool::PoolConnection<Sqlite>, RecordError> {
        self.pool
            .acquire()
            .await
            .map_err(|error| classify(&self.file, error))
    }
}

impl fmt::Debug for LocalMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalMedium")
            .field("file", &self.file)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RecordStore for LocalMedium {
    async fn load(&self, key: &RecordKey) -> Result<Option<Bytes>, RecordError> {
        table::load(&mut *self.reader().await?, key, &self.file).await
    }

    async fn load_many(&self, keys: &[RecordKey]) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        let mut connection = self.reader().await?;
        let mut found = Vec::new();
        for key in keys {
            if let Some(value) = table::load(&mut connection, key, &self.file).await? {
                found.push((key.clone(), value));
            }
        }
        Ok(found)
    }

    async fn load_prefix(&self, prefix: &str) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        table::load_prefix(&mut *self.reader().await?, prefix, &self.file).await
    }

    async fn keys(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> Result<Vec<RecordKey>, RecordError> {
        table::keys(&mut *self.reader().await?, from, before, limit, &self.file).await
    }

    async fn apply(&self, batch: &Batch) -> Result<(), RecordError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let mut header = Header::read(&mut tx, &self.file).await?;
        if header.epoch != self.epoch {
            return Err(RecordError::Fenced {
                ours: self.epoch,
                stored: header.epoch,
            });
        }
        table::apply(&mut tx, &mut header, batch, &self.file).await?;
        header.write(&mut tx, &self.file).await?;
        self.commit(tx).await
    }
}

fn connect_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cell_size_check", "ON")
        .pragma("trusted_schema", "OFF")
}

/// A connection that can only read, for looking at a file that somebody else may hold.
pub(crate) async fn connect_read_only(file: &Path) -> Result<SqliteConnection, RecordError> {
    use sqlx::ConnectOptions as _;
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .connect()
        .await
        .map_err(|error| classify(file, error))
}

/// Tells damage from a medium that does not answer.
///
/// SQLite's primary result codes are the low byte of the extended ones:
/// 11 `SQLITE_CORRUPT`, 26 `SQLITE_NOTADB`, 1 `SQLITE_ERROR` (here: the schema
/// is not ours, since the statements are fixed).
pub(crate) fn classify(file: &Path, error: sqlx::Error) -> RecordError {
    let damaged = |detail: String| RecordError::Damaged {
        file: file.to_owned(),
        detail,
    };
    match &error {
        sqlx::Error::Database(db) => {
            let code = db.code().and_then(|code| code.parse::<u32>().ok());
            match code.map(|code| code & 0xff) {
                Some(1 | 11 | 26) => damaged(db.message().to_owned()),
                _ => RecordError::Unavailable(std::sync::Arc::new(error)),
            }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
            damaged(error.to_string())
        }
        _ => RecordError::Unavailable(std::sync::Arc::new(error)),
    }
}
