//! Giving up every ratchet that counts what we send.

use wacore::store::Device;
use wacore::types::jid::JidExt as _;

use crate::AuthStore;
use crate::record::RecordError;
use crate::record_name::{Family, RecordName};
use crate::repair::group_of_sender_key;
use crate::writer::Changes;

/// Records removed in one transaction.
const BATCH: usize = 500;

impl AuthStore {
    /// Drops all Signal sessions, our own sender keys, and the lists of who has
    /// them: after the state went back in time, their counters would be used
    /// twice. Peers' sender keys stay, since they count what others send.
    ///
    /// Call it before anything connects. Returns how many records were dropped.
    /// Cancelled or failed it may be called again.
    ///
    /// # Errors
    /// Something could not be read, or the change is not durable.
    pub async fn forget_ratchets(&self) -> Result<usize, RecordError> {
        let mut dropped = Vec::new();
        for family in [Family::Session, Family::SenderKeyDevices] {
            dropped.extend(self.names_of(family, &family.prefix([])).await?);
        }
        let ours = self.own_addresses().await?;
        let keys = Family::SenderKey.prefix([]);
        let is_ours = |name: &RecordName| {
            let address = Family::SenderKey.only_part(name.text()).unwrap_or_default();
            group_of_sender_key(&address)
                .and_then(|group| address[group.len()..].strip_prefix(':'))
                // What cannot be told from ours counts as ours.
                .is_none_or(|sender| ours.iter().any(|own| own == sender))
        };
        let keys = self.names_of(Family::SenderKey, &keys).await?;
        dropped.extend(keys.into_iter().filter(is_ours));
        for names in dropped.chunks(BATCH) {
            let mut changes = Changes::default();
            for name in names {
                changes.remove(name.clone());
            }
            self.write(changes).await?;
        }
        Ok(dropped.len())
    }

    /// The addresses under which our own sender keys may be kept: of phone number and LID, with and
    /// without the device.
    async fn own_addresses(&self) -> Result<Vec<String>, RecordError> {
        let device = Family::Device.record([]);
        let Some(device) = self.read_json::<Device>(&device).await? else {
            return Ok(Vec::new());
        };
        let jids = [device.pn, device.lid].into_iter().flatten();
        Ok(jids
            .flat_map(|jid| [jid.to_non_ad(), jid])
            .map(|jid| jid.to_protocol_address().as_str().to_owned())
            .collect())
    }
}
