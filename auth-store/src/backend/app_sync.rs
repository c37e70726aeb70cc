//! App-state sync: keys, versions and mutation MACs.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use wacore::appstate::hash::HashState;
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::store::error::Result;
use wacore::store::traits::{AppStateSyncKey, AppSyncStore};

use crate::AuthStore;
use crate::reading::anything;
use crate::record_name::{Family, RecordName};
use crate::store::json;
use crate::writer::Changes;

pub(crate) fn mac_name(collection: &str, index_mac: &[u8]) -> RecordName {
    Family::MutationMac.record([collection, hex::encode(index_mac).as_str()])
}

pub(crate) fn latest_key_name() -> RecordName {
    Family::SyncKeyLatest.record([])
}

pub(crate) fn sync_key_name(key_id: &[u8]) -> RecordName {
    Family::SyncKey.record([hex::encode(key_id).as_str()])
}

#[async_trait]
impl AppSyncStore for AuthStore {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        Ok(self.read_json(&sync_key_name(key_id)).await?)
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        let mut changes = Changes::default();
        changes.put(sync_key_name(key_id), json(&key));
        changes.put(latest_key_name(), Bytes::copy_from_slice(key_id));
        Ok(self.write(changes).await?)
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        let name = Family::SyncVersion.record([name]);
        Ok(self.read_json(&name).await?.unwrap_or_default())
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        let name = Family::SyncVersion.record([name]);
        Ok(self.put_json(name, &state).await?)
    }

    async fn put_mutation_macs(
        &self,
        name: &str,
        _version: u64,
        mutations: &[AppStateMutationMAC],
    ) -> Result<()> {
        let mut changes = Changes::default();
        for mac in mutations {
            let value = Bytes::copy_from_slice(&mac.value_mac);
            changes.put(mac_name(name, &mac.index_mac), value);
        }
        Ok(self.write(changes).await?)
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self.read(&mac_name(name, index_mac)).await?;
        Ok(value.map(Vec::from))
    }

    async fn get_mutation_macs(
        &self,
        name: &str,
        index_macs: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let names: Vec<_> = index_macs.iter().map(|mac| mac_name(name, mac)).collect();
        let values = self.read_many_as(&names, anything).await?;
        Ok(index_macs
            .iter()
            .zip(values)
            .filter_map(|(index, value)| Some((*index, value?.into())))
            .collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let mut changes = Changes::default();
        for index in index_macs {
            changes.remove(mac_name(name, index));
        }
        Ok(self.write(changes).await?)
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        let prefix = Family::MutationMac.prefix([name]);
        let mut changes = Changes::default();
        for mac in self.names_of(Family::MutationMac, &prefix).await? {
            changes.remove(mac);
        }
        Ok(self.write(changes).await?)
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.read(&latest_key_name()).await?.map(Vec::from))
    }
}
