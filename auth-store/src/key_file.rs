//! The key file beside the local auth states.
//!
//! It is made once, when nothing is sealed yet. If it is missing while sealed
//! accounts exist, that is an error naming the file: a new key could open none
//! of them, and would only hide the loss.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::clock;
use crate::keys::{KeyRing, MasterKey, NoRandomness};
use crate::local::AUTH_FILE;
use crate::publish::{publish, replace, temporary_beside};

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
    /// The file exists and holds something else than keys.
    #[error(
        "the key file {} does not hold keys: expected 32 bytes as 64 hex digits or as base64, one key a line",
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

/// A file of master keys, one a line; the first seals.
///
/// Whoever changes it holds a lock on its directory, so that no two processes
/// lose each other's key, and replaces it whole.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// `<auth_root>/auth.key`.
    pub fn beside(auth_root: &Path) -> Self {
        Self::at(auth_root.join(KEY_FILE))
    }

    /// A file elsewhere.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads its keys.
    ///
    /// # Errors
    /// The file is missing, unreadable or holds something else than keys.
    pub fn read(&self) -> Result<KeyRing, KeyFileError> {
        let text = fs::read_to_string(&self.path).map_err(io_error(&self.path))?;
        KeyRing::parse(&Zeroizing::new(text))
            .map_err(|_| KeyFileError::Malformed(self.path.clone()))
    }

    /// Puts a new key before the others. Auth states are sealed under it when
    /// they are opened next; keep a copy of the file.
    ///
    /// # Errors
    /// See [`KeyFileError`]; the file is then as it was.
    pub fn add_fresh(&self) -> Result<KeyRing, KeyFileError> {
        self.change(|ring| Ok(ring.with_fresh()?))
    }

    /// Drops the keys that seal nothing any more: those not in `used`, except
    /// for the first. The file as it was is kept as `<name>.<unix milliseconds>`,
    /// whose path is returned: a copy of an auth state may lie somewhere that
    /// still needs them. `None`: all of them are used.
    ///
    /// # Errors
    /// See [`KeyFileError`]; the file is then as it was.
    pub fn drop_unused(&self, used: &[String]) -> Result<Option<PathBuf>, KeyFileError> {
        let mut kept = None;
        self.change(|ring| {
            let fewer = ring.with_only(used);
            if fewer.ids() != ring.ids() {
                let mut copy = self.path.as_os_str().to_owned();
                copy.push(format!(".{}", clock::unix_millis()));
                let copy = PathBuf::from(copy);
                let temporary = write_beside(&copy, &ring).map_err(io_error(&copy))?;
                replace(&temporary, &copy).map_err(io_error(&copy))?;
                kept = Some(copy);
            }
            Ok(fewer)
        })?;
        Ok(kept)
    }

    fn change(
        &self,
        change: impl FnOnce(KeyRing) -> Result<KeyRing, KeyFileError>,
    ) -> Result<KeyRing, KeyFileError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        // Held until it is dropped.
        let lock = File::open(directory).map_err(io_error(directory))?;
        lock.lock().map_err(io_error(directory))?;
        let changed = change(self.read()?)?;
        let temporary = write_beside(&self.path, &changed).map_err(io_error(&self.path))?;
        replace(&temporary, &self.path).map_err(io_error(&self.path))?;
        Ok(changed)
    }
}

impl KeyRing {
    /// Reads `<auth_root>/auth.key`, or makes it (mode 0600, the root 0700)
    /// when no account under the root is sealed yet. Says whether it was made.
    ///
    /// Two processes may do this at once: both end with the same key.
    ///
    /// # Errors
    /// See [`KeyFileError`]; nothing is made on an error.
    pub fn load_or_create(auth_root: &Path) -> Result<(Self, KeyOrigin), KeyFileError> {
        let file = KeyFile::beside(auth_root);
        match file.read() {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Ok(ring) => {
                warn_if_exposed(&file.path);
                return Ok((ring, KeyOrigin::Found));
            }
            Err(error) => return Err(error),
        }
        if let Some(sealed) = first_sealed(auth_root)? {
            return Err(KeyFileError::MissingBesideSealed {
                key_file: file.path,
                sealed,
            });
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(auth_root)
            .map_err(io_error(auth_root))?;
        let ring = Self::from(MasterKey::generate()?);
        let published = write_beside(&file.path, &ring).and_then(|temporary| {
            publish(&temporary, &file.path).inspect_err(|_| forget(&temporary))
        });
        match published {
            Ok(()) => Ok((ring, KeyOrigin::Created)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok((file.read()?, KeyOrigin::Found))
            }
            Err(error) => Err(io_error(&file.path)(error)),
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

/// Writes the keys under another name and makes them durable.
fn write_beside(path: &Path, ring: &KeyRing) -> io::Result<PathBuf> {
    let temporary = temporary_beside(path);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(ring.to_text().as_bytes())?;
        file.sync_all()
    })();
    match written {
        Ok(()) => Ok(temporary),
        Err(error) => {
            forget(&temporary);
            Err(error)
        }
    }
}

fn forget(temporary: &Path) {
    // Best effort: the error that matters is the first one.
    let _ = fs::remove_file(temporary);
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
