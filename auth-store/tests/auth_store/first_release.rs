//! Records as the first release sealed them: under a key that came from the
//! master key itself. Written down anew, so that it stays what it was.

use auth_format::{KEY_ID_LEN, SealedRecord};
use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest;
use ring::hkdf::{HKDF_SHA256, Salt};

pub const MASTER: [u8; 32] = [0x5a; 32];

fn bind(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

fn key_id() -> [u8; KEY_ID_LEN] {
    let mut hashed = b"whatsapp-worker auth key id\0".to_vec();
    hashed.extend_from_slice(&MASTER);
    let hash = digest::digest(&digest::SHA256, &hashed);
    hash.as_ref()[..KEY_ID_LEN].try_into().unwrap()
}

/// Seals `value` as record `key` of `generation` of account `shop`.
pub fn seal(generation: u64, key: &str, value: &[u8]) -> Bytes {
    let number = generation.to_be_bytes();
    let salt = bind(&[b"whatsapp-worker auth data key", b"shop", &number]);
    let mut data_key = [0; 32];
    Salt::new(HKDF_SHA256, &salt)
        .extract(&MASTER)
        .expand(&[b"aes-256-gcm"], HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut data_key))
        .unwrap();
    let nonce = [7; 12];
    let bound = bind(&[b"shop", &number, key.as_bytes(), &1u32.to_be_bytes()]);
    let mut ciphertext = value.to_vec();
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &data_key).unwrap())
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound),
            &mut ciphertext,
        )
        .unwrap();
    SealedRecord {
        key_id: key_id(),
        generation,
        nonce,
        ciphertext: ciphertext.into(),
    }
    .encode()
}

/// The list of generations as it was: generation 2 is in use.
pub fn list() -> Bytes {
    let list = br#"{"current":2,"pending":null,"last":2,"retired":[{"generation":1,"reason":"logged out","retired_at_ms":5}]}"#;
    seal(0, "generations", list)
}
