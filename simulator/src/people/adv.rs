//! How a phone vouches for its companions.
//!
//! The phone's identity key signs each companion's identity (prefix `06 00`); the companion
//! countersigns (prefix `06 01`); the list of living companions is signed apart (prefix `06 02`).
//! While pairing, the signed identity travels under an HMAC keyed with the secret of the QR code
//! or of the link-code exchange, so a server cannot forge it.

use ring::hmac;
use wacore::libsignal::protocol::{IdentityKeyPair, PublicKey};
use waproto::codec;
use waproto::whatsapp as wa;

use super::PeopleError;

const ACCOUNT_SIGNATURE: &[u8] = &[6, 0];
const DEVICE_SIGNATURE: &[u8] = &[6, 1];
const KEY_INDEX_LIST: &[u8] = &[6, 2];

/// A companion's identity as the phone signed it, before the companion countersigned.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// An encoded `ADVSignedDeviceIdentityHMAC`: the content of `<device-identity>` in
    /// `<pair-success>`.
    pub device_identity: Vec<u8>,
    /// The index of this companion in the account's list; never used twice.
    pub key_index: u32,
    companion: [u8; 32],
    details: Vec<u8>,
}

/// The account's signed list of living companions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyIndexList {
    /// An encoded `ADVSignedKeyIndexList`: the content of `<key-index-list>`.
    pub signed: Vec<u8>,
    /// Seconds since 1970, the `ts` attribute.
    pub timestamp_s: u64,
}

/// The device list of one account and its signatures.
#[derive(Debug)]
pub(super) struct Account {
    raw_id: u32,
    timestamp_s: u64,
    current_index: u32,
    valid: Vec<u32>,
}

impl Account {
    pub(super) fn generate() -> Self {
        Self {
            raw_id: u32::from_le_bytes(super::random_bytes()),
            timestamp_s: super::now_ms().unsigned_abs() / 1000,
            current_index: 0,
            valid: Vec::new(),
        }
    }

    pub(super) fn raw_id(&self) -> u32 {
        self.raw_id
    }

    pub(super) fn current_index(&self) -> u32 {
        self.current_index
    }

    pub(super) fn valid(&self) -> &[u32] {
        &self.valid
    }

    pub(super) fn vouch(
        &mut self,
        own: &IdentityKeyPair,
        companion: &[u8; 32],
        adv_secret: &[u8; 32],
    ) -> Vouched {
        self.current_index += 1;
        self.timestamp_s = super::now_ms().unsigned_abs() / 1000;
        let key_index = self.current_index;
        let details = encode(&wa::ADVDeviceIdentity {
            raw_id: Some(self.raw_id),
            timestamp: Some(self.timestamp_s),
            key_index: Some(key_index),
            account_type: Some(wa::ADVEncryptionType::E2EE),
            device_type: Some(wa::ADVEncryptionType::E2EE),
        });
        let signed = codec::adv_signed_device_identity_to_vec(&wa::ADVSignedDeviceIdentity {
            details: Some(details.clone()),
            account_signature_key: Some(own.public_key().public_key_bytes().to_vec()),
            account_signature: Some(sign(own, &[ACCOUNT_SIGNATURE, &details, companion])),
            device_signature: None,
        });
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, adv_secret), &signed);
        Vouched {
            device_identity: encode(&wa::ADVSignedDeviceIdentityHMAC {
                details: Some(signed),
                hmac: Some(tag.as_ref().to_vec()),
                account_type: Some(wa::ADVEncryptionType::E2EE),
            }),
            key_index,
            companion: *companion,
            details,
        }
    }

    /// Checks what the companion sent back and admits it to the list.
    pub(super) fn admit(
        &mut self,
        own: &IdentityKeyPair,
        vouched: &Vouched,
        countersigned: &[u8],
    ) -> Result<Vec<u8>, PeopleError> {
        let mut signed = codec::adv_signed_device_identity_decode(countersigned)
            .map_err(|_| PeopleError::BadSignature("no signed device identity"))?;
        if signed.details.as_deref() != Some(vouched.details.as_slice()) {
            return Err(PeopleError::BadSignature(
                "other details than were vouched for",
            ));
        }
        let own_key = own.public_key().public_key_bytes();
        let key = PublicKey::from_djb_public_key_bytes(&vouched.companion)
            .map_err(|_| PeopleError::BadSignature("companion identity is no key"))?;
        let message = [
            DEVICE_SIGNATURE,
            &vouched.details,
            &vouched.companion,
            own_key,
        ]
        .concat();
        let signature = signed.device_signature.as_deref().unwrap_or_default();
        if !key.verify_signature(&message, signature) {
            return Err(PeopleError::BadSignature(
                "device signature does not verify",
            ));
        }
        // A companion may leave out the account key and its signature when it answers; what other
        // people get must be whole.
        signed.account_signature_key = Some(own_key.to_vec());
        signed.account_signature = Some(sign(
            own,
            &[ACCOUNT_SIGNATURE, &vouched.details, &vouched.companion],
        ));
        self.valid.push(vouched.key_index);
        Ok(codec::adv_signed_device_identity_to_vec(&signed))
    }

    pub(super) fn dismiss(&mut self, key_index: u32) {
        self.valid.retain(|valid| *valid != key_index);
        self.timestamp_s = super::now_ms().unsigned_abs() / 1000;
    }

    pub(super) fn list(&self, own: &IdentityKeyPair) -> KeyIndexList {
        let details = codec::adv_key_index_list_to_vec(&wa::ADVKeyIndexList {
            raw_id: Some(self.raw_id),
            timestamp: Some(self.timestamp_s),
            current_index: Some(self.current_index),
            valid_indexes: self.valid.clone(),
            account_type: Some(wa::ADVEncryptionType::E2EE),
        });
        let signature = sign(own, &[KEY_INDEX_LIST, &details]);
        KeyIndexList {
            signed: codec::adv_signed_key_index_list_to_vec(&wa::ADVSignedKeyIndexList {
                details: Some(details),
                account_signature: Some(signature),
                account_signature_key: Some(own.public_key().public_key_bytes().to_vec()),
            }),
            timestamp_s: self.timestamp_s,
        }
    }
}

fn sign(own: &IdentityKeyPair, parts: &[&[u8]]) -> Vec<u8> {
    own.private_key()
        .calculate_signature(&parts.concat(), &mut rand::rng())
        .expect("a generated identity key signs")
        .to_vec()
}

fn encode<M: waproto::buffa::Message>(message: &M) -> Vec<u8> {
    message.encode_to_vec()
}
