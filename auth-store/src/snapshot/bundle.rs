//! A snapshot sealed with a passphrase, for carrying it elsewhere. See `proto/export_bundle.proto`.
//!
//! ```text
//!   passphrase ── argon2id(salt, 64 MiB) ──> HKDF-SHA256 ─┬─> key ── AES-256-GCM ──> contents
//!                                                         └─> key check
//! ```

use argon2::{Algorithm, Argon2, Params, Version};
use auth_format::{Bundle, BundleFile, ExportContents, Kdf, UnreadableBundle};
use bytes::Bytes;
use prost::Message as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::Snapshot;
use crate::keys::NoRandomness;

const KEY_LEN: usize = 32;
type Key = Zeroizing<[u8; KEY_LEN]>;

/// What seals a bundle. Cleared when it is dropped.
pub struct Passphrase(Zeroizing<String>);

/// A passphrase that protects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the passphrase is too short: {} characters or more protect a bundle",
    Passphrase::SHORTEST
)]
pub struct BadPassphrase;

impl Passphrase {
    /// Characters at least.
    pub const SHORTEST: usize = 12;

    /// Takes a passphrase as it is, white space included.
    ///
    /// # Errors
    /// It is shorter than [`SHORTEST`](Self::SHORTEST), so it sealed no bundle either.
    pub fn new(text: impl Into<String>) -> Result<Self, BadPassphrase> {
        let text = Zeroizing::new(text.into());
        if text.chars().count() < Self::SHORTEST {
            return Err(BadPassphrase);
        }
        Ok(Self(text))
    }
}

/// Why a bundle was not made or opened. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The file is none, is damaged, or is of a newer release.
    #[error(transparent)]
    Unreadable(#[from] UnreadableBundle),
    /// The file is whole, and this passphrase did not seal it.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// There is not enough memory to derive the key.
    #[error("there is not enough memory for the bundle's key derivation")]
    OutOfMemory,
    /// The system's random generator failed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Snapshot {
    /// Seals the snapshot, the names of its records included. Takes 64 MiB and a moment of one
    /// processor: not for an asynchronous task.
    ///
    /// # Errors
    /// [`BundleError::NoRandomness`], [`BundleError::OutOfMemory`].
    pub fn seal(&self, passphrase: &Passphrase) -> Result<Vec<u8>, BundleError> {
        let kdf = Kdf::recommended(random()?);
        let (key, key_check) = derive(passphrase, &kdf)?;
        let nonce = random()?;
        let mut bundle = Bundle {
            kdf,
            key_check,
            nonce,
            ciphertext: Bytes::new(),
        };
        // One allocation, so that no copy in the clear is left behind.
        let length = self.contents.encoded_len() + AES_256_GCM.tag_len();
        let mut sealed = Vec::with_capacity(length);
        self.contents
            .encode(&mut sealed)
            .expect("a vector has room");
        cipher(&key)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bundle.authenticated()),
                &mut sealed,
            )
            .expect("an auth state is far below the cipher's limit of 64 GiB");
        bundle.ciphertext = sealed.into();
        let body = Bytes::from(bundle.encode());
        let file = BundleFile {
            checksum: checksum(&body),
            body,
        };
        Ok(file.encode())
    }

    /// Opens what [`seal`](Self::seal) made. Not for an asynchronous task.
    ///
    /// # Errors
    /// See [`BundleError`]: another file, a damaged one, one of a newer release and a wrong passphrase
    /// are told apart.
    pub fn open(file: &[u8], passphrase: &Passphrase) -> Result<Self, BundleError> {
        let file = BundleFile::decode(&Bytes::copy_from_slice(file))?;
        if checksum(&file.body) != file.checksum {
            return Err(UnreadableBundle::Damaged.into());
        }
        let bundle = Bundle::decode(file.body)?;
        let (key, key_check) = derive(passphrase, &bundle.kdf)?;
        if key_check != bundle.key_check {
            return Err(BundleError::WrongPassphrase);
        }
        let damaged = BundleError::Unreadable(UnreadableBundle::Damaged);
        let mut opened = Zeroizing::new(Vec::from(bundle.ciphertext.clone()));
        let contents = cipher(&key)
            .open_in_place(
                Nonce::assume_unique_for_key(bundle.nonce),
                Aad::from(bundle.authenticated()),
                &mut opened,
            )
            .map_err(|_| damaged)?;
        let contents = ExportContents::decode(&*contents).map_err(|_| damaged)?;
        let mut names: Vec<&str> = contents.records.iter().map(|r| r.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(damaged);
        }
        Self::of(contents).map_err(|_| damaged)
    }
}

fn derive(passphrase: &Passphrase, kdf: &Kdf) -> Result<(Key, [u8; KEY_LEN]), BundleError> {
    let params = Params::new(kdf.memory_kib, kdf.passes, kdf.lanes, Some(KEY_LEN))
        .map_err(|_| UnreadableBundle::Parameters)?;
    let mut derived = Key::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.0.as_bytes(), &kdf.salt, &mut *derived)
        .map_err(|_| BundleError::OutOfMemory)?;
    let secret = Salt::new(HKDF_SHA256, &[]).extract(&*derived);
    let expand = |purpose: &[u8], into: &mut [u8]| {
        secret
            .expand(&[purpose], Length)
            .and_then(|okm| okm.fill(into))
            .expect("HKDF-SHA256 yields 32 bytes");
    };
    let (mut key, mut check) = (Key::default(), [0; KEY_LEN]);
    expand(b"whatsapp-worker auth bundle key", &mut *key);
    expand(b"whatsapp-worker auth bundle key check", &mut check);
    Ok((key, check))
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_LEN
    }
}

fn cipher(key: &Key) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, &**key).expect("the key has the cipher's size");
    LessSafeKey::new(key)
}

fn checksum(body: &[u8]) -> [u8; digest::SHA256_OUTPUT_LEN] {
    digest::digest(&digest::SHA256, body)
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes")
}

fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| NoRandomness)?;
    Ok(bytes)
}
