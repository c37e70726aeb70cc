//! The phone's side of linking: reading a QR code, and answering an 8-character code.
//!
//! Link code: the companion's ephemeral key is wrapped under the code (PBKDF2, AES-CTR); the phone
//! answers with its own ephemeral wrapped under the same code, and with its identity key; the
//! companion then sends a key bundle sealed with the agreement of the two ephemerals. A wrong code
//! shows only there, as a bundle that does not open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead;
use wacore::crypto::hkdf_sha256_into;
use wacore::libsignal::protocol::{IdentityKeyPair, KeyPair, PublicKey};
use wacore::pair_code::PairCodeUtils;

use super::PeopleError;

/// What a companion shows as a QR code.
///
/// Text form: `[https://wa.me/settings/linked_devices#]ref,noise,identity,advSecret[,platform…]`,
/// keys in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode {
    /// One of the refs that the server offered to the companion's connection.
    pub reference: String,
    /// The companion's Noise static public key.
    pub noise: [u8; 32],
    /// The companion's identity public key.
    pub identity: [u8; 32],
    /// The secret under which the phone authenticates its answer.
    pub adv_secret: [u8; 32],
}

impl std::fmt::Debug for QrCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QrCode").finish_non_exhaustive()
    }
}

impl QrCode {
    /// Reads the text of a QR code.
    ///
    /// # Errors
    /// [`PeopleError::BadQr`] naming the damaged part.
    pub fn parse(text: &str) -> Result<Self, PeopleError> {
        let body = text.rsplit_once('#').map_or(text, |(_, body)| body);
        let mut parts = body.trim().split(',');
        let mut next = |what| {
            parts
                .next()
                .filter(|p| !p.is_empty())
                .ok_or(PeopleError::BadQr(what))
        };
        let reference = next("reference")?.to_owned();
        let noise = key(next("noise key")?, "noise key")?;
        let identity = key(next("identity key")?, "identity key")?;
        let adv_secret = key(next("secret")?, "secret")?;
        Ok(Self {
            reference,
            noise,
            identity,
            adv_secret,
        })
    }
}

fn key(text: &str, what: &'static str) -> Result<[u8; 32], PeopleError> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| PeopleError::BadQr(what))?;
    bytes.try_into().map_err(|_| PeopleError::BadQr(what))
}

/// A link-code exchange between the phone's answer and the companion's key bundle.
pub struct LinkAttempt {
    /// The phone's ephemeral key, wrapped under the code:
    /// `link_code_pairing_wrapped_primary_ephemeral_pub`.
    pub wrapped_ephemeral: [u8; 80],
    /// The phone's identity key: `primary_identity_pub`.
    pub identity: [u8; 32],
    ephemeral: KeyPair,
    companion_ephemeral: PublicKey,
}

impl std::fmt::Debug for LinkAttempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkAttempt").finish_non_exhaustive()
    }
}

pub(super) fn answer(
    own: &IdentityKeyPair,
    code: &str,
    wrapped_companion_ephemeral: &[u8],
) -> Result<LinkAttempt, PeopleError> {
    let code: String = code
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if !PairCodeUtils::validate_code(&code) {
        return Err(PeopleError::BadLinkCode("code"));
    }
    let theirs = PairCodeUtils::decrypt_primary_ephemeral_pub(wrapped_companion_ephemeral, &code)
        .map_err(|_| PeopleError::BadLinkCode("wrapped companion ephemeral"))?;
    let companion_ephemeral = PublicKey::from_djb_public_key_bytes(&theirs)
        .map_err(|_| PeopleError::BadLinkCode("companion ephemeral"))?;
    let ephemeral = KeyPair::generate(&mut rand::rng());
    let public = raw(&ephemeral.public_key);
    Ok(LinkAttempt {
        wrapped_ephemeral: PairCodeUtils::encrypt_ephemeral_pub(&public, &code),
        identity: raw(own.public_key()),
        ephemeral,
        companion_ephemeral,
    })
}

/// Opens the companion's key bundle and derives the secret for the pairing HMAC.
pub(super) fn finish(
    own: &IdentityKeyPair,
    attempt: &LinkAttempt,
    wrapped_bundle: &[u8],
    companion_identity: &[u8; 32],
) -> Result<[u8; 32], PeopleError> {
    let damaged = PeopleError::BadLinkCode("wrapped key bundle");
    let Some((salt, rest)) = wrapped_bundle.split_first_chunk::<32>() else {
        return Err(damaged);
    };
    let Some((iv, sealed)) = rest.split_first_chunk::<12>() else {
        return Err(damaged);
    };
    let agree = |ours: &wacore::libsignal::protocol::PrivateKey, theirs: &PublicKey| {
        ours.calculate_agreement(theirs)
            .map_err(|e| PeopleError::BadKey(e.into()))
    };
    let shared = agree(&attempt.ephemeral.private_key, &attempt.companion_ephemeral)?;
    let key = derive(
        &shared,
        Some(salt),
        b"link_code_pairing_key_bundle_encryption_key",
    );
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, &key).expect("AES-256 keys have 32 bytes");
    let mut opened = sealed.to_vec();
    let bundle = aead::LessSafeKey::new(key)
        .open_in_place(
            aead::Nonce::assume_unique_for_key(*iv),
            aead::Aad::empty(),
            &mut opened,
        )
        .map_err(|_| PeopleError::WrongLinkCode)?;
    let (Some(companion), Some(phone), Some(random)) =
        (bundle.get(..32), bundle.get(32..64), bundle.get(64..96))
    else {
        return Err(damaged);
    };
    if companion != companion_identity || phone != attempt.identity {
        return Err(PeopleError::BadLinkCode("identities in the key bundle"));
    }
    let companion = PublicKey::from_djb_public_key_bytes(companion)
        .map_err(|e| PeopleError::BadKey(e.into()))?;
    let identities = agree(own.private_key(), &companion)?;
    Ok(derive(
        &[&shared, &identities, random].concat(),
        None,
        b"adv_secret",
    ))
}

fn derive(secret: &[u8], salt: Option<&[u8]>, info: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    hkdf_sha256_into(secret, salt, info, &mut out).expect("32 bytes are within HKDF's limit");
    out
}

fn raw(key: &PublicKey) -> [u8; 32] {
    key.public_key_bytes()
        .try_into()
        .expect("a Curve25519 public key has 32 bytes")
}
