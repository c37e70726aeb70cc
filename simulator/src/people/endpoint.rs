//! The Signal endpoint of one simulated device.
//!
//! 1:1 messages: the first ones to a device are `pkmsg` until that device answers, then `msg`.
//! Group messages: one sender key per (group, device), handed out in a 1:1 envelope to each device
//! that has not got it, then one `skmsg` for all.

mod spoiling;

use std::collections::{HashMap, HashSet};

use futures_util::FutureExt as _;
use wacore::libsignal::protocol::{
    CiphertextMessage, GenericSignedPreKey as _, IdentityKey, IdentityKeyPair, KeyPair,
    PreKeyBundle, PreKeyRecord, PreKeySignalMessage, ProtocolAddress, PublicKey,
    SenderKeyDistributionMessage, SenderKeyName, SignalMessage, SignalProtocolError,
    SignedPreKeyRecord, Timestamp, UsePQRatchet, create_sender_key_distribution_message,
    group_decrypt, group_encrypt, message_decrypt, message_encrypt, process_prekey_bundle,
    process_sender_key_distribution_message,
};
use wacore::messages::MessageUtils;
use wacore_binary::Jid;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;

use super::PeopleError;
use super::keyring::{Identities, OneTimeKeys, SenderKeys, Sessions, SignedKeys};
use super::sealed::{EncKind, GroupSealed, KeyBundle, OneTimeKey, Sealed, SignedKey};

/// Signal state of one device.
pub struct Endpoint {
    identities: Identities,
    one_time: OneTimeKeys,
    next_one_time: u32,
    signed: SignedKeys,
    signed_public: SignedKey,
    sessions: Sessions,
    sender_keys: SenderKeys,
    /// Per group, the devices that hold our current sender key.
    distributed: HashMap<Jid, HashSet<Jid>>,
    /// Whose session is bad without our knowing; see [`Self::spoil`].
    spoiled: HashSet<Jid>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

impl Endpoint {
    /// A device with fresh keys and no sessions.
    pub fn generate() -> Self {
        let mut rng = rand::rng();
        let own = IdentityKeyPair::generate(&mut rng);
        let key = KeyPair::generate(&mut rng);
        let signature = own
            .private_key()
            .calculate_signature(&key.public_key.serialize(), &mut rng)
            .expect("a generated identity key signs");
        let record = SignedPreKeyRecord::new(
            1.into(),
            Timestamp::from_epoch_millis(super::now_ms().unsigned_abs()),
            &key,
            &signature,
        );
        Self {
            identities: Identities {
                own,
                registration_id: rand::RngExt::random_range(&mut rng, 1..16_381),
                peers: HashMap::new(),
            },
            one_time: OneTimeKeys::default(),
            next_one_time: 1,
            signed: SignedKeys {
                records: HashMap::from([(1.into(), record)]),
            },
            signed_public: SignedKey {
                id: 1,
                public: raw(&key.public_key),
                signature,
            },
            sessions: Sessions::default(),
            sender_keys: SenderKeys::default(),
            distributed: HashMap::new(),
            spoiled: HashSet::new(),
        }
    }

    /// The registration id, as published.
    pub fn registration_id(&self) -> u32 {
        self.identities.registration_id
    }

    /// The raw identity public key, as published.
    pub fn identity(&self) -> [u8; 32] {
        raw(self.identities.own.public_key())
    }

    pub(super) fn identity_pair(&self) -> &IdentityKeyPair {
        &self.identities.own
    }

    /// A bundle for one peer, with a one-time pre-key that was never handed out before.
    pub fn key_bundle(&mut self) -> KeyBundle {
        let id = self.next_one_time;
        self.next_one_time = if id == 0x00FF_FFFF { 1 } else { id + 1 };
        let pair = KeyPair::generate(&mut rand::rng());
        let public = raw(&pair.public_key);
        let record = PreKeyRecord::new(id.into(), &pair);
        self.one_time.records.insert(id.into(), record);
        KeyBundle {
            registration_id: self.registration_id(),
            identity: self.identity(),
            signed: self.signed_public.clone(),
            one_time: Some(OneTimeKey { id, public }),
        }
    }

    /// Whether [`encrypt`](Self::encrypt) to `peer` works without a key bundle.
    pub fn has_session(&self, peer: &Jid) -> bool {
        self.sessions.records.contains_key(&address(peer))
    }

    /// Starts a session with `peer` from its bundle; an existing one is replaced (kept as archived
    /// state, so late ciphertext of the old one still opens).
    ///
    /// # Errors
    /// [`PeopleError::BadKey`] when a key is malformed or the pre-key's signature does not verify.
    pub fn establish(&mut self, peer: &Jid, bundle: &KeyBundle) -> Result<(), PeopleError> {
        let key = |bytes: &[u8; 32]| {
            PublicKey::from_djb_public_key_bytes(bytes).map_err(|e| PeopleError::BadKey(e.into()))
        };
        let one_time = match &bundle.one_time {
            Some(one) => Some((one.id.into(), key(&one.public)?)),
            None => None,
        };
        let bundle = PreKeyBundle::new(
            bundle.registration_id,
            u32::from(peer.device).into(),
            one_time,
            bundle.signed.id.into(),
            key(&bundle.signed.public)?,
            bundle.signed.signature.to_vec(),
            IdentityKey::new(key(&bundle.identity)?),
        )
        .map_err(PeopleError::BadKey)?;
        ready(process_prekey_bundle(
            &address(peer),
            &mut self.sessions,
            &mut self.identities,
            &bundle,
            &mut rand::rng(),
            UsePQRatchet::No,
        ))
        .map_err(PeopleError::BadKey)?;
        self.spoiled.remove(peer);
        Ok(())
    }

    /// Drops the session with `peer` (it asked for a retry with new keys, or it is gone), and its
    /// claim to have our sender keys.
    pub fn forget(&mut self, peer: &Jid) {
        self.sessions.records.remove(&address(peer));
        self.spoiled.remove(peer);
        for holders in self.distributed.values_mut() {
            holders.remove(peer);
        }
    }

    /// Encrypts an encoded `Message` for `peer`, padding included.
    ///
    /// # Errors
    /// [`PeopleError::NoSession`] when no session was established.
    pub fn encrypt(&mut self, peer: &Jid, plaintext: &[u8]) -> Result<Sealed, PeopleError> {
        let padded = MessageUtils::pad_message_v2(plaintext.to_vec());
        let sealed = ready(message_encrypt(
            &padded,
            &address(peer),
            &mut self.sessions,
            &mut self.identities,
        ));
        let sealed = sealed.map_err(|error| match error {
            SignalProtocolError::SessionNotFound(_) => PeopleError::NoSession,
            other => PeopleError::BadKey(other),
        })?;
        let kind = match &sealed {
            CiphertextMessage::PreKeySignalMessage(_) => EncKind::PreKey,
            _ => EncKind::Whisper,
        };
        Ok(Sealed {
            kind,
            ciphertext: sealed.serialize().to_vec(),
        })
    }

    /// Encrypts an encoded `Message` for a group whose current devices are `devices`
    /// (without the sender itself). Each must have a session.
    ///
    /// # Errors
    /// [`PeopleError::NoSession`] when one has none; nothing counts as distributed then.
    pub fn encrypt_for_group(
        &mut self,
        group: &Jid,
        devices: &[Jid],
        plaintext: &[u8],
    ) -> Result<GroupSealed, PeopleError> {
        let holders = self.distributed.get(group);
        let lacking: Vec<Jid> = devices
            .iter()
            .filter(|device| !holders.is_some_and(|held| held.contains(device)))
            .cloned()
            .collect();
        if lacking.iter().any(|device| !self.has_session(device)) {
            return Err(PeopleError::NoSession);
        }
        let name = SenderKeyName::from_parts(&group.to_string(), OWN_SENDER);
        let handout = ready(create_sender_key_distribution_message(
            &name,
            &mut self.sender_keys,
            &mut rand::rng(),
        ))
        .map_err(PeopleError::BadKey)?;
        let envelope = waproto::codec::message_to_vec(&wa::Message {
            sender_key_distribution_message: MessageField::some(
                wa::message::SenderKeyDistributionMessage {
                    group_id: Some(group.to_string()),
                    axolotl_sender_key_distribution_message: Some(handout.serialized().to_vec()),
                },
            ),
            ..Default::default()
        });
        let mut distributions = Vec::with_capacity(lacking.len());
        for device in lacking {
            let sealed = self.encrypt(&device, &envelope)?;
            distributions.push((device, sealed));
        }
        let padded = MessageUtils::pad_message_v2(plaintext.to_vec());
        let sealed = ready(group_encrypt(
            &mut self.sender_keys,
            &name,
            &padded,
            &mut rand::rng(),
        ))
        .map_err(PeopleError::BadKey)?;
        let held = self.distributed.entry(group.clone()).or_default();
        held.extend(distributions.iter().map(|(device, _)| device.clone()));
        Ok(GroupSealed {
            distributions,
            payload: Sealed {
                kind: EncKind::SenderKey,
                ciphertext: sealed.serialized().to_vec(),
            },
        })
    }

    /// Makes the next group message use a new sender key, as phones do when somebody leaves.
    pub fn rotate_group(&mut self, group: &Jid) {
        let name = SenderKeyName::from_parts(&group.to_string(), OWN_SENDER);
        self.sender_keys.records.remove(&name);
        self.distributed.remove(group);
    }

    /// Opens one `<enc>` from the device `sender`. A sender key inside is kept by itself.
    ///
    /// `group` is the group of the stanza; `skmsg` needs it.
    ///
    /// # Errors
    /// [`PeopleError::Duplicate`], [`PeopleError::Undecryptable`], or [`PeopleError::BadMessage`]
    /// when the plaintext is no protobuf.
    pub fn decrypt(
        &mut self,
        sender: &Jid,
        group: Option<&Jid>,
        kind: EncKind,
        ciphertext: &[u8],
    ) -> Result<wa::Message, PeopleError> {
        let padded = match (kind, group) {
            (EncKind::SenderKey, Some(group)) => {
                let name = SenderKeyName::from_parts(&group.to_string(), &sender.to_string());
                ready(group_decrypt(ciphertext, &mut self.sender_keys, &name))
                    .map_err(undecryptable)?
            }
            (EncKind::SenderKey, None) => {
                return Err(PeopleError::BadMessage("skmsg outside a group".into()));
            }
            (EncKind::PreKey, _) => {
                let parsed = PreKeySignalMessage::try_from(ciphertext).map_err(undecryptable)?;
                self.decrypt_pairwise(sender, CiphertextMessage::PreKeySignalMessage(parsed))?
            }
            (EncKind::Whisper, _) => {
                let parsed = SignalMessage::try_from(ciphertext).map_err(undecryptable)?;
                self.decrypt_pairwise(sender, CiphertextMessage::SignalMessage(parsed))?
            }
        };
        let message = wacore::messages::decode_plaintext(&padded, 2)
            .map_err(|error| PeopleError::BadMessage(error.to_string()))?;
        self.keep_sender_key(sender, &message)?;
        Ok(message)
    }

    fn decrypt_pairwise(
        &mut self,
        sender: &Jid,
        ciphertext: CiphertextMessage,
    ) -> Result<Vec<u8>, PeopleError> {
        let opens_session = matches!(ciphertext, CiphertextMessage::PreKeySignalMessage(_));
        let opened = ready(message_decrypt(
            &ciphertext,
            &address(sender),
            &mut self.sessions,
            &mut self.identities,
            &mut self.one_time,
            &self.signed,
            &mut rand::rng(),
            UsePQRatchet::No,
        ))
        .map_err(undecryptable)?;
        if let Some(used) = opened.consumed_prekey_id {
            self.one_time.records.remove(&used);
        }
        if opens_session {
            self.spoiled.remove(sender);
        }
        Ok(opened.plaintext)
    }

    fn keep_sender_key(&mut self, sender: &Jid, message: &wa::Message) -> Result<(), PeopleError> {
        let Some(handout) = message.sender_key_distribution_message.as_option() else {
            return Ok(());
        };
        let (Some(group), Some(bytes)) = (
            handout.group_id.as_deref(),
            handout.axolotl_sender_key_distribution_message.as_deref(),
        ) else {
            return Err(PeopleError::BadMessage("incomplete sender key".into()));
        };
        let parsed = SenderKeyDistributionMessage::try_from(bytes).map_err(undecryptable)?;
        let name = SenderKeyName::from_parts(group, &sender.to_string());
        ready(process_sender_key_distribution_message(
            &name,
            &parsed,
            &mut self.sender_keys,
        ))
        .map_err(undecryptable)
    }
}

/// Our own sender keys are filed under this name, which is no JID.
const OWN_SENDER: &str = "self";

fn address(peer: &Jid) -> ProtocolAddress {
    ProtocolAddress::new(&peer.to_non_ad_string(), u32::from(peer.device).into())
}

fn raw(key: &PublicKey) -> [u8; 32] {
    key.public_key_bytes()
        .try_into()
        .expect("a Curve25519 public key has 32 bytes")
}

fn undecryptable(error: SignalProtocolError) -> PeopleError {
    match error {
        SignalProtocolError::DuplicatedMessage(_, _) => PeopleError::Duplicate,
        other => PeopleError::Undecryptable(other),
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    future
        .now_or_never()
        .expect("the in-memory stores answer at the first poll")
}
