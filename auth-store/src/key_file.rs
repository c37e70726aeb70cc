//! The key file beside the local auth states.
//!
//! It is made once, when nothing is sealed yet. If it is missing while sealed
//! accounts exist, that is an error naming the file: a new key could open none
//! of them, and would only hide the loss.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::local::AUTH_FILE;
use crate::publish::{publish, temporary_beside};
use crate::sealer::{MasterKey, NoRandomness};

/// Name of the key file under the auth root.
pub const KEY_FILE: &str = "auth.key";

/// A key file that could not be used or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The key is gone while accounts sealed with it are there.
    #[error(
        "the key file {} is missing, but {} is sealed with it: restore the key file from a backup, \
         or move the account's directory away to link it again",
        key_file.display(), sealed.display()
    )]
    MissingBesideSealed {
        /// Where the key file should be.
        key_file: PathBuf,
        /// One of the files that need it.
        sealed: PathBuf,
    },
    /// The file exists and holds no key.
    #[error(
        "the key file {} does not hold a key: expected 32 bytes as 64 hex digits or as base64",
        .0.display()
    )]
    Malformed(PathBuf),
    /// The file system refused.
    #[error("key file {}: {source}", path.display())]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No key could be drawn.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl MasterKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// The file is missing, unreadable or holds no key.
    pub fn from_file(path: &Path) -> Result<Self, KeyFileError> {
        let text = fs::read_to_string(path).map_err(io_error(path))?;
        Self::parse(&text).ok_or_else(|| KeyFileError::Malformed(path.to_owned()))
    }

    /// Reads `<auth_root>/auth.key`, or makes it (mode 0600, the root 0700)
    /// when no account under the root is sealed yet. Says whether it was made.
    ///
    /// Two processes may do this at once: both end with the same key.
    ///
    /// # Errors
    /// See [`KeyFileError`]; nothing is made on an error.
    pub fn load_or_create(auth_root: &Path) -> Result<(Self, KeyOrigin), KeyFileError> {
        let path = auth_root.join(KEY_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let key =
                    Self::parse(&text).ok_or_else(|| KeyFileError::Malformed(path.clone()))?;
                warn_if_exposed(&path);
                return Ok((key, KeyOrigin::Found));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(&path)(error)),
        }
        if let Some(sealed) = first_sealed(auth_root)? {
            return Err(KeyFileError::MissingBesideSealed {
                key_file: path,
                sealed,
            });
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(auth_root)
            .map_err(io_error(auth_root))?;
        let key = Self::generate()?;
        match write_new(&path, &key) {
            Ok(()) => Ok((key, KeyOrigin::Created)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok((Self::from_file(&path)?, KeyOrigin::Found))
            }
            Err(error) => Err(io_error(&path)(error)),
        }
    }
}

/// Where a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrigin {
    /// It was there.
    Found,
    /// It was made just now: tell the operator to back it up.
    Created,
}

fn write_new(path: &Path, key: &MasterKey) -> io::Result<()> {
    let temporary = temporary_beside(path);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        writeln!(file, "{}", key.to_text())?;
        file.sync_all()?;
        publish(&temporary, path)
    })();
    if written.is_err() {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn first_sealed(auth_root: &Path) -> Result<Option<PathBuf>, KeyFileError> {
    let entries = match fs::read_dir(auth_root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(auth_root)(error)),
    };
    for entry in entries {
        let sealed = entry.map_err(io_error(auth_root))?.path().join(AUTH_FILE);
        if sealed.symlink_metadata().is_ok() {
            return Ok(Some(sealed));
        }
    }
    Ok(None)
}

fn warn_if_exposed(path: &Path) {
    if let Ok(metadata) = fs::metadata(path)
        && metadata.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(
            file = %path.display(),
            "the auth key file is readable by others; chmod 600 it"
        );
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { path, source }
}
