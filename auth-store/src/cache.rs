//! Values and known absences of one generation, in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use dashmap::DashMap;

use crate::record_name::RecordName;

/// Beyond this the cache is emptied; it fills again on demand.
const MAX_BYTES: usize = 32 << 20;
/// What an entry costs beside its name and value.
const ENTRY_OVERHEAD: usize = 96;

#[derive(Default)]
pub(crate) struct Cache {
    entries: DashMap<RecordName, Option<Bytes>>,
    bytes: AtomicUsize,
}

impl Cache {
    /// The value or known absence, if it is here.
    pub(crate) fn get(&self, name: &RecordName) -> Option<Option<Bytes>> {
        self.entries.get(name).map(|entry| entry.value().clone())
    }

    /// Remembers a value or an absence. Callers hold the store's order lock, so
    /// that an older value never replaces a newer one.
    pub(crate) fn set(&self, name: RecordName, value: Option<Bytes>) {
        if !name.is_cached() {
            return;
        }
        let cost = |value: &Option<Bytes>| {
            name.text().len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_OVERHEAD
        };
        if self.bytes.load(Ordering::Relaxed) > MAX_BYTES {
            self.entries.clear();
            self.bytes.store(0, Ordering::Relaxed);
        }
        self.bytes.fetch_add(cost(&value), Ordering::Relaxed);
        let added = name.clone();
        if let Some(old) = self.entries.insert(added, value) {
            self.bytes.fetch_sub(cost(&old), Ordering::Relaxed);
        }
    }

    /// Estimated memory use.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}
