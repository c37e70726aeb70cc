//! The envelope of an exported auth state.

use bytes::Bytes;
use prost::Message as _;

use crate::schema;
use crate::sealed_record::{NONCE_LEN, TAG_LEN};

/// The version of the bundle that this release writes and reads.
pub const VERSION: u32 = 1;
/// Length of the salt.
pub const SALT_LEN: usize = 16;
/// Length of the checksum and of the key check.
const DIGEST_LEN: usize = 32;
const MAGIC: [u8; 16] = *b"wa-auth-bundle\r\n";

/// Why bytes are no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableBundle {
    /// They begin differently than every bundle does.
    #[error("this is no auth bundle")]
    NotABundle,
    /// They are a bundle, or part of one, and damaged.
    #[error("the bundle is damaged")]
    Damaged,
    /// A newer release wrote it.
    #[error("the bundle's version {0} is unknown to this release")]
    Version(u32),
    /// Opening it would take more memory or time than any bundle of this version needs, or its
    /// passphrase is protected less than it must be.
    #[error("the bundle asks for a key derivation outside the allowed bounds")]
    Parameters,
}

/// The outermost layer of a bundle's file, which is the same in every version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// SHA-256 of the body. It is not compared here.
    pub checksum: [u8; DIGEST_LEN],
    /// The encoded [`Bundle`].
    pub body: Bytes,
}

impl BundleFile {
    /// Takes a file apart.
    ///
    /// # Errors
    /// [`UnreadableBundle::NotABundle`], or [`UnreadableBundle::Damaged`] if it ends too early.
    pub fn decode(file: &Bytes) -> Result<Self, UnreadableBundle> {
        let shown = file.len().min(MAGIC.len());
        if shown == 0 || file[..shown] != MAGIC[..shown] {
            return Err(UnreadableBundle::NotABundle);
        }
        let (checksum, _) = file
            .get(MAGIC.len()..)
            .and_then(|rest| rest.split_first_chunk())
            .ok_or(UnreadableBundle::Damaged)?;
        Ok(Self {
            checksum: *checksum,
            body: file.slice(MAGIC.len() + DIGEST_LEN..),
        })
    }

    /// Puts a file together.
    pub fn encode(&self) -> Vec<u8> {
        [&MAGIC, self.checksum.as_slice(), &self.body].concat()
    }
}

/// How the key comes from the passphrase: argon2id's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kdf {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// Drawn for this bundle.
    pub salt: [u8; SALT_LEN],
}

impl Kdf {
    /// What new bundles use, the second recommendation of RFC 9106: 64 MiB, three passes, four lanes.
    pub fn recommended(salt: [u8; SALT_LEN]) -> Self {
        Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 4,
            salt,
        }
    }

    /// At most 1 GiB, and at most 64 times the work of [`recommended`](Self::recommended): whoever
    /// wrote the file chose these numbers.
    fn is_bounded(&self) -> bool {
        let least = Self::recommended(self.salt);
        let work = u64::from(self.memory_kib) * u64::from(self.passes);
        let most = 64 * u64::from(least.memory_kib) * u64::from(least.passes);
        (least.memory_kib..=1024 * 1024).contains(&self.memory_kib)
            && (1..=64).contains(&self.passes)
            && (1..=16).contains(&self.lanes)
            && work <= most
    }
}

/// Contents under a key that comes from a passphrase. See `proto/export_bundle.proto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// How the key comes from the passphrase.
    pub kdf: Kdf,
    /// Tells a wrong passphrase.
    pub key_check: [u8; DIGEST_LEN],
    /// Drawn for this bundle.
    pub nonce: [u8; NONCE_LEN],
    /// Encoded [`ExportContents`](crate::ExportContents) under AES-256-GCM, the tag at the end.
    pub ciphertext: Bytes,
}

impl Bundle {
    /// Reads a bundle of this release's [`VERSION`].
    ///
    /// # Errors
    /// See [`UnreadableBundle`].
    pub fn decode(body: Bytes) -> Result<Self, UnreadableBundle> {
        let length = body.len();
        let read = schema::ExportBundle::decode(body).map_err(|_| UnreadableBundle::Damaged)?;
        match read.version {
            VERSION => {}
            0 => return Err(UnreadableBundle::Damaged),
            other => return Err(UnreadableBundle::Version(other)),
        }
        // Whatever the schema does not know, or what stands twice, is lost in decoding.
        if read.encoded_len() != length || read.ciphertext.len() < TAG_LEN {
            return Err(UnreadableBundle::Damaged);
        }
        let exactly = |_| UnreadableBundle::Damaged;
        let kdf = read.kdf.ok_or(UnreadableBundle::Damaged)?;
        let kdf = Kdf {
            memory_kib: kdf.memory_kib,
            passes: kdf.passes,
            lanes: kdf.lanes,
            salt: kdf.salt.as_ref().try_into().map_err(exactly)?,
        };
        if !kdf.is_bounded() {
            return Err(UnreadableBundle::Parameters);
        }
        Ok(Self {
            kdf,
            key_check: read.key_check.as_ref().try_into().map_err(exactly)?,
            nonce: read.nonce.as_ref().try_into().map_err(exactly)?,
            ciphertext: read.ciphertext,
        })
    }

    /// Writes what [`decode`](Self::decode) reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut bundle = self.header();
        bundle.nonce = Bytes::copy_from_slice(&self.nonce);
        bundle.ciphertext = self.ciphertext.clone();
        bundle.encode_to_vec()
    }

    /// What is authenticated beside the contents.
    pub fn authenticated(&self) -> Vec<u8> {
        self.header().encode_to_vec()
    }

    fn header(&self) -> schema::ExportBundle {
        schema::ExportBundle {
            version: VERSION,
            kdf: Some(schema::Argon2id {
                memory_kib: self.kdf.memory_kib,
                passes: self.kdf.passes,
                lanes: self.kdf.lanes,
                salt: Bytes::copy_from_slice(&self.kdf.salt),
            }),
            key_check: Bytes::copy_from_slice(&self.key_check),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        Bundle {
            kdf: Kdf::recommended([3; SALT_LEN]),
            key_check: [4; DIGEST_LEN],
            nonce: [5; NONCE_LEN],
            ciphertext: Bytes::from_static(&[6; 50]),
        }
    }

    #[test]
    fn a_bundle_reads_as_it_was_written() {
        assert_eq!(Bundle::decode(bundle().encode().into()), Ok(bundle()));
    }

    #[test]
    fn a_bundle_cut_anywhere_is_refused() {
        let file = BundleFile {
            checksum: [1; DIGEST_LEN],
            body: bundle().encode().into(),
        };
        let whole = Bytes::from(file.encode());
        for length in 1..whole.len() {
            let cut = BundleFile::decode(&whole.slice(..length))
                .and_then(|file| Bundle::decode(file.body));
            assert_eq!(cut, Err(UnreadableBundle::Damaged), "at {length}");
        }
    }

    #[test]
    fn a_derivation_beyond_the_bounds_is_refused_before_it_begins() {
        for (memory_kib, passes, lanes) in [
            (u32::MAX, 1, 1),
            (1024, 3, 4),
            (64 * 1024, 0, 4),
            (64 * 1024, u32::MAX, 4),
            (64 * 1024, 3, u32::MAX),
            (1024 * 1024, 64, 4),
        ] {
            let mut hostile = bundle();
            hostile.kdf.memory_kib = memory_kib;
            hostile.kdf.passes = passes;
            hostile.kdf.lanes = lanes;
            let read = Bundle::decode(hostile.encode().into());
            assert_eq!(read, Err(UnreadableBundle::Parameters));
        }
    }

    #[test]
    fn other_files_and_newer_versions_are_told_apart() {
        let other = BundleFile::decode(&Bytes::from_static(b"SQLite format 3\0"));
        assert_eq!(other, Err(UnreadableBundle::NotABundle));
        let newer = schema::ExportBundle {
            version: VERSION + 1,
            ..Default::default()
        };
        assert_eq!(
            Bundle::decode(newer.encode_to_vec().into()),
            Err(UnreadableBundle::Version(VERSION + 1))
        );
    }
}
