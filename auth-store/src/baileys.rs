//! Goes on with the device of a Baileys auth folder.
//!
//! Everything is put where the protocol library looks for it: sessions and identities under the LID as
//! soon as it is known, others' sender keys under the user without the device, our own with it. What a
//! peer's file lacks costs that peer a retry receipt; what the device itself lacks is an error.
//!
//! Baileys must not run any more, now or later: both would use the same message keys.

mod device;
mod group;
mod report;
mod session;

use std::collections::BTreeMap;
use std::path::Path;

use auth_format::baileys::{Address, Domain, Entry, Folder, SyncKey, SyncVersion, TcToken};
use auth_format::{ExportContents, ExportRecord};
use bytes::Bytes;
use serde::Serialize;
use wacore::appstate::hash::HashState;
use wacore::libsignal::store::record_helpers::encode_pre_key_record_to;
use wacore::store::Device;
use wacore::store::traits::{AppStateSyncKey, LidPnMappingEntry, TcTokenEntry};
use wacore::types::jid::JidExt as _;
use wacore_binary::{Jid, Server};
use waproto::whatsapp::message::AppStateSyncKeyFingerprint;

pub use self::report::{BaileysError, BaileysReport, SkippedFile};
use crate::backend::{app_sync, pre_key};
use crate::clock;
use crate::record_name::{Family, RecordName};
use crate::snapshot::Snapshot;
use crate::store::json;

/// The collection that says the push name, which the library cannot do without.
const COLLECTION_OF_NAME: &str = "critical_block";

impl Snapshot {
    /// Reads a Baileys 6 or 7 multi-file auth folder. It must not be in use, and may not be used again
    /// by Baileys. Reads the disk: not for an asynchronous task.
    ///
    /// # Errors
    /// It is no such folder, it is not linked, or what the device itself needs is not what it should be.
    /// Files about peers are no reason: the report names those that were skipped.
    pub fn from_baileys(folder: &Path) -> Result<(Self, BaileysReport), BaileysError> {
        let folder = Folder::read(folder)?;
        let device = device::device(&folder.creds)?;
        let mut import = Import::new(device);
        for (file, why) in folder.unread {
            import.report.unread(&file, &why);
        }
        import.take(folder.entries, folder.creds.sync_key_id.as_deref())?;
        import.into_snapshot()
    }
}

/// What has been taken so far.
struct Import {
    device: Device,
    records: BTreeMap<RecordName, Bytes>,
    lids: BTreeMap<String, String>,
    report: BaileysReport,
}

/// Why one file was not taken.
type Skip = &'static str;

impl Import {
    fn new(device: Device) -> Self {
        let mut lids = BTreeMap::new();
        if let (Some(phone), Some(lid)) = (&device.pn, &device.lid) {
            lids.insert(phone.user.to_string(), lid.user.to_string());
        }
        Self {
            device,
            records: BTreeMap::new(),
            lids,
            report: BaileysReport::default(),
        }
    }

    /// Takes the files, those first that others are put in place by.
    fn take(
        &mut self,
        mut entries: Vec<(String, Entry)>,
        newest_sync_key: Option<&[u8]>,
    ) -> Result<(), BaileysError> {
        entries.sort_by_key(|(_, entry)| match entry {
            Entry::LidMapping { .. } => 0,
            Entry::Identity(..) => 1,
            // Where both are there, the session under the LID is the one that Baileys used.
            Entry::Sessions(address, _) if is_lid(address) => 2,
            _ => 3,
        });
        let mut groups = group::Groups::default();
        for (file, entry) in entries {
            let taken = match entry {
                Entry::Creds(_) => Ok(()),
                Entry::PreKey(id, pair) => self.pre_key(id, &pair),
                Entry::Identity(address, key) => self.identity(&address, key),
                Entry::Sessions(address, sessions) => self.sessions(&address, sessions),
                Entry::SenderKeys(group, sender, states) => {
                    groups.sender_keys(&self.device, &group, &sender, states)
                }
                Entry::SenderKeyMemory(group, devices) => groups.memory(&group, devices),
                Entry::SyncKey(id, key) => self.sync_key(&id, &key, newest_sync_key),
                Entry::SyncVersion(collection, version) => self.sync_version(&collection, version),
                Entry::LidMapping { phone, lid } => {
                    self.lids.entry(phone).or_insert(lid);
                    Ok(())
                }
                Entry::TcToken(jid, token) => self.tc_token(&jid, token),
            };
            if let Err(why) = taken {
                self.report.skip(&file, why);
            }
        }
        self.groups(groups);
        self.lid_mappings();
        let device = json(&self.device);
        self.records.insert(Family::Device.record([]), device);
        Ok(())
    }

    fn put(&mut self, name: RecordName, value: impl Into<Bytes>) {
        self.records.insert(name, value.into());
    }

    fn put_json(&mut self, name: RecordName, value: &impl Serialize) {
        self.put(name, json(value));
    }

    fn pre_key(&mut self, id: u32, pair: &auth_format::baileys::KeyPair) -> Result<(), Skip> {
        let pair = device::key_pair(pair).map_err(|_| "its two halves do not belong together")?;
        let mut record = Vec::new();
        encode_pre_key_record_to(id, &pair, &mut record);
        let uploaded = id < self.device.first_unupload_pre_key_id;
        self.put(pre_key::name(id), pre_key::value(&record, uploaded));
        self.device.next_pre_key_id = self.device.next_pre_key_id.max(id.saturating_add(1));
        self.report.pre_keys += 1;
        Ok(())
    }

    fn identity(&mut self, address: &Address, key: [u8; 32]) -> Result<(), Skip> {
        let address = self.where_sought(address).to_protocol_address_string();
        let name = Family::Identity.record([address.as_str()]);
        self.records
            .entry(name)
            .or_insert_with(|| Bytes::copy_from_slice(&key));
        self.report.identities += 1;
        Ok(())
    }

    fn sync_key(&mut self, id: &[u8], key: &SyncKey, newest: Option<&[u8]>) -> Result<(), Skip> {
        let fingerprint = key.fingerprint.as_ref().map(|known| {
            waproto::codec::app_state_sync_key_fingerprint_to_vec(&AppStateSyncKeyFingerprint {
                raw_id: known.raw_id,
                current_index: known.current_index,
                device_indexes: known.device_indexes.clone(),
            })
        });
        let stored = AppStateSyncKey {
            key_data: key.data.clone(),
            fingerprint: fingerprint.unwrap_or_default(),
            timestamp: key.timestamp,
        };
        self.put_json(app_sync::sync_key_name(id), &stored);
        if newest == Some(id) {
            self.put(app_sync::latest_key_name(), Bytes::copy_from_slice(id));
        }
        self.report.sync_keys += 1;
        Ok(())
    }

    fn sync_version(&mut self, collection: &str, version: SyncVersion) -> Result<(), Skip> {
        if collection == COLLECTION_OF_NAME && self.device.push_name.is_empty() {
            return Err("the push name is not known: the collection is fetched anew");
        }
        for (index, value) in &version.macs {
            let value = Bytes::copy_from_slice(value);
            self.put(app_sync::mac_name(collection, index), value);
        }
        let state = HashState {
            version: version.version,
            hash: version.hash,
            ..HashState::default()
        };
        self.put_json(Family::SyncVersion.record([collection]), &state);
        self.report.sync_versions += 1;
        Ok(())
    }

    fn tc_token(&mut self, jid: &str, token: TcToken) -> Result<(), Skip> {
        let jid: Jid = jid.parse().map_err(|_| "its name holds no JID")?;
        let entry = TcTokenEntry {
            token_timestamp: token.timestamp.or(token.sent_at).unwrap_or_default(),
            token: token.token,
            sender_timestamp: token.sent_at,
        };
        let user = self.under_lid(jid).user;
        self.put_json(Family::TcToken.record([user.as_str()]), &entry);
        self.report.tc_tokens += 1;
        Ok(())
    }

    fn lid_mappings(&mut self) {
        let now = clock::unix_seconds();
        for (phone, lid) in std::mem::take(&mut self.lids) {
            let entry = LidPnMappingEntry {
                lid: lid.clone(),
                phone_number: phone.clone(),
                created_at: now,
                updated_at: now,
                learning_source: "other".to_owned(),
            };
            self.put_json(Family::LidMapping.record([lid.as_str()]), &entry);
            let of_phone = Family::LidOfPhone.record([phone.as_str()]);
            self.put(of_phone, lid.into_bytes());
            self.report.lid_mappings += 1;
        }
    }

    /// The JID by which the library looks for a device's sessions.
    fn where_sought(&self, address: &Address) -> Jid {
        self.under_lid(jid(address))
    }

    fn under_lid(&self, jid: Jid) -> Jid {
        let server = match jid.server {
            Server::Pn => Server::Lid,
            Server::Hosted => Server::HostedLid,
            _ => return jid,
        };
        match self.lids.get(jid.user.as_str()) {
            Some(lid) => Jid {
                user: lid.as_str().into(),
                server,
                ..jid
            },
            None => jid,
        }
    }

    fn into_snapshot(self) -> Result<(Snapshot, BaileysReport), BaileysError> {
        let records = self.records.into_iter().map(|(name, value)| ExportRecord {
            name: name.text().to_owned(),
            value: value.into(),
        });
        let contents = ExportContents {
            exported_at_ms: clock::unix_millis(),
            records: records.collect(),
            ..Default::default()
        };
        let snapshot = Snapshot::of(contents).expect("the device was written just now");
        Ok((snapshot, self.report))
    }
}

fn is_lid(address: &Address) -> bool {
    matches!(address.domain, Domain::Lid | Domain::HostedLid)
}

fn jid(address: &Address) -> Jid {
    let server = match address.domain {
        Domain::Phone => Server::Pn,
        Domain::Lid => Server::Lid,
        Domain::Hosted => Server::Hosted,
        Domain::HostedLid => Server::HostedLid,
    };
    Jid {
        device: address.device,
        ..Jid::new(address.user.as_str(), server)
    }
}
