//! A locked file that tells others on this machine that a worker process lives.
//!
//! The kernel drops the lock when the process ends, however it ends. So who gets the lock of
//! `<store>.lease/<owner>` knows that this owner is dead, and may take over its leases at once
//! instead of waiting for the TTL. A name is never used again, since each start of a worker is a new
//! owner: dead stays dead. A frozen process keeps its lock; an owner without a file says nothing.
//!
//! For workers of one machine alone, which is what a SQLite store has. Safety never rests on it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::ids::OwnerId;

/// The light of this process, and a look at those of others.
#[derive(Debug)]
pub struct Beacon {
    dir: PathBuf,
    _own: Option<File>,
}

impl Beacon {
    /// Lights the beacon of `owner` beside the store at `store`, before it bids for anything. Without
    /// locks on that file system it stays dark: takeovers then wait for the TTL.
    pub fn light(store: &Path, owner: &OwnerId) -> Self {
        let mut dir = store.as_os_str().to_owned();
        dir.push(".lease");
        let dir = PathBuf::from(dir);
        let own = std::fs::create_dir_all(&dir).ok().and_then(|()| {
            sweep(&dir);
            let file = File::create(dir.join(owner.as_str())).ok()?;
            file.try_lock().ok()?;
            Some(file)
        });
        Self { dir, _own: own }
    }

    /// Whether the process of `owner` is known to have died on this machine.
    pub fn proves_dead(&self, owner: &OwnerId) -> bool {
        lock(&self.dir.join(owner.as_str())).is_some()
    }
}

fn lock(path: &Path) -> Option<File> {
    let file = OpenOptions::new().write(true).open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

/// How old the file of a dead owner must be before it is removed: longer than any lease that still
/// names it.
const FORGOTTEN: std::time::Duration = std::time::Duration::from_hours(1);

/// Removes what dead processes left behind.
fn sweep(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let old = path
            .metadata()
            .and_then(|file| file.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > FORGOTTEN));
        if old && lock(&path).is_some() {
            // Another start may sweep at the same time.
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lock_of_an_owner_that_was_here_proves_its_death() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = dir.path().join("store.db");
        let owner = || OwnerId::incarnate("w").expect("valid");
        let (a, b, elsewhere) = (owner(), owner(), owner());
        let lit = Beacon::light(&store, &a);
        let other = Beacon::light(&store, &b);
        assert!(!other.proves_dead(&a), "alive");
        assert!(!other.proves_dead(&elsewhere), "never was here");
        drop(lit);
        assert!(other.proves_dead(&a));
        assert!(other.proves_dead(&a), "dead stays dead");
    }
}
