//! What a medium knows of itself.

use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::keys::NoRandomness;

const DIGEST_LEN: usize = 16;
const LINEAGE_LEN: usize = 16;

/// A medium's own account of what it holds for one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The highest epoch that opened it.
    pub epoch: i64,
    /// Made at random with the head and copied by a migration. Only heads of
    /// one lineage can be compared.
    pub lineage: String,
    /// How many batches were ever applied.
    pub writes: u64,
    /// The keys that must be there.
    pub keys: KeySet,
    /// When the last batch was applied, in unix milliseconds.
    pub last_write_ms: Option<i64>,
    /// When every record was last seen to open, in unix milliseconds.
    pub verified_ms: Option<i64>,
}

impl Head {
    /// The head of a medium that holds nothing yet: a lineage of its own.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn begin(epoch: i64) -> Result<Self, NoRandomness> {
        let mut lineage = [0; LINEAGE_LEN];
        SystemRandom::new()
            .fill(&mut lineage)
            .map_err(|_| NoRandomness)?;
        Ok(Self {
            epoch,
            lineage: hex::encode(lineage),
            writes: 0,
            keys: KeySet::default(),
            last_write_ms: None,
            verified_ms: None,
        })
    }
}

/// Size and order-free checksum of a set of keys: the XOR of their hashes.
/// It detects damage, not malice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeySet {
    count: i64,
    digest: [u8; DIGEST_LEN],
}

impl KeySet {
    /// The set as a medium stored it; `None` if the digest has another size.
    pub fn from_parts(count: i64, digest: &[u8]) -> Option<Self> {
        let digest = digest.try_into().ok()?;
        Some(Self { count, digest })
    }

    /// How many keys there are.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// The checksum, 16 bytes.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Adds a key that was not in the set.
    pub fn insert(&mut self, key: &str) {
        self.count += 1;
        self.toggle(key);
    }

    /// Takes out a key that was in the set.
    pub fn remove(&mut self, key: &str) {
        self.count -= 1;
        self.toggle(key);
    }

    fn toggle(&mut self, key: &str) {
        let hash = digest::digest(&digest::SHA256, key.as_bytes());
        for (byte, mask) in self.digest.iter_mut().zip(hash.as_ref()) {
            *byte ^= mask;
        }
    }
}

impl<'a> FromIterator<&'a str> for KeySet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(keys: I) -> Self {
        let mut set = Self::default();
        for key in keys {
            set.insert(key);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_does_not_know_the_order_and_notices_an_exchange() {
        let set = KeySet::from_iter(["a", "b"]);
        assert_eq!(set, KeySet::from_iter(["b", "a"]));
        assert_ne!(set, KeySet::from_iter(["a", "c"]));
        let mut emptied = set;
        emptied.remove("a");
        emptied.remove("b");
        assert_eq!(emptied, KeySet::default());
        let stored = KeySet::from_parts(set.count(), set.digest());
        assert_eq!(stored, Some(set));
        assert_eq!(KeySet::from_parts(2, &[0; 15]), None);
    }

    #[test]
    fn lineages_differ() {
        let lineage = || Head::begin(1).unwrap().lineage;
        assert_ne!(lineage(), lineage());
    }
}
