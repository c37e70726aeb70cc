//! Two people with real Signal sessions: Alice writes, Bob is the worker.

use std::collections::HashMap;

use async_trait::async_trait;
use rand::rngs::StdRng;
use wacore::libsignal::protocol::{
    CiphertextMessage, Direction, GenericSignedPreKey, IdentityChange, IdentityKey,
    IdentityKeyPair, IdentityKeyStore, KeyPair, PreKeyBundle, PreKeyId, PreKeyRecord,
    PreKeySignalMessage, PreKeyStore, ProtocolAddress, SenderKeyName, SenderKeyRecord,
    SenderKeyStore, SessionRecord, SessionStore, SignalMessage, SignalProtocolError,
    SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore, Timestamp, UsePQRatchet,
    create_sender_key_distribution_message, group_decrypt, group_encrypt, message_decrypt,
    message_encrypt, process_prekey_bundle, process_sender_key_distribution_message,
};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

type Result<T> = std::result::Result<T, SignalProtocolError>;

pub const ALICE: &str = "4915112345678@s.whatsapp.net";
pub const GROUP: &str = "120363021033254949@g.us";

#[derive(Default)]
struct Sessions(HashMap<String, SessionRecord>);

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.0.get(address.as_str()).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Result<bool> {
        Ok(self.0.contains_key(address.as_str()))
    }

    async fn store_session(
        &mut self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<()> {
        self.0.insert(address.as_str().to_owned(), record);
        Ok(())
    }
}

struct Identity(IdentityKeyPair);

#[async_trait]
impl IdentityKeyStore for Identity {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.0.clone())
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(1)
    }

    async fn save_identity(
        &mut self,
        _address: &ProtocolAddress,
        _identity: &IdentityKey,
    ) -> Result<IdentityChange> {
        Ok(IdentityChange::from_changed(false))
    }

    async fn is_trusted_identity(
        &self,
        _address: &ProtocolAddress,
        _identity: &IdentityKey,
        _direction: Direction,
    ) -> Result<bool> {
        Ok(true)
    }

    async fn get_identity(&self, _address: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        Ok(None)
    }
}

struct PreKeys(PreKeyRecord);

#[async_trait]
impl PreKeyStore for PreKeys {
    async fn get_pre_key(&self, _id: PreKeyId) -> Result<PreKeyRecord> {
        Ok(self.0.clone())
    }

    async fn save_pre_key(&mut self, _id: PreKeyId, _record: &PreKeyRecord) -> Result<()> {
        Ok(())
    }

    async fn remove_pre_key(&mut self, _id: PreKeyId) -> Result<()> {
        Ok(())
    }
}

struct SignedPreKeys(SignedPreKeyRecord);

#[async_trait]
impl SignedPreKeyStore for SignedPreKeys {
    async fn get_signed_pre_key(&self, _id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        Ok(self.0.clone())
    }

    async fn save_signed_pre_key(
        &mut self,
        _id: SignedPreKeyId,
        _record: &SignedPreKeyRecord,
    ) -> Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct SenderKeys(HashMap<SenderKeyName, SenderKeyRecord>);

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(
        &mut self,
        name: &SenderKeyName,
        record: SenderKeyRecord,
    ) -> Result<()> {
        self.0.insert(name.clone(), record);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        Ok(self.0.get(name).cloned())
    }
}

pub struct SignalPair {
    rng: StdRng,
    alice: ProtocolAddress,
    bob: ProtocolAddress,
    alice_sessions: Sessions,
    alice_identity: Identity,
    bob_sessions: Sessions,
    bob_identity: Identity,
    bob_pre_keys: PreKeys,
    bob_signed: SignedPreKeys,
    alice_groups: SenderKeys,
    bob_groups: SenderKeys,
}

impl SignalPair {
    pub async fn new() -> Self {
        let mut rng = rand::make_rng::<StdRng>();
        let bob_id = IdentityKeyPair::generate(&mut rng);
        let one_time = KeyPair::generate(&mut rng);
        let signed = KeyPair::generate(&mut rng);
        let signature = bob_id
            .private_key()
            .calculate_signature(&signed.public_key.serialize(), &mut rng)
            .unwrap();
        let bundle = PreKeyBundle::new(
            2,
            1.into(),
            Some((1.into(), one_time.public_key)),
            1.into(),
            signed.public_key,
            signature.to_vec(),
            *bob_id.identity_key(),
        )
        .unwrap();
        let mut pair = Self {
            alice: ProtocolAddress::new("alice", 0.into()),
            bob: ProtocolAddress::new("bob", 1.into()),
            alice_sessions: Sessions::default(),
            alice_identity: Identity(IdentityKeyPair::generate(&mut rng)),
            bob_sessions: Sessions::default(),
            bob_identity: Identity(bob_id),
            bob_pre_keys: PreKeys(PreKeyRecord::new(1.into(), &one_time)),
            bob_signed: SignedPreKeys(SignedPreKeyRecord::new(
                1.into(),
                Timestamp::from_epoch_millis(0),
                &signed,
                &signature,
            )),
            alice_groups: SenderKeys::default(),
            bob_groups: SenderKeys::default(),
            rng,
        };
        process_prekey_bundle(
            &pair.bob,
            &mut pair.alice_sessions,
            &mut pair.alice_identity,
            &bundle,
            &mut pair.rng,
            UsePQRatchet::No,
        )
        .await
        .unwrap();
        pair
    }

    /// A pair in which Bob has answered, so that Alice writes plain `msg`s.
    pub async fn established() -> Self {
        let mut pair = Self::new().await;
        let first = pair.alice_writes("FIRST").await;
        pair.bob_reads(&first).await;
        let reply = message_encrypt(
            b"hi",
            &pair.alice,
            &mut pair.bob_sessions,
            &mut pair.bob_identity,
        )
        .await
        .unwrap();
        message_decrypt(
            &reply,
            &pair.bob,
            &mut pair.alice_sessions,
            &mut pair.alice_identity,
            &mut pair.bob_pre_keys,
            &pair.bob_signed,
            &mut pair.rng,
            UsePQRatchet::No,
        )
        .await
        .unwrap();
        pair
    }

    /// Alice writes to Bob; the stanza as the server delivers it.
    pub async fn alice_writes(&mut self, id: &str) -> Stanza {
        let message = message_encrypt(
            b"hello",
            &self.bob,
            &mut self.alice_sessions,
            &mut self.alice_identity,
        )
        .await
        .unwrap();
        let kind = match message {
            CiphertextMessage::SignalMessage(_) => "msg",
            CiphertextMessage::PreKeySignalMessage(_) => "pkmsg",
            _ => panic!("not a pairwise message"),
        };
        Stanza::new(id, kind, message.serialize().to_vec())
    }

    pub async fn bob_reads(&mut self, stanza: &Stanza) {
        let bytes = stanza.ciphertext.as_slice();
        let message = match stanza.kind {
            "msg" => CiphertextMessage::SignalMessage(SignalMessage::try_from(bytes).unwrap()),
            _ => CiphertextMessage::PreKeySignalMessage(
                PreKeySignalMessage::try_from(bytes).unwrap(),
            ),
        };
        message_decrypt(
            &message,
            &self.alice,
            &mut self.bob_sessions,
            &mut self.bob_identity,
            &mut self.bob_pre_keys,
            &self.bob_signed,
            &mut self.rng,
            UsePQRatchet::No,
        )
        .await
        .unwrap();
    }

    /// Bob's session with Alice as the library writes it.
    pub fn session(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.bob_sessions.0[self.alice.as_str()].serialize_into_for_store(&mut bytes, &[9; 16]);
        bytes
    }

    /// Alice gives Bob her key for the group.
    pub async fn share_sender_key(&mut self) {
        let name = sender_key_name();
        let shared =
            create_sender_key_distribution_message(&name, &mut self.alice_groups, &mut self.rng)
                .await
                .unwrap();
        process_sender_key_distribution_message(&name, &shared, &mut self.bob_groups)
            .await
            .unwrap();
    }

    pub async fn alice_writes_to_group(&mut self, id: &str) -> Stanza {
        let name = sender_key_name();
        let message = group_encrypt(&mut self.alice_groups, &name, b"hello all", &mut self.rng)
            .await
            .unwrap();
        Stanza::new(id, "skmsg", message.serialized().to_vec())
    }

    pub async fn bob_reads_in_group(&mut self, stanza: &Stanza) {
        group_decrypt(&stanza.ciphertext, &mut self.bob_groups, &sender_key_name())
            .await
            .unwrap();
    }

    /// Alice's sender key at Bob as the library writes it.
    pub fn sender_key(&self) -> Vec<u8> {
        self.bob_groups.0[&sender_key_name()]
            .serialize_for_store(&[9; 16])
            .unwrap()
    }
}

fn sender_key_name() -> SenderKeyName {
    SenderKeyName::from_parts(GROUP, ALICE)
}

/// A `<message>` from Alice.
pub struct Stanza {
    pub id: String,
    kind: &'static str,
    ciphertext: Vec<u8>,
}

impl Stanza {
    fn new(id: &str, kind: &'static str, ciphertext: Vec<u8>) -> Self {
        Self {
            id: id.to_owned(),
            kind,
            ciphertext,
        }
    }

    pub fn node(&self) -> Node {
        let enc = NodeBuilder::new("enc")
            .attr("v", "2")
            .attr("type", self.kind)
            .bytes(self.ciphertext.clone())
            .build();
        let message = NodeBuilder::new("message").attr("id", self.id.clone());
        let message = if self.kind == "skmsg" {
            message.attr("from", GROUP).attr("participant", ALICE)
        } else {
            message.attr("from", ALICE)
        };
        message.children([enc]).build()
    }
}
