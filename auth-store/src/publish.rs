//! Puts a finished file into place, so that nobody ever sees half of one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A name beside `path` that nobody else uses.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().expect("the path names a file");
    let name = format!(
        ".{}.{}.{number}",
        name.to_string_lossy(),
        std::process::id()
    );
    path.with_file_name(name)
}

/// Gives the finished `temporary` its final name and makes that durable.
///
/// # Errors
/// `AlreadyExists` if somebody else was first; the existing file is untouched.
pub(crate) fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Ok(()) => fs::remove_file(temporary)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Some mounts have no hard links.
        Err(_) if fs::symlink_metadata(path).is_err() => fs::rename(temporary, path)?,
        Err(_) => return Err(io::ErrorKind::AlreadyExists.into()),
    }
    sync_directory(path.parent().expect("the file is in a directory"))
}

/// Puts the finished `temporary` in the place of `path` and makes that durable.
/// Removes it on an error.
pub(crate) fn replace(temporary: &Path, path: &Path) -> io::Result<()> {
    fs::rename(temporary, path).inspect_err(|_| {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(temporary);
    })?;
    sync_directory(path.parent().expect("the file is in a directory"))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
