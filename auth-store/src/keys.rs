//! Master keys, and the ring of those that may have sealed something.

use std::fmt;

use auth_format::KEY_ID_LEN;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

pub(crate) const KEY_LEN: usize = 32;

/// Names a key without revealing it.
pub(crate) type KeyId = [u8; KEY_ID_LEN];

/// A key that an operator keeps. Cleared when dropped; `Debug` shows only its id.
#[derive(Clone)]
pub struct MasterKey {
    pub(crate) secret: Zeroizing<[u8; KEY_LEN]>,
    pub(crate) id: KeyId,
}

impl MasterKey {
    /// Draws a new key from the system's generator.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self::of(random_secret()?))
    }

    /// Reads 32 bytes written as hex or as base64, with white space around them.
    ///
    /// Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = hex::decode(text)
            .or_else(|_| STANDARD.decode(text))
            .or_else(|_| STANDARD_NO_PAD.decode(text))
            .ok()
            .map(Zeroizing::new)?;
        let secret: [u8; KEY_LEN] = bytes.as_slice().try_into().ok()?;
        Some(Self::of(Zeroizing::new(secret)))
    }

    fn of(secret: Zeroizing<[u8; KEY_LEN]>) -> Self {
        let id = key_id(b"whatsapp-worker auth key id\0", &secret);
        Self { secret, id }
    }

    /// The key as a key file holds it: 64 hex digits.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.secret.as_slice()))
    }

    /// Names the key without revealing it: 16 hex digits.
    pub fn id(&self) -> String {
        hex::encode(self.id)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id()).finish()
    }
}

/// The master keys of an installation: the first seals, all of them open.
///
/// A key is replaced by putting a new one before it. Each auth state is sealed
/// anew when it is opened; after that the old key can be dropped.
#[derive(Debug, Clone)]
pub struct KeyRing {
    first: MasterKey,
    others: Vec<MasterKey>,
}

impl KeyRing {
    /// Reads one or more keys, as [`MasterKey::parse`] does, with white space
    /// or commas between them. A key that occurs twice counts once.
    ///
    /// # Errors
    /// There is none, or one of them is no key. The error shows no part of it.
    pub fn parse(text: &str) -> Result<Self, BadKeyRing> {
        let words = text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|word| !word.is_empty());
        let mut ring: Option<Self> = None;
        for (at, word) in words.enumerate() {
            let key = MasterKey::parse(word).ok_or(BadKeyRing::NoKey { number: at + 1 })?;
            match &mut ring {
                None => ring = Some(key.into()),
                Some(ring) if ring.find(&key.id).is_some() => {}
                Some(ring) => ring.others.push(key),
            }
        }
        ring.ok_or(BadKeyRing::Empty)
    }

    /// The key that seals.
    pub fn first(&self) -> &MasterKey {
        &self.first
    }

    /// Id of the key that seals: 16 hex digits.
    pub fn id(&self) -> String {
        self.first.id()
    }

    /// Ids of all keys, the one that seals first.
    pub fn ids(&self) -> Vec<String> {
        self.keys().map(MasterKey::id).collect()
    }

    /// This ring with a new key before the others.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn with_fresh(&self) -> Result<Self, NoRandomness> {
        Ok(Self {
            first: MasterKey::generate()?,
            others: self.keys().cloned().collect(),
        })
    }

    /// This ring with the keys of `older` behind its own: they open, and seal nothing.
    #[must_use]
    pub fn before(&self, older: &Self) -> Self {
        let mut ring = self.clone();
        let known = self.ids();
        let new = older.keys().filter(|key| !known.contains(&key.id()));
        ring.others.extend(new.cloned());
        ring
    }

    /// This ring with the key that seals, and of the others those in `used`.
    #[must_use]
    pub fn with_only(&self, used: &[String]) -> Self {
        let others = self.others.iter().filter(|key| used.contains(&key.id()));
        Self {
            first: self.first.clone(),
            others: others.cloned().collect(),
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub(crate) fn find(&self, id: &KeyId) -> Option<&MasterKey> {
        self.keys().find(|key| key.id == *id)
    }

    /// The ring as a key file holds it: a line for each key.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for key in self.keys() {
            text.push_str(&key.to_text());
            text.push('\n');
        }
        text
    }
}

impl From<MasterKey> for KeyRing {
    fn from(first: MasterKey) -> Self {
        Self {
            first,
            others: Vec::new(),
        }
    }
}

/// A text that is no ring of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyRing {
    /// It holds nothing.
    #[error("there is no key: write 32 bytes as 64 hex digits or as base64")]
    Empty,
    /// One of its words is no key.
    #[error("key {number} is no key: write 32 bytes as 64 hex digits or as base64")]
    NoKey {
        /// Which one, from 1 on.
        number: usize,
    },
}

/// The system's random generator failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct NoRandomness;

pub(crate) fn random_secret() -> Result<Zeroizing<[u8; KEY_LEN]>, NoRandomness> {
    let mut secret = Zeroizing::new([0; KEY_LEN]);
    SystemRandom::new()
        .fill(secret.as_mut_slice())
        .map_err(|_| NoRandomness)?;
    Ok(secret)
}

pub(crate) fn key_id(purpose: &[u8], secret: &[u8; KEY_LEN]) -> KeyId {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(purpose);
    context.update(secret);
    let mut id = [0; KEY_ID_LEN];
    id.copy_from_slice(&context.finish().as_ref()[..KEY_ID_LEN]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_read_with_any_separator_and_keeps_its_order() {
        let [a, b, c] = ["aa", "bb", "cc"].map(|byte| byte.repeat(32));
        let ids = |text: &str| KeyRing::parse(text).map(|ring| ring.ids());
        let one = |text: &str| MasterKey::parse(text).unwrap().id();
        let expected = vec![one(&a), one(&b), one(&c)];
        assert_eq!(ids(&format!("{a} {b}\n{c}\n")), Ok(expected.clone()));
        assert_eq!(ids(&format!("{a}, {b},{c}, {a}")), Ok(expected));
        assert_eq!(ids(" \n"), Err(BadKeyRing::Empty));
        let wrong = ids(&format!("{a} {}", &b[1..]));
        assert_eq!(wrong, Err(BadKeyRing::NoKey { number: 2 }));
    }

    #[test]
    fn a_fresh_key_seals_and_unused_ones_go() {
        let old = KeyRing::from(MasterKey::generate().unwrap());
        let rotated = old.with_fresh().unwrap();
        assert_ne!(rotated.id(), old.id());
        assert_eq!(rotated.ids()[1..], [old.id()]);
        assert_eq!(rotated.with_only(&[old.id()]).ids(), rotated.ids());
        assert_eq!(rotated.with_only(&[]).ids(), [rotated.id()]);
        let read = KeyRing::parse(&rotated.to_text()).unwrap();
        assert_eq!(read.ids(), rotated.ids());
    }
}
