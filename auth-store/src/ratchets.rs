//! Giving up every ratchet that counts what we send.

use wacore::store::Device;
use wacore::types::jid::JidExt as _;

use crate::record::{Batch, RecordError};
use crate::record_name::Family;
use crate::repair::group_of_sender_key;
use crate::writer::Changes;
use crate::{AuthStore, Snapshot};

/// Records removed in one transaction.
const BATCH: usize = 500;

impl AuthStore {
    /// Drops all Signal sessions, our own sender keys, and the lists of who has
    /// them: after the state went back in time, their counters would be used
    /// twice. Peers' sender keys stay, since they count what others send.
    ///
    /// Then this state counts as newer than every other copy of it.
    ///
    /// Call it before anything connects. Returns how many records were dropped.
    /// Cancelled or failed it must be called again.
    ///
    /// # Errors
    /// Something could not be read, or the change is not durable.
    pub async fn forget_ratchets(&self) -> Result<usize, RecordError> {
        let mut dropped = Vec::new();
        let device = Family::Device.record([]);
        let ours = OwnAddresses::of(self.read_json::<Device>(&device).await?.as_ref());
        for family in [Family::Session, Family::SenderKeyDevices, Family::SenderKey] {
            let names = self.names_of(family, &family.prefix([])).await?;
            dropped.extend(
                names
                    .into_iter()
                    .filter(|name| ours.count_with(name.text())),
            );
        }
        for names in dropped.chunks(BATCH) {
            let mut changes = Changes::default();
            for name in names {
                changes.remove(name.clone());
            }
            self.write(changes).await?;
        }
        let ahead = Batch {
            overtakes: true,
            ..Batch::default()
        };
        self.shared.medium.apply(&ahead).await?;
        Ok(dropped.len())
    }
}

impl Snapshot {
    /// As [`AuthStore::forget_ratchets`], before the snapshot is installed. Returns how many records
    /// were dropped.
    pub fn forget_ratchets(&mut self) -> usize {
        let ours = OwnAddresses::of(self.device().as_ref());
        self.drop_records(|name| ours.count_with(name))
    }
}

/// The addresses under which our own sender keys may be kept: of phone number and LID, with and without
/// the device.
struct OwnAddresses(Vec<String>);

impl OwnAddresses {
    fn of(device: Option<&Device>) -> Self {
        let jids = device
            .into_iter()
            .flat_map(|device| [&device.pn, &device.lid]);
        let addresses = jids
            .flatten()
            .flat_map(|jid| [jid.to_non_ad(), jid.clone()])
            .map(|jid| jid.to_protocol_address().as_str().to_owned());
        Self(addresses.collect())
    }

    /// Whether the record of this name counts what we send, or who has the key of that count.
    fn count_with(&self, name: &str) -> bool {
        if let Some(address) = Family::SenderKey.only_part(name) {
            return group_of_sender_key(&address)
                .and_then(|group| address[group.len()..].strip_prefix(':'))
                // What cannot be told from ours counts as ours.
                .is_none_or(|sender| self.0.iter().any(|own| own == sender));
        }
        [Family::Session, Family::SenderKeyDevices]
            .iter()
            .any(|family| family.of_text(name).is_some())
    }
}
