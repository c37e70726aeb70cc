//! The Signal stores of one simulated device, in memory.
//!
//! Every future of these stores is ready at its first poll; [`Endpoint`](super::Endpoint) relies on
//! that to stay synchronous.

use std::collections::HashMap;

use async_trait::async_trait;
use wacore::libsignal::protocol::{
    Direction, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, PreKeyId,
    PreKeyRecord, PreKeyStore, ProtocolAddress, SenderKeyName, SenderKeyRecord, SenderKeyStore,
    SessionRecord, SessionStore, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord,
    SignedPreKeyStore,
};

type Result<T> = std::result::Result<T, SignalProtocolError>;

pub(super) struct Identities {
    pub(super) own: IdentityKeyPair,
    pub(super) registration_id: u32,
    pub(super) peers: HashMap<ProtocolAddress, IdentityKey>,
}

#[async_trait]
impl IdentityKeyStore for Identities {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.own.clone())
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.registration_id)
    }

    async fn save_identity(
        &mut self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange> {
        let before = self.peers.insert(address.clone(), *identity);
        Ok(IdentityChange::from_changed(
            before.is_some_and(|key| key != *identity),
        ))
    }

    /// Phones accept a changed identity key (they show a notice), and so do these.
    async fn is_trusted_identity(
        &self,
        _address: &ProtocolAddress,
        _identity: &IdentityKey,
        _direction: Direction,
    ) -> Result<bool> {
        Ok(true)
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        Ok(self.peers.get(address).copied())
    }
}

#[derive(Default)]
pub(super) struct OneTimeKeys {
    pub(super) records: HashMap<PreKeyId, PreKeyRecord>,
}

#[async_trait]
impl PreKeyStore for OneTimeKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        let record = self.records.get(&id).cloned();
        record.ok_or(SignalProtocolError::InvalidPreKeyId)
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> Result<()> {
        self.records.insert(id, record.clone());
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> Result<()> {
        self.records.remove(&id);
        Ok(())
    }
}

pub(super) struct SignedKeys {
    pub(super) records: HashMap<SignedPreKeyId, SignedPreKeyRecord>,
}

#[async_trait]
impl SignedPreKeyStore for SignedKeys {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        let record = self.records.get(&id).cloned();
        record.ok_or(SignalProtocolError::InvalidSignedPreKeyId)
    }

    async fn save_signed_pre_key(
        &mut self,
        id: SignedPreKeyId,
        record: &SignedPreKeyRecord,
    ) -> Result<()> {
        self.records.insert(id, record.clone());
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Sessions {
    pub(super) records: HashMap<ProtocolAddress, SessionRecord>,
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.records.get(address).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Result<bool> {
        Ok(self.records.contains_key(address))
    }

    async fn store_session(
        &mut self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<()> {
        self.records.insert(address.clone(), record);
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct SenderKeys {
    pub(super) records: HashMap<SenderKeyName, SenderKeyRecord>,
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(
        &mut self,
        name: &SenderKeyName,
        record: SenderKeyRecord,
    ) -> Result<()> {
        self.records.insert(name.clone(), record);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        Ok(self.records.get(name).cloned())
    }
}
