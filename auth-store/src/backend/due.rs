//! Expiry without reading everything: beside a record that expires stands an
//! empty one whose name begins with the time, so what is due is a range of names.
//!
//! A record that was renewed or deleted leaves its old entry behind. A sweep
//! therefore looks at the record before deleting it, and deletes the entry in
//! any case.

use bytes::Bytes;

use super::SWEEP;
use crate::AuthStore;
use crate::reading::Decoded;
use crate::record::RecordError;
use crate::record_name::{Family, RecordName, sortable};
use crate::writer::Changes;

type Result<T> = std::result::Result<T, RecordError>;

/// A family of records and that of their entries.
#[derive(Clone, Copy)]
pub(super) struct DueFamily {
    pub(super) records: Family,
    pub(super) entries: Family,
}

impl DueFamily {
    /// The entry that makes `record` due at `time`.
    pub(super) fn entry(self, time: i64, record: &RecordName) -> RecordName {
        self.entries
            .record([sortable(time).as_str(), record.text()])
    }
}

impl AuthStore {
    /// Deletes the records that are due before `cutoff` and for which
    /// `is_expired` still holds; returns their number. The caller holds the
    /// lock of this family.
    pub(super) async fn sweep<T: Send>(
        &self,
        family: DueFamily,
        cutoff: i64,
        decode: impl Fn(&Bytes) -> Decoded<T> + Send + Sync,
        is_expired: impl Fn(&T) -> bool + Send,
    ) -> Result<u32> {
        let from = family.entries.prefix([]);
        let before = format!("{from}{}", sortable(cutoff));
        let mut expired = 0;
        loop {
            let entries = self.names(&from, &before, SWEEP).await?;
            if entries.is_empty() {
                return Ok(expired);
            }
            let mut changes = Changes::default();
            let mut records = Vec::with_capacity(entries.len());
            for text in &entries {
                let entry = family
                    .entries
                    .of_text(text)
                    .expect("the name has the family's prefix");
                let record = family
                    .entries
                    .last_part(text)
                    .and_then(|record| family.records.of_text(&record));
                records.push(record.ok_or_else(|| self.bad_value(&entry, "it names no record"))?);
                changes.remove(entry);
            }
            records.sort();
            records.dedup();
            let values = self.read_many_as(&records, &decode).await?;
            for (record, value) in records.iter().zip(values) {
                if value.is_some_and(|value| is_expired(&value)) {
                    changes.remove(record.clone());
                    expired += 1;
                }
            }
            self.write(changes).await?;
        }
    }
}
