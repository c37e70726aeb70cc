//! A locked file that tells others on this machine that the holder's process lives.
//!
//! The kernel drops the lock when the process ends, however it ends. So who gets the lock of
//! `<store>.lease/<account>` while the lease is taken knows that its holder died here, and may take
//! over at once instead of waiting for the TTL. A frozen process keeps its lock; a holder on another
//! machine has none, which is why the file also names its owner: only the lock of the owner that the
//! store names says anything.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::ids::{AccountId, OwnerId};

/// Held as long as its process holds the lease. Dropping it unlocks.
#[derive(Debug)]
pub struct Beacon(File);

impl Beacon {
    /// Names `owner` from now on. `None` when the file cannot be written.
    pub fn take_over(mut self, owner: &OwnerId) -> Option<Self> {
        self.0.set_len(0).ok()?;
        self.0.rewind().ok()?;
        self.0.write_all(owner.as_str().as_bytes()).ok()?;
        Some(self)
    }
}

/// Where the beacons of one store stand.
#[derive(Clone, Debug)]
pub struct Beacons(PathBuf);

impl Beacons {
    /// The beacons of the store at `store`.
    pub fn beside(store: &Path) -> Self {
        let mut name = store.as_os_str().to_owned();
        name.push(".lease");
        Self(PathBuf::from(name))
    }

    /// Lights the beacon of `account` for `owner`. `None` when another process holds it or the file
    /// system has no locks: takeovers then wait for the TTL.
    pub fn light(&self, account: &AccountId, owner: &OwnerId) -> Option<Beacon> {
        self.lock(account)?.take_over(owner)
    }

    /// Whether the process of `owner`, holder of `account`, is known to have died on this machine.
    /// The proof holds while the returned beacon is kept.
    pub fn proof_of_death(&self, account: &AccountId, owner: &OwnerId) -> Option<Beacon> {
        let mut beacon = self.lock(account)?;
        let mut name = String::new();
        beacon.0.rewind().ok()?;
        beacon.0.read_to_string(&mut name).ok()?;
        (name == owner.as_str()).then_some(beacon)
    }

    fn lock(&self, account: &AccountId) -> Option<Beacon> {
        std::fs::create_dir_all(&self.0).ok()?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.0.join(account.as_str()))
            .ok()?;
        file.try_lock().ok()?;
        Some(Beacon(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lock_of_the_owner_in_the_store_proves_its_death() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let beacons = Beacons::beside(&dir.path().join("store.db"));
        let account: AccountId = "shop".parse().expect("valid");
        let (a, b) = (
            OwnerId::incarnate("w").expect("valid"),
            OwnerId::incarnate("w").expect("valid"),
        );
        assert!(
            beacons.proof_of_death(&account, &a).is_none(),
            "never was here"
        );
        let lit = beacons.light(&account, &a).expect("free");
        assert!(beacons.light(&account, &b).is_none(), "taken");
        assert!(beacons.proof_of_death(&account, &a).is_none(), "alive");
        drop(lit);
        assert!(
            beacons.proof_of_death(&account, &b).is_none(),
            "another owner"
        );
        assert!(beacons.proof_of_death(&account, &a).is_some());
    }
}
