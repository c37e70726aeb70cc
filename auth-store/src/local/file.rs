//! Where an account's file is, and how it comes to be.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use super::error::{OpenMediumError, classify, damaged};
use super::header::Header;
use super::{schema, signature, table};
use crate::AccountName;
use crate::head::Head;
use crate::publish::{publish, sync_directory, temporary_beside};
use crate::record::RecordKey;

/// Name of the file in the account's directory.
pub(crate) const AUTH_FILE: &str = "auth.db";

/// The account's file under an auth root.
pub(super) fn account_file(auth_root: &Path, account: &AccountName) -> PathBuf {
    auth_root.join(account.as_str()).join(AUTH_FILE)
}

/// Makes the account's file if there is none.
pub(super) async fn ensure(
    auth_root: &Path,
    account: &AccountName,
    store_id: &str,
    epoch: i64,
) -> Result<(), OpenMediumError> {
    let file = account_file(auth_root, account);
    if exists(&file)? {
        return signature::check(&file);
    }
    let header = Header::new(account, store_id, Head::begin(epoch)?);
    match publish_new(auth_root, &file, &header, &[]).await {
        // Another process made it at the same time.
        Err(OpenMediumError::Exists(_)) => Ok(()),
        published => published,
    }
}

/// Makes a file with everything that belongs into it.
///
/// It is written under another name, made durable, and then linked into place:
/// `auth.db` is either absent or was once complete.
pub(super) async fn publish_new(
    auth_root: &Path,
    file: &Path,
    header: &Header,
    records: &[(RecordKey, Bytes)],
) -> Result<(), OpenMediumError> {
    if exists(&beside(file, "-wal"))? {
        let detail = "it is gone, but its write-ahead log is there";
        return Err(damaged(file, detail).into());
    }
    let directory = file
        .parent()
        .expect("the file is in the account's directory");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(io_error(directory))?;
    // The directories must be as durable as the file: an account whose
    // directory vanished would look like one that was never linked.
    for parent in [auth_root.parent(), Some(auth_root)].into_iter().flatten() {
        if !parent.as_os_str().is_empty() {
            sync_directory(parent).map_err(io_error(parent))?;
        }
    }

    let temporary = temporary_beside(file);
    let mut written = write_new(&temporary, header, records).await;
    if written.is_ok() {
        written = match publish(&temporary, file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(OpenMediumError::Exists(file.to_owned()))
            }
            published => published.map_err(io_error(file)),
        };
    }
    remove(&temporary)?;
    written
}

async fn write_new(
    path: &Path,
    header: &Header,
    records: &[(RecordKey, Bytes)],
) -> Result<(), OpenMediumError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error(path))?;
    let sql = |error| OpenMediumError::from(classify(path, error));
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .map_err(sql)?;
    let mut tx = connection.begin().await.map_err(sql)?;
    schema::create(&mut tx).await.map_err(sql)?;
    for (key, value) in records {
        table::insert(&mut tx, key, value).await.map_err(sql)?;
    }
    header.write(&mut tx, path).await?;
    tx.commit().await.map_err(sql)?;
    connection.close().await.map_err(sql)?;
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(io_error(path))
}

pub(super) fn exists(path: &Path) -> Result<bool, OpenMediumError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(path)(error)),
    }
}

pub(super) fn remove(path: &Path) -> Result<(), OpenMediumError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}

pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OpenMediumError {
    let path = path.to_owned();
    move |source| OpenMediumError::Io { path, source }
}
