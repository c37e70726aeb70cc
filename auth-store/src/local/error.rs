//! Why an account's file cannot be used, and what SQLite's errors mean here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::AccountName;
use crate::keys::NoRandomness;
use crate::record::RecordError;

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
    /// There is one already, and nothing may replace it.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The system has no randomness to give.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What [`RecordStore::place`](crate::RecordStore::place) says of a file.
pub(super) fn place(file: &Path) -> String {
    format!("file {}", file.display())
}

pub(super) fn damaged(file: &Path, detail: impl Into<String>) -> RecordError {
    RecordError::Damaged {
        place: place(file),
        detail: detail.into(),
    }
}

/// A file that does not answer, by name.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", file.display())]
struct NoAnswer {
    file: PathBuf,
    source: sqlx::Error,
}

/// Tells damage from a medium that does not answer.
///
/// SQLite's primary result codes are the low byte of the extended ones:
/// 11 `SQLITE_CORRUPT`, 26 `SQLITE_NOTADB`, 1 `SQLITE_ERROR` (here: the schema
/// is not ours, since the statements are fixed).
pub(super) fn classify(file: &Path, error: sqlx::Error) -> RecordError {
    match &error {
        sqlx::Error::Database(db) => {
            let code = db.code().and_then(|code| code.parse::<u32>().ok());
            if let Some(1 | 11 | 26) = code.map(|code| code & 0xff) {
                return damaged(file, db.message());
            }
        }
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::RowNotFound => return damaged(file, error.to_string()),
        _ => {}
    }
    RecordError::Unavailable(Arc::new(NoAnswer {
        file: file.to_owned(),
        source: error,
    }))
}
