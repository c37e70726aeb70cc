//! Sender keys of groups, and who has ours.
//!
//! Baileys keeps a record for each device of a member; the library one for each member, whose devices
//! are told apart by the ids of their keys, and one for our own device.

use std::collections::{BTreeMap, BTreeSet};

use auth_format::baileys::{Address, SenderKeyState};
use wacore::libsignal::protocol::{
    SenderChainKeyComponents, SenderKeyRecord, SenderKeyRecordComponents, SenderKeyStateComponents,
    SenderMessageKeyComponents, SenderSigningKeyComponents, consts,
};
use wacore::store::Device;
use wacore::types::jid::{JidExt as _, make_sender_key_name};
use wacore_binary::{Jid, JidExt as _};

use super::{Import, Skip, jid};
use crate::record_name::Family;

/// What the files say, by the names that the library has for it.
#[derive(Default)]
pub(super) struct Groups {
    /// For each record the states of each device, newest first.
    keys: BTreeMap<String, Vec<Vec<SenderKeyState>>>,
    /// Groups with a sender key of our own.
    ours: BTreeSet<String>,
    memory: BTreeMap<String, BTreeMap<String, bool>>,
}

impl Groups {
    pub(super) fn sender_keys(
        &mut self,
        device: &Device,
        group: &str,
        sender: &Address,
        mut states: Vec<SenderKeyState>,
    ) -> Result<(), Skip> {
        let group: Jid = group.parse().map_err(|_| "its name holds no group")?;
        if states.is_empty() {
            return Err("it holds no sender key");
        }
        states.reverse();
        let sender = jid(sender);
        // Older releases mixed our keys with our phone's, which have no private half here.
        let (ours, theirs) = match own(device, &sender) {
            Some(_) => states
                .into_iter()
                .partition(|state| state.signing_private.is_some()),
            None => (Vec::new(), states),
        };
        if let Some(own) = own(device, &sender)
            && !ours.is_empty()
        {
            self.ours.insert(group.to_string());
            self.put(&group, own, ours);
        }
        if !theirs.is_empty() {
            self.put(&group, &sender.to_non_ad(), theirs);
        }
        Ok(())
    }

    fn put(&mut self, group: &Jid, sender: &Jid, states: Vec<SenderKeyState>) {
        let name = make_sender_key_name(group, &sender.to_protocol_address());
        let name = name.cache_key().to_owned();
        self.keys.entry(name).or_default().push(states);
    }

    pub(super) fn memory(
        &mut self,
        group: &str,
        devices: BTreeMap<String, bool>,
    ) -> Result<(), Skip> {
        let group: Jid = group.parse().map_err(|_| "its name holds no group")?;
        let devices = devices
            .into_iter()
            .filter_map(|(device, has)| Some((device.parse::<Jid>().ok()?.to_string(), has)));
        self.memory.insert(group.to_string(), devices.collect());
        Ok(())
    }
}

/// The name that our own device goes by in groups where `sender` is one of the account's devices.
fn own<'a>(device: &'a Device, sender: &Jid) -> Option<&'a Jid> {
    let forms = [&device.pn, &device.lid];
    let own = forms
        .into_iter()
        .flatten()
        .find(|own| own.is_same_user_as(sender))?;
    (sender.device == 0 || sender.device == own.device).then_some(own)
}

impl Import {
    pub(super) fn groups(&mut self, groups: Groups) {
        for (name, devices) in groups.keys {
            let components = SenderKeyRecordComponents {
                states: interleaved(devices),
            };
            let record =
                SenderKeyRecord::from_components(components).and_then(|record| record.serialize());
            match record {
                Ok(record) => {
                    self.put(Family::SenderKey.record([name.as_str()]), record);
                    self.report.sender_keys += 1;
                }
                Err(_) => {
                    self.report
                        .skip(&format!("sender-key-{name}"), "it cannot be continued");
                }
            }
        }
        self.report.own_sender_keys = groups.ours.len();
        for (group, devices) in groups.memory {
            // Who has a key that was not taken must get the next one.
            if groups.ours.contains(&group) {
                self.put_json(Family::SenderKeyDevices.record([group.as_str()]), &devices);
            } else {
                let file = format!("sender-key-memory-{group}.json");
                self.report.skip(&file, "our own sender key is not there");
            }
        }
    }
}

/// The newest state of each device, then the second newest, as many as the library keeps.
fn interleaved(devices: Vec<Vec<SenderKeyState>>) -> Vec<SenderKeyStateComponents> {
    let longest = devices.iter().map(Vec::len).max().unwrap_or_default();
    let mut seen = BTreeSet::new();
    (0..longest)
        .flat_map(|age| devices.iter().filter_map(move |states| states.get(age)))
        .filter(|state| seen.insert(state.id))
        .take(consts::MAX_SENDER_KEY_STATES)
        .map(components)
        .collect()
}

fn components(state: &SenderKeyState) -> SenderKeyStateComponents {
    let mut skipped = state.skipped.clone();
    skipped.sort_unstable();
    skipped.dedup_by_key(|(iteration, _)| *iteration);
    let surplus = skipped.len().saturating_sub(consts::MAX_MESSAGE_KEYS);
    SenderKeyStateComponents {
        key_id: state.id,
        chain_key: SenderChainKeyComponents {
            iteration: state.iteration,
            seed: state.seed.to_vec(),
        },
        signing_key: SenderSigningKeyComponents {
            public: state.signing_public.to_vec(),
            private: state.signing_private.map(|key| key.to_vec()),
        },
        message_keys: skipped[surplus..]
            .iter()
            .map(|(iteration, seed)| SenderMessageKeyComponents {
                iteration: *iteration,
                seed: seed.to_vec(),
            })
            .collect(),
    }
}
