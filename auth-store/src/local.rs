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

mod error;
mod file;
mod header;
mod moving;
mod schema;
mod signature;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::head::Head;
use crate::record::{Batch, RecordError, RecordKey, RecordStore};
use crate::{AccountName, clock};

pub use error::OpenMediumError;
use error::{classify, damaged, place};
pub(crate) use file::AUTH_FILE;
use file::account_file;
use header::Header;

/// How long the connection stays open without being used.
const IDLE: Duration = Duration::from_secs(30);
/// How long a transaction waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The records of one account in a local file.
pub struct LocalMedium {
    file: PathBuf,
    access: Access,
    pool: SqlitePool,
}

/// What this process may do with the file.
#[derive(Debug, Clone, Copy)]
enum Access {
    /// Read and write, as long as the file belongs to this epoch.
    Owner { epoch: i64 },
    /// Look at it, whoever owns it.
    View,
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
        file::ensure(auth_root, account, store_id, epoch).await?;
        let medium = Self::over(account_file(auth_root, account), Access::Owner { epoch });
        let claimed = medium.claim(account, store_id, epoch).await;
        medium.or_close(claimed).await
    }

    /// Opens the account's file to look at it; `None` if there is none. Works
    /// while another process has it open, and changes nothing, not even the
    /// epoch: [`apply`](RecordStore::apply) is refused.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub async fn view(
        auth_root: &Path,
        account: &AccountName,
    ) -> Result<Option<Self>, OpenMediumError> {
        let file = account_file(auth_root, account);
        if !file::exists(&file)? {
            return Ok(None);
        }
        signature::check(&file)?;
        let medium = Self::over(file, Access::View);
        let checked = medium.check(account).await;
        medium.or_close(checked).await.map(Some)
    }

    fn over(file: PathBuf, access: Access) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(0)
            .idle_timeout(IDLE)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(match access {
                Access::Owner { .. } => connect_options(&file),
                Access::View => view_options(&file),
            });
        Self { file, access, pool }
    }

    async fn or_close(self, opened: Result<(), OpenMediumError>) -> Result<Self, OpenMediumError> {
        match opened {
            Ok(()) => Ok(self),
            Err(error) => {
                self.close().await;
                Err(error)
            }
        }
    }

    async fn claim(
        &self,
        account: &AccountName,
        store_id: &str,
        epoch: i64,
    ) -> Result<(), OpenMediumError> {
        let mut tx = self.begin().await?;
        schema::check(&mut tx, &self.file).await?;
        let mut header = Header::read(&mut tx, &self.file).await?;
        header.check_account(&self.file, account)?;
        header.check_store(&self.file, store_id)?;
        if header.head.epoch > epoch {
            return Err(OpenMediumError::Fenced {
                file: self.file.clone(),
                ours: epoch,
                stored: header.head.epoch,
            });
        }
        table::verify(&mut tx, &header, &self.file).await?;
        let upgraded = header.upgrade(&mut tx, &self.file).await?;
        if upgraded || header.head.epoch < epoch {
            header.head.epoch = epoch;
            header.write(&mut tx, &self.file).await?;
        }
        self.commit(tx).await?;
        Ok(())
    }

    async fn check(&self, account: &AccountName) -> Result<(), OpenMediumError> {
        let mut connection = self.reader().await?;
        // One snapshot for the header and the keys.
        let mut tx = sqlx::Connection::begin(&mut *connection)
            .await
            .map_err(|error| classify(&self.file, error))?;
        schema::check(&mut tx, &self.file).await?;
        let header = Header::read(&mut tx, &self.file).await?;
        header.check_account(&self.file, account)?;
        Ok(table::verify(&mut tx, &header, &self.file).await?)
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Closes the connection and waits until it is closed. Later calls fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn stamp(&self, pool: &SqlitePool) -> Result<(), RecordError> {
        let mut tx = self.begin_on(pool).await?;
        let mut header = self.header(&mut tx).await?;
        if !header.is_upgraded() {
            // Only an owner brings a file to the current format.
            return Ok(());
        }
        header.head.verified_ms = Some(clock::unix_millis());
        header.write(&mut tx, &self.file).await?;
        self.commit(tx).await
    }

    /// The header of a file whose format and owner were checked before.
    async fn header(&self, connection: &mut SqliteConnection) -> Result<Header, RecordError> {
        Header::read(connection, &self.file)
            .await
            .map_err(|error| match error {
                OpenMediumError::Records(error) => error,
                error => damaged(&self.file, error.to_string()),
            })
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, RecordError> {
        self.begin_on(&self.pool).await
    }

    async fn begin_on(
        &self,
        pool: &SqlitePool,
    ) -> Result<Transaction<'static, Sqlite>, RecordError> {
        pool.begin_with("BEGIN IMMEDIATE")
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
            .field("access", &self.access)
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

    async fn page(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        table::page(&mut *self.reader().await?, after, limit, &self.file).await
    }

    async fn count(&self, prefix: &str) -> Result<u64, RecordError> {
        table::count_prefix(&mut *self.reader().await?, prefix, &self.file).await
    }

    async fn apply(&self, batch: &Batch) -> Result<(), RecordError> {
        let Access::Owner { epoch } = self.access else {
            return Err(RecordError::ReadOnly);
        };
        if batch.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let mut header = self.header(&mut tx).await?;
        if header.head.epoch != epoch {
            return Err(RecordError::Fenced {
                ours: epoch,
                stored: header.head.epoch,
            });
        }
        table::apply(&mut tx, &mut header, batch, &self.file).await?;
        header.write(&mut tx, &self.file).await?;
        self.commit(tx).await
    }

    async fn head(&self) -> Result<Option<Head>, RecordError> {
        let mut connection = self.reader().await?;
        Ok(Some(self.header(&mut connection).await?.head))
    }

    async fn stamp_verified(&self) -> Result<(), RecordError> {
        if let Access::View = self.access {
            let owner = SqlitePoolOptions::new()
                .max_connections(1)
                .connect_lazy_with(connect_options(&self.file));
            let stamped = self.stamp(&owner).await;
            owner.close().await;
            return stamped;
        }
        self.stamp(&self.pool).await
    }

    async fn examine(&self) -> Result<(), RecordError> {
        table::examine(&mut *self.reader().await?, &self.file).await
    }

    fn place(&self) -> String {
        place(&self.file)
    }

    fn checks_itself(&self) -> bool {
        true
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

fn view_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cell_size_check", "ON")
        .pragma("trusted_schema", "OFF")
}
