//! Seals and opens record values.
//!
//! ```text
//! key file (32 bytes) ── HKDF-SHA256(salt = account, generation) ──> data key ── AES-256-GCM ──> value
//! ```
//!
//! The account, the generation, the record's key and the envelope's version
//! are authenticated with each value, so a record cannot be moved to another
//! name, account or generation. Nonces are 96 random bits; a data key seals
//! far fewer than 2³² values in an account's lifetime.

use std::fmt;

use auth_format::{KEY_ID_LEN, SealedRecord, UnreadableRecord, VERSION};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::record::{Damage, RecordError, RecordKey};
use crate::{AccountName, Generation};

const KEY_LEN: usize = 32;

/// The key of a key file. `Debug` shows only its id.
#[derive(Clone)]
pub struct MasterKey {
    secret: [u8; KEY_LEN],
    id: [u8; KEY_ID_LEN],
}

impl MasterKey {
    /// Draws a new key from the system's generator.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut secret = [0; KEY_LEN];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| NoRandomness)?;
        Ok(Self::from_bytes(secret))
    }

    /// Reads 32 bytes written as hex or as base64, with white space around them.
    ///
    /// Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = hex::decode(text)
            .or_else(|_| STANDARD.decode(text))
            .or_else(|_| STANDARD_NO_PAD.decode(text))
            .ok()?;
        Some(Self::from_bytes(bytes.try_into().ok()?))
    }

    fn from_bytes(secret: [u8; KEY_LEN]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"whatsapp-worker auth key id\0");
        context.update(&secret);
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&context.finish().as_ref()[..KEY_ID_LEN]);
        Self { secret, id }
    }

    /// The key as a key file holds it: 64 hex digits.
    pub(crate) fn to_text(&self) -> String {
        hex::encode(self.secret)
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

/// The system's random generator failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct NoRandomness;

/// Seals the records of one account.
#[derive(Clone)]
pub struct Sealer {
    master: MasterKey,
    account: AccountName,
}

impl Sealer {
    /// Seals for `account` with keys that come from `master`.
    pub fn new(master: MasterKey, account: AccountName) -> Self {
        Self { master, account }
    }

    /// The account whose records this seals.
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// The data key of one generation.
    pub(crate) fn generation(&self, generation: Generation) -> GenerationSealer {
        struct DataKey;
        impl KeyType for DataKey {
            fn len(&self) -> usize {
                KEY_LEN
            }
        }
        let salt = bind([
            b"whatsapp-worker auth data key".as_slice(),
            self.account.as_str().as_bytes(),
            &generation.number().to_be_bytes(),
        ]);
        let mut data_key = [0; KEY_LEN];
        Salt::new(HKDF_SHA256, &salt)
            .extract(&self.master.secret)
            .expand(&[b"aes-256-gcm"], DataKey)
            .and_then(|okm| okm.fill(&mut data_key))
            .expect("HKDF-SHA256 yields 32 bytes");
        let key = UnboundKey::new(&AES_256_GCM, &data_key).expect("the key has the cipher's size");
        GenerationSealer {
            key: LessSafeKey::new(key),
            key_id: self.master.id,
            account: self.account.clone(),
            generation,
            random: SystemRandom::new(),
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

/// Seals and opens the records of one generation.
pub(crate) struct GenerationSealer {
    key: LessSafeKey,
    key_id: [u8; KEY_ID_LEN],
    account: AccountName,
    generation: Generation,
    random: SystemRandom,
}

impl GenerationSealer {
    pub(crate) fn seal(&self, key: &RecordKey, value: &[u8]) -> Result<Bytes, NoRandomness> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| NoRandomness)?;
        let mut sealed = Vec::with_capacity(value.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(value);
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.bound_to(key)),
                &mut sealed,
            )
            .expect("a record is far below the cipher's limit of 64 GiB");
        let record = SealedRecord {
            key_id: self.key_id,
            generation: self.generation.number(),
            nonce,
            ciphertext: sealed.into(),
        };
        Ok(record.encode())
    }

    pub(crate) fn open(&self, key: &RecordKey, sealed: Bytes) -> Result<Bytes, RecordError> {
        self.try_open(key, sealed)
            .map_err(|damage| RecordError::Corrupt {
                key: key.clone(),
                damage,
            })
    }

    fn try_open(&self, key: &RecordKey, sealed: Bytes) -> Result<Bytes, Damage> {
        let record = SealedRecord::decode(sealed)?;
        if record.key_id != self.key_id {
            return Err(Damage::KeyId {
                found: hex::encode(record.key_id),
                ours: hex::encode(self.key_id),
            });
        }
        if record.generation != self.generation.number() {
            return Err(Damage::Generation(record.generation));
        }
        let mut value = Vec::from(record.ciphertext);
        let opened = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(record.nonce),
                Aad::from(self.bound_to(key)),
                &mut value,
            )
            .map_err(|_| Damage::Seal)?
            .len();
        value.truncate(opened);
        Ok(value.into())
    }

    fn bound_to(&self, key: &RecordKey) -> Vec<u8> {
        bind([
            self.account.as_str().as_bytes(),
            &self.generation.number().to_be_bytes(),
            key.as_str().as_bytes(),
            &VERSION.to_be_bytes(),
        ])
    }
}

impl From<UnreadableRecord> for Damage {
    fn from(unreadable: UnreadableRecord) -> Self {
        match unreadable {
            UnreadableRecord::Envelope => Self::Envelope,
            UnreadableRecord::Version(version) => Self::Version(version),
        }
    }
}

/// Joins parts unambiguously: each is preceded by its length.
fn bind<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}
