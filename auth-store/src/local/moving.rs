//! Files that come from another medium, and files that go out of use.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::error::{OpenMediumError, classify, damaged};
use super::file::{self, account_file, beside, io_error};
use super::header::Header;
use super::{LocalMedium, connect_options};
use crate::head::{Head, KeySet};
use crate::publish::sync_directory;
use crate::record::{RecordError, RecordKey};
use crate::{AccountName, clock};

impl LocalMedium {
    /// Makes the account's file with everything that another medium held, for
    /// `epoch`. It is there whole or not at all; nothing is opened. The values
    /// are taken as they are sealed.
    ///
    /// # Errors
    /// [`OpenMediumError::Exists`] if there is one already, and
    /// [`RecordError::Damaged`] if the records are not those that `head` names.
    pub async fn create_from(
        auth_root: &Path,
        account: &AccountName,
        store_id: &str,
        epoch: i64,
        head: &Head,
        records: &[(RecordKey, Bytes)],
    ) -> Result<(), OpenMediumError> {
        let file = account_file(auth_root, account);
        if file::exists(&file)? {
            return Err(OpenMediumError::Exists(file));
        }
        let keys = KeySet::from_iter(records.iter().map(|(key, _)| key.as_str()));
        if keys != head.keys {
            let detail = format!(
                "{} records were to be moved here, {} are there",
                head.keys.count(),
                keys.count()
            );
            return Err(damaged(&file, detail).into());
        }
        let header = Header::new(
            account,
            store_id,
            Head {
                epoch,
                ..head.clone()
            },
        );
        file::publish_new(auth_root, &file, &header, records).await
    }

    /// Takes the account's file out of use and keeps it as
    /// `auth.db.<unix milliseconds>`; returns its new name, `None` if there was none.
    ///
    /// The caller holds the account and has closed the file. One that is damaged
    /// is kept as it is, its write-ahead log beside it; so is a log without a file.
    ///
    /// # Errors
    /// [`RecordError::Unavailable`] if another process is writing it. On an
    /// error it is still in use.
    pub async fn set_aside(
        auth_root: &Path,
        account: &AccountName,
    ) -> Result<Option<PathBuf>, OpenMediumError> {
        let file = account_file(auth_root, account);
        let is_there = file::exists(&file)?;
        let is_sound = is_there
            && match empty_log(&file).await {
                Ok(()) => true,
                Err(RecordError::Damaged { .. }) => false,
                Err(error) => return Err(error.into()),
            };
        let mut aside = file.as_os_str().to_owned();
        aside.push(format!(".{}", clock::unix_millis()));
        let aside = PathBuf::from(aside);
        let mut moved = is_there;
        // Before the file: a log whose file is gone would keep the next one from being made.
        for suffix in ["-wal", "-shm"] {
            let log = beside(&file, suffix);
            if is_sound || !file::exists(&log)? {
                file::remove(&log)?;
            } else {
                std::fs::rename(&log, beside(&aside, suffix)).map_err(io_error(&log))?;
                moved = true;
            }
        }
        if !moved {
            return Ok(None);
        }
        if is_there {
            std::fs::rename(&file, &aside).map_err(io_error(&file))?;
        }
        let directory = file.parent().expect("the file is in a directory");
        sync_directory(directory).map_err(io_error(directory))?;
        Ok(Some(aside))
    }
}

/// Brings everything from the write-ahead log into the file itself.
async fn empty_log(file: &Path) -> Result<(), RecordError> {
    let sql = |error| classify(file, error);
    let mut connection = connect_options(file).connect().await.map_err(sql)?;
    let busy: i64 = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(sql)?;
    connection.close().await.map_err(sql)?;
    if busy != 0 {
        return Err(sql(sqlx::Error::Io(std::io::Error::other(
            "another process is using it",
        ))));
    }
    Ok(())
}
