//! A generation's records outside any medium: what is exported, imported and moved.
//!
//! A snapshot holds everything in the clear, and clears it when it is dropped. Whoever goes on with it
//! must be the only one: two devices with the same Signal sessions use the same keys twice, and WhatsApp
//! closes one of their connections.

mod bundle;
mod install;

use std::fmt;
use std::sync::Arc;

use auth_format::{ExportContents, ExportRecord};
use wacore::store::Device;
use zeroize::Zeroize as _;

pub use self::bundle::{BadPassphrase, BundleError, Passphrase};
pub(crate) use self::install::{no_randomness, remove_all, sweep};
use crate::clock;
use crate::generation::Generation;
use crate::reading::json_damage;
use crate::record::{Damage, RecordError, RecordStore};
use crate::record_name::Family;
use crate::root::Root;
use crate::sealer::Sealer;
use crate::store::OpenError;

/// Times that a generation which is being written is read again before it is given up.
const TRIES: usize = 5;

/// One generation of an account's credentials, in the clear. `Debug` shows none of it.
pub struct Snapshot {
    contents: ExportContents,
    jid: Option<String>,
    lid: Option<String>,
}

impl Snapshot {
    /// Takes a copy of the credentials in use; `None` if none are.
    ///
    /// Nothing is changed, so cancelling does nothing. The medium may be in use: a copy is whole, or it
    /// is not made.
    ///
    /// # Errors
    /// Something cannot be read or does not open, or there is no device in it;
    /// [`RecordError::Unavailable`] if it is written faster than it can be read.
    pub async fn take(
        medium: &dyn RecordStore,
        sealer: &Sealer,
    ) -> Result<Option<Self>, OpenError> {
        for _ in 0..TRIES {
            let Some(head) = medium.head().await? else {
                return Ok(None);
            };
            let taken = take_once(medium, sealer).await;
            if medium.head().await?.map(|after| after.writes) != Some(head.writes) {
                continue;
            }
            let Some(mut contents) = taken? else {
                return Ok(None);
            };
            contents.lineage = head.lineage;
            contents.writes = head.writes;
            let generation = Generation::numbered(contents.generation);
            return Self::of(contents).map(Some).map_err(|damage| {
                let key = generation.key(Family::Device.record([]).text());
                RecordError::Corrupt { key, damage }.into()
            });
        }
        let busy = std::io::Error::other("it is being written all the time");
        Err(RecordError::Unavailable(Arc::new(busy)).into())
    }

    /// Takes contents that hold a device.
    pub(crate) fn of(contents: ExportContents) -> Result<Self, Damage> {
        let name = Family::Device.record([]);
        let mut found = contents.records.iter();
        let record = found.find(|record| record.name == name.text());
        let device: Device = serde_json::from_slice(&record.ok_or(Damage::Gone)?.value)
            .map_err(|error| Damage::Value(json_damage(&error)))?;
        Ok(Self {
            jid: device.pn.map(|jid| jid.to_string()),
            lid: device.lid.map(|jid| jid.to_string()),
            contents,
        })
    }

    pub(crate) fn device(&self) -> Option<Device> {
        let name = Family::Device.record([]);
        let mut records = self.contents.records.iter();
        let record = records.find(|record| record.name == name.text())?;
        serde_json::from_slice(&record.value).ok()
    }

    /// Drops the records whose names are `unwanted`, clearing them. Returns how many.
    pub(crate) fn drop_records(&mut self, unwanted: impl Fn(&str) -> bool) -> usize {
        let before = self.contents.records.len();
        self.contents.records.retain_mut(|record| {
            let unwanted = unwanted(&record.name);
            if unwanted {
                record.value.zeroize();
            }
            !unwanted
        });
        before - self.contents.records.len()
    }

    /// JID of the linked phone number, unmasked; `None` if the device was never linked.
    pub fn linked_jid(&self) -> Option<&str> {
        self.jid.as_deref()
    }

    /// The linked phone number, unmasked.
    pub fn number(&self) -> Option<&str> {
        self.jid.as_deref()?.split([':', '@']).next()
    }

    /// LID of the linked account, unmasked.
    pub fn lid(&self) -> Option<&str> {
        self.lid.as_deref()
    }

    /// The account that it was taken from, by the name that its operator gave it; empty when it comes
    /// from elsewhere.
    pub fn account_hint(&self) -> &str {
        &self.contents.account
    }

    /// Lineage of the medium that it was taken from; empty when it comes from elsewhere.
    pub fn lineage(&self) -> &str {
        &self.contents.lineage
    }

    /// The medium's write counter when it was taken.
    pub fn writes(&self) -> u64 {
        self.contents.writes
    }

    /// When it was taken, in unix milliseconds.
    pub fn taken_at_ms(&self) -> i64 {
        self.contents.exported_at_ms
    }

    /// Number of its records.
    pub fn records(&self) -> usize {
        self.contents.records.len()
    }
}

async fn take_once(
    medium: &dyn RecordStore,
    sealer: &Sealer,
) -> Result<Option<ExportContents>, OpenError> {
    let Some(root) = Root::load(medium, sealer).await? else {
        return Ok(None);
    };
    let Some(generation) = root.current else {
        return Ok(None);
    };
    let prefix = generation.prefix();
    let sealer_of_records = sealer.generation(generation, root.data_key(generation));
    let mut contents = ExportContents {
        account: sealer.account().to_string(),
        generation: generation.number(),
        exported_at_ms: clock::unix_millis(),
        ..Default::default()
    };
    // One statement, so that what is read belongs together.
    for (key, sealed) in medium.load_prefix(&prefix).await? {
        let value = sealer_of_records.open(&key, sealed)?;
        contents.records.push(ExportRecord {
            name: key.as_str()[prefix.len()..].to_owned(),
            value: value.into(),
        });
    }
    Ok(Some(contents))
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        for record in &mut self.contents.records {
            record.value.zeroize();
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("records", &self.contents.records.len())
            .finish_non_exhaustive()
    }
}
