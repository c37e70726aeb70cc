//! Opening every record there is, of every generation.

use std::collections::BTreeMap;

use crate::generation::{Generation, GenerationLog};
use crate::head::KeySet;
use crate::record::{Damage, RecordKey, RecordStore};
use crate::root::Root;
use crate::sealer::{GenerationSealer, Sealer};
use crate::store::OpenError;

/// Records read at once.
const PAGE: usize = 500;
/// Times that it begins again because the state was written meanwhile.
const TRIES: usize = 5;

/// A record that does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRecord {
    /// The record. Shown masked.
    pub record: RecordKey,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What opening everything showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many records there are.
    pub records: u64,
    /// Those that do not open, in key order.
    pub damaged: Vec<DamagedRecord>,
    /// Whether the keys are those that must be there; `None` if the state was
    /// written all the time, so that they could not be compared.
    pub keys_agree: Option<bool>,
    /// Id of the master key that seals the state; `None` if there is none yet.
    pub root_key: Option<String>,
}

impl Verification {
    /// Whether everything is as it should be.
    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.keys_agree == Some(true)
    }
}

/// Opens every record of every generation, compares the keys with the head,
/// and notes the time in the medium if all is well. Repairs nothing.
///
/// The state may be in use. Cancelling does nothing.
///
/// # Errors
/// The root record does not open, or the medium does not answer.
pub async fn verify(medium: &dyn RecordStore, sealer: &Sealer) -> Result<Verification, OpenError> {
    let mut tries = 0;
    loop {
        let before = medium.head().await?;
        let Some((mut seen, keys)) = look(medium, sealer).await? else {
            return Ok(Verification {
                records: 0,
                damaged: Vec::new(),
                keys_agree: Some(before.is_none_or(|head| head.keys == KeySet::default())),
                root_key: None,
            });
        };
        let after = medium.head().await?;
        if let (Some(before), Some(after)) = (before, after)
            && before.writes == after.writes
        {
            seen.keys_agree = Some(keys == after.keys);
        }
        tries += 1;
        if seen.keys_agree.is_none() && tries < TRIES {
            continue;
        }
        if seen.is_clean() {
            medium.stamp_verified().await?;
        }
        return Ok(seen);
    }
}

async fn look(
    medium: &dyn RecordStore,
    sealer: &Sealer,
) -> Result<Option<(Verification, KeySet)>, OpenError> {
    let Some(root) = Root::load(medium, sealer).await? else {
        return Ok(None);
    };
    let mut seen = Verification {
        records: 0,
        damaged: Vec::new(),
        keys_agree: None,
        root_key: root.sealed_by.clone(),
    };
    let openers: BTreeMap<Generation, GenerationSealer> = root
        .listed()
        .map(|listed| (listed, sealer.generation(listed, root.data_key(listed))))
        .collect();
    let mut keys = KeySet::default();
    let mut last: Option<RecordKey> = None;
    loop {
        let page = medium.page(last.as_ref(), PAGE).await?;
        let complete = page.len() < PAGE;
        last = page.last().map(|(key, _)| key.clone());
        for (record, sealed) in page {
            seen.records += 1;
            keys.insert(record.as_str());
            // The root record opened above.
            if record == GenerationLog::record_key() {
                continue;
            }
            let generation = Generation::of_key(&record);
            let opened = match generation.and_then(|generation| openers.get(&generation)) {
                Some(opener) => opener.try_open(&record, sealed).map(|_| ()),
                None => Err(Damage::Unlisted),
            };
            if let Err(damage) = opened {
                seen.damaged.push(DamagedRecord { record, damage });
            }
        }
        if complete {
            return Ok(Some((seen, keys)));
        }
    }
}
