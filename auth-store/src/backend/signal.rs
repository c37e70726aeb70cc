//! Identities, sessions, pre-keys and sender keys.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wacore::store::error::Result;
use wacore::store::traits::SignalStore;

use crate::AuthStore;
use crate::gate::SnapshotPositions;
use crate::record::RecordError;
use crate::record_name::Family;
use crate::writer::Changes;

#[async_trait]
impl SignalStore for AuthStore {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        let name = Family::Identity.record([address]);
        Ok(self.put(name, Bytes::copy_from_slice(&key)).await?)
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let mut changes = Changes::default();
        for (address, key) in identities {
            let name = Family::Identity.record([&**address]);
            changes.put(name, Bytes::copy_from_slice(key));
        }
        Ok(self.write(changes).await?)
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let name = Family::Identity.record([address]);
        let decode = |key: &Bytes| {
            let key = key.as_ref().try_into();
            key.map_err(|_| "it has another size".to_owned())
        };
        Ok(self.read_as(&name, decode).await?)
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        Ok(self.remove(Family::Identity.record([address])).await?)
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        Ok(self.read(&Family::Session.record([address])).await?)
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        let session = (Arc::from(address), Bytes::copy_from_slice(session));
        Ok(self.put_sessions(&[session]).await?)
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        Ok(self.put_sessions(sessions).await?)
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        Ok(self.remove(Family::Session.record([address])).await?)
    }

    async fn has_session(&self, address: &str) -> Result<bool> {
        Ok(self.get_session(address).await?.is_some())
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        for family in [Family::Session, Family::Identity] {
            let address = family.record([user]);
            for end in ['@', ':'] {
                let from = format!("{}{end}", address.text());
                let before = crate::record::after_prefix(&from);
                if !self.names(&from, &before, 1).await?.is_empty() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn store_prekey(&self, id: u32, record: &[u8], uploaded: bool) -> Result<()> {
        let key = (id, Bytes::copy_from_slice(record));
        Ok(self.put_pre_keys(&[key], uploaded).await?)
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()> {
        Ok(self.put_pre_keys(keys, uploaded).await?)
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        Ok(self.pre_keys(&[id]).await?.pop().map(|(_, record)| record))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        Ok(self.pre_keys(ids).await?)
    }

    async fn mark_prekeys_uploaded(&self, ids: &[u32]) -> Result<()> {
        Ok(self.mark_pre_keys_uploaded(ids).await?)
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        Ok(self.remove_pre_key(id).await?)
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        Ok(self.highest_pre_key_id().await?)
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        let name = Family::SignedPreKey.record([id.to_string().as_str()]);
        Ok(self.put(name, Bytes::copy_from_slice(record)).await?)
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        let name = Family::SignedPreKey.record([id.to_string().as_str()]);
        Ok(self.read(&name).await?.map(Vec::from))
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        Ok(self.all_signed_pre_keys().await?)
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        let name = Family::SignedPreKey.record([id.to_string().as_str()]);
        Ok(self.remove(name).await?)
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        let key = (Arc::from(address), Bytes::copy_from_slice(record));
        Ok(self.put_sender_keys(&[key]).await?)
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        Ok(self.put_sender_keys(sender_keys).await?)
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        let name = Family::SenderKey.record([address]);
        Ok(self.read(&name).await?.map(Vec::from))
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        Ok(self.remove(Family::SenderKey.record([address])).await?)
    }
}

impl AuthStore {
    async fn put_sessions(
        &self,
        sessions: &[(Arc<str>, Bytes)],
    ) -> std::result::Result<(), RecordError> {
        let mut changes = Changes::default();
        for (address, session) in sessions {
            changes.put(Family::Session.record([&**address]), session.clone());
        }
        self.write_signal(changes, || {
            let mut positions = SnapshotPositions::default();
            for (_, session) in sessions {
                positions.add_session(session);
            }
            positions
        })
        .await
    }

    async fn put_sender_keys(
        &self,
        keys: &[(Arc<str>, Bytes)],
    ) -> std::result::Result<(), RecordError> {
        let mut changes = Changes::default();
        for (address, key) in keys {
            changes.put(Family::SenderKey.record([&**address]), key.clone());
        }
        self.write_signal(changes, || {
            let mut positions = SnapshotPositions::default();
            for (_, key) in keys {
                positions.add_sender_key(key);
            }
            positions
        })
        .await
    }
}
