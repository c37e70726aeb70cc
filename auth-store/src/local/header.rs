//! The one row that says whose file this is and who may write to it.

use std::io;
use std::path::{Path, PathBuf};

use ring::digest;
use sqlx::{Row as _, SqliteConnection};

use super::classify;
use super::table::KeySet;
use crate::AccountName;
use crate::record::RecordError;

/// Version of the file's layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LocalFormat(i64);

impl LocalFormat {
    const CURRENT: Self = Self(1);
}

/// Why an account's file cannot be used by this process.
#[derive(Debug, thiserror::Error)]
pub enum OpenMediumError {
    /// A newer owner has it. Step down.
    #[error(
        "{} was opened by epoch {stored}, this process holds epoch {ours}",
        file.display()
    )]
    Fenced {
        /// The file.
        file: PathBuf,
        /// Epoch of the caller.
        ours: i64,
        /// Epoch in the file.
        stored: i64,
    },
    /// It belongs to another shared store: operating it here would split the account.
    #[error(
        "{} belongs to store {found}, this worker uses store {ours}: point the worker at that \
         store, or give it an auth directory of its own",
        file.display()
    )]
    ForeignStore {
        /// The file.
        file: PathBuf,
        /// Store in the file.
        found: String,
        /// Store of the caller.
        ours: String,
    },
    /// It holds another account.
    #[error("{} holds account {found}, not {ours}", file.display())]
    ForeignAccount {
        /// The file.
        file: PathBuf,
        /// Account in the file.
        found: String,
        /// Account of the caller.
        ours: AccountName,
    },
    /// It was written by a newer release.
    #[error("{} has format {found}, this release knows format {known}", file.display())]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// Format of the file.
        found: i64,
        /// Format of this release.
        known: i64,
    },
    /// It is damaged, or the disk does not answer.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The header row. It carries a checksum of itself.
pub(crate) struct Header {
    format: LocalFormat,
    account: String,
    store_id: String,
    pub(crate) epoch: i64,
    pub(crate) keys: KeySet,
    pub(crate) last_write_ms: Option<i64>,
}

impl Header {
    pub(super) fn new(account: &AccountName, store_id: &str, epoch: i64) -> Self {
        Self {
            format: LocalFormat::CURRENT,
            account: account.as_str().to_owned(),
            store_id: store_id.to_owned(),
            epoch,
            keys: KeySet::default(),
            last_write_ms: None,
        }
    }

    pub(crate) async fn read(
        connection: &mut SqliteConnection,
        file: &Path,
    ) -> Result<Self, RecordError> {
        let row = sqlx::query(
            "SELECT format, account, store_id, epoch, key_count, key_digest, last_write_ms, checksum \
             FROM header WHERE id = 1",
        )
        .fetch_one(connection)
        .await
        .map_err(|error| classify(file, error))?;
        let read = || -> Result<(Self, Vec<u8>), sqlx::Error> {
            let header = Self {
                format: LocalFormat(row.try_get(0)?),
                account: row.try_get(1)?,
                store_id: row.try_get(2)?,
                epoch: row.try_get(3)?,
                keys: KeySet::from_parts(row.try_get(4)?, row.try_get(5)?)?,
                last_write_ms: row.try_get(6)?,
            };
            Ok((header, row.try_get(7)?))
        };
        let (header, checksum) = read().map_err(|error| classify(file, error))?;
        if header.checksum().as_ref() != checksum.as_slice() {
            return Err(RecordError::Damaged {
                file: file.to_owned(),
                detail: "the checksum of its header does not match".to_owned(),
            });
        }
        Ok(header)
    }

    /// Refuses a file of another account, store or of a newer format.
    pub(super) fn check_owner(
        &self,
        file: &Path,
        account: &AccountName,
        store_id: &str,
    ) -> Result<(), OpenMediumError> {
        if self.format != LocalFormat::CURRENT {
            return Err(OpenMediumError::NewerFormat {
                file: file.to_owned(),
                found: self.format.0,
                known: LocalFormat::CURRENT.0,
            });
        }
        if self.account != account.as_str() {
            return Err(OpenMediumError::ForeignAccount {
                file: file.to_owned(),
                found: self.account.clone(),
                ours: account.clone(),
            });
        }
        if self.store_id != store_id {
            return Err(OpenMediumError::ForeignStore {
                file: file.to_owned(),
                found: self.store_id.clone(),
                ours: store_id.to_owned(),
            });
        }
        Ok(())
    }

    pub(crate) fn store_id(&self) -> &str {
        &self.store_id
    }

    pub(super) async fn insert(
        &self,
        connection: &mut SqliteConnection,
        file: &Path,
    ) -> Result<(), RecordError> {
        sqlx::query(
            "INSERT INTO header(id, format, account, store_id, epoch, key_count, key_digest, \
             last_write_ms, checksum) VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .bind(self.format.0)
        .bind(&self.account)
        .bind(&self.store_id)
        .bind(self.epoch)
        .bind(self.keys.count())
        .bind(self.keys.digest().as_slice())
        .bind(self.last_write_ms)
        .bind(self.checksum().as_ref())
        .execute(connection)
        .await
        .map_err(|error| classify(file, error))?;
        Ok(())
    }

    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        file: &Path,
    ) -> Result<(), RecordError> {
        sqlx::query(
            "UPDATE header SET epoch = ?1, key_count = ?2, key_digest = ?3, last_write_ms = ?4, \
             checksum = ?5 WHERE id = 1",
        )
        .bind(self.epoch)
        .bind(self.keys.count())
        .bind(self.keys.digest().as_slice())
        .bind(self.last_write_ms)
        .bind(self.checksum().as_ref())
        .execute(connection)
        .await
        .map_err(|error| classify(file, error))?;
        Ok(())
    }

    fn checksum(&self) -> digest::Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        for text in [&self.account, &self.store_id] {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        context.update(&self.format.0.to_be_bytes());
        context.update(&self.epoch.to_be_bytes());
        context.update(&self.keys.count().to_be_bytes());
        context.update(self.keys.digest());
        context.update(&[u8::from(self.last_write_ms.is_some())]);
        context.update(&self.last_write_ms.unwrap_or_default().to_be_bytes());
        context.finish()
    }
}
