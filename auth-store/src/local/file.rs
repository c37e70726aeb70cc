//! Where an account's file is, and how it comes to be.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use super::error::{OpenMediumError, classify, damaged};
use super::header::Header;
use super::table;
use crate::AccountName;
use crate::head::Head;
use crate::publish::{publish, sync_directory, temporary_beside};

/// Name of the file in the account's directory.
pub(crate) const AUTH_FILE: &str = "auth.db";

/// The account's file under an auth root.
pub(super) fn account_file(auth_root: &Path, account: &AccountName) -> PathBuf {
    auth_root.join(account.as_str()).join(AUTH_FILE)
}

/// Makes the account's file if there is none.
///
/// It is written under another name, made durable, and then linked into place:
/// `auth.db` is either absent or was once complete.
pub(super) async fn ensure(
    auth_root: &Path,
    account: &AccountName,
    store_id: &str,
    epoch: i64,
) -> Result<(), OpenMediumError> {
    let file = account_file(auth_root, account);
    let directory = file
        .parent()
        .expect("the file is in the account's directory");
    if exists(&file)? {
        return check_signature(&file);
    }
    if exists(&beside(&file, "-wal"))? {
        let detail = "it is gone, but its write-ahead log is there";
        return Err(damaged(&file, detail).into());
    }
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

    let temporary = temporary_beside(&file);
    let mut written = write_new(&temporary, account, store_id, epoch).await;
    if written.is_ok() {
        written = match publish(&temporary, &file) {
            // Another process made it at the same time.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            published => published.map_err(io_error(&file)),
        };
    }
    remove(&temporary)?;
    written
}

async fn write_new(
    path: &Path,
    account: &AccountName,
    store_id: &str,
    epoch: i64,
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
    Header::create(&mut connection).await.map_err(sql)?;
    table::create(&mut connection).await.map_err(sql)?;
    Header::new(account, store_id, Head::begin(epoch)?)
        .write(&mut connection, path)
        .await?;
    connection.close().await.map_err(sql)?;
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(io_error(path))
}

/// Refuses what SQLite would take for a new database and overwrite: a file
/// that is shorter than a database's header, or that is none.
pub(super) fn check_signature(file: &Path) -> Result<(), OpenMediumError> {
    const SIGNATURE: &[u8; 16] = b"SQLite format 3\0";
    const HEADER_LEN: usize = 100;
    let mut header = [0; HEADER_LEN];
    let read = File::open(file).and_then(|mut opened| opened.read_exact(&mut header));
    match read {
        Ok(()) if header.starts_with(SIGNATURE) => Ok(()),
        Ok(()) => Err(damaged(file, "it is no SQLite database").into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(damaged(file, "it is cut short").into())
        }
        Err(error) => Err(io_error(file)(error)),
    }
}

pub(super) fn exists(path: &Path) -> Result<bool, OpenMediumError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(path)(error)),
    }
}

fn remove(path: &Path) -> Result<(), OpenMediumError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OpenMediumError {
    let path = path.to_owned();
    move |source| OpenMediumError::Io { path, source }
}
