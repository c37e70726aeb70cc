//! The key that seals the records of one generation.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize as _, Zeroizing};

use crate::keys::{KEY_LEN, KeyId, NoRandomness, key_id, random_secret};

/// Drawn at random with its generation and kept in the root record. Cleared
/// when dropped; `Debug` shows only its id.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DataKey {
    pub(crate) id: KeyId,
    pub(crate) secret: Zeroizing<[u8; KEY_LEN]>,
}

impl DataKey {
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let secret = random_secret()?;
        let id = key_id(b"whatsapp-worker auth data key id\0", &secret);
        Ok(Self { id, secret })
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DataKey")
            .field(&hex::encode(self.id))
            .finish()
    }
}

/// As the root record holds it. The id is kept because that of a key which an
/// earlier release derived is its master key's.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: String,
    secret: String,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Serialize for DataKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored {
            id: hex::encode(self.id),
            secret: hex::encode(self.secret.as_slice()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DataKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let mut key = Self {
            id: KeyId::default(),
            secret: Zeroizing::new([0; KEY_LEN]),
        };
        // The error's text must not quote the key.
        let bad = |_| serde::de::Error::custom("a data key has another form");
        hex::decode_to_slice(&stored.id, &mut key.id).map_err(bad)?;
        hex::decode_to_slice(&stored.secret, key.secret.as_mut_slice()).map_err(bad)?;
        Ok(key)
    }
}
