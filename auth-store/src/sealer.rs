//! Seals and opens record values.
//!
//! ```text
//! master key ── HKDF-SHA256(salt = account, 0) ──> root key ── AES-256-GCM ──> root record
//!                                                  root record: a random data key per generation
//!                                                  data key ── AES-256-GCM ──> the generation's records
//! ```
//!
//! The account, the generation, the record's key and the envelope's version
//! are authenticated with each value, so a record cannot be moved to another
//! name, account or generation. Nonces are 96 random bits; a data key seals
//! far fewer than 2³² values in an account's lifetime.

use std::fmt;

use auth_format::{SealedRecord, UnreadableRecord, VERSION};
use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::data_key::DataKey;
use crate::keys::{KEY_LEN, KeyId, KeyRing, MasterKey, NoRandomness};
use crate::record::{Damage, RecordError, RecordKey};
use crate::{AccountName, Generation};

/// Seals the records of one account.
#[derive(Clone)]
pub struct Sealer {
    ring: KeyRing,
    account: AccountName,
}

impl Sealer {
    /// Seals for `account` under the first key of `ring`; opens with any of them.
    pub fn new(ring: impl Into<KeyRing>, account: AccountName) -> Self {
        Self {
            ring: ring.into(),
            account,
        }
    }

    /// The account whose records this seals.
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// The keys that it was given.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Seals the root record.
    pub(crate) fn root(&self) -> GenerationSealer {
        self.generation(
            Generation::ROOT,
            &self.derived(self.ring.first(), Generation::ROOT),
        )
    }

    /// Opens the root record, whichever key of the ring sealed it, and says which one did.
    pub(crate) fn open_root(
        &self,
        key: &RecordKey,
        sealed: Bytes,
    ) -> Result<(Zeroizing<Vec<u8>>, &MasterKey), RecordError> {
        let corrupt = |damage| RecordError::Corrupt {
            key: key.clone(),
            damage,
        };
        let record =
            SealedRecord::decode(sealed.clone()).map_err(|error| corrupt(Damage::from(error)))?;
        let master = self.ring.find(&record.key_id).ok_or_else(|| {
            corrupt(Damage::KeyId {
                found: hex::encode(record.key_id),
                ours: self.ring.ids().join(", "),
            })
        })?;
        let opener = self.generation(Generation::ROOT, &self.derived(master, Generation::ROOT));
        let value = opener.open(key, sealed)?;
        Ok((Zeroizing::new(value.into()), master))
    }

    /// Seals the records of one generation.
    pub(crate) fn generation(&self, generation: Generation, key: &DataKey) -> GenerationSealer {
        let unbound = UnboundKey::new(&AES_256_GCM, key.secret.as_slice())
            .expect("the key has the cipher's size");
        GenerationSealer {
            key: LessSafeKey::new(unbound),
            key_id: key.id,
            account: self.account.clone(),
            generation,
            random: SystemRandom::new(),
        }
    }

    /// The key that comes from a master key itself: that of the root record,
    /// and of generations that were begun before there were random data keys.
    pub(crate) fn derived(&self, master: &MasterKey, generation: Generation) -> DataKey {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                KEY_LEN
            }
        }
        let salt = bind([
            b"whatsapp-worker auth data key".as_slice(),
            self.account.as_str().as_bytes(),
            &generation.number().to_be_bytes(),
        ]);
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        Salt::new(HKDF_SHA256, &salt)
            .extract(master.secret.as_slice())
            .expand(&[b"aes-256-gcm"], Length)
            .and_then(|okm| okm.fill(secret.as_mut_slice()))
            .expect("HKDF-SHA256 yields 32 bytes");
        DataKey {
            id: master.id,
            secret,
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}

/// Seals and opens the records of one generation.
pub(crate) struct GenerationSealer {
    key: LessSafeKey,
    key_id: KeyId,
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

    pub(crate) fn try_open(&self, key: &RecordKey, sealed: Bytes) -> Result<Bytes, Damage> {
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
