//! One-time and signed pre-keys.
//!
//! A one-time pre-key's value is a byte that says whether it was uploaded,
//! then the record.

use bytes::Bytes;

use crate::AuthStore;
use crate::reading::anything;
use crate::record::RecordError;
use crate::record_name::{Family, RecordName};
use crate::writer::Changes;

type Result<T> = std::result::Result<T, RecordError>;

/// Zero-padded, so that names sort as ids do.
pub(crate) fn name(id: u32) -> RecordName {
    Family::PreKey.record([format!("{id:010}").as_str()])
}

pub(crate) fn value(record: &[u8], uploaded: bool) -> Bytes {
    let mut value = Vec::with_capacity(1 + record.len());
    value.push(u8::from(uploaded));
    value.extend_from_slice(record);
    value.into()
}

impl AuthStore {
    pub(super) async fn put_pre_keys(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()> {
        let _update = self.updates.pre_keys.lock().await;
        let mut changes = Changes::default();
        for (id, record) in keys {
            changes.put(name(*id), value(record, uploaded));
        }
        self.write(changes).await
    }

    pub(super) async fn pre_keys(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let names: Vec<_> = ids.iter().copied().map(name).collect();
        let decode = |value: &Bytes| match value.is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(value.slice(1..)),
        };
        let values = self.read_many_as(&names, decode).await?;
        let found = ids.iter().zip(values);
        Ok(found
            .filter_map(|(id, value)| Some((*id, value?)))
            .collect())
    }

    pub(super) async fn mark_pre_keys_uploaded(&self, ids: &[u32]) -> Result<()> {
        let _update = self.updates.pre_keys.lock().await;
        let mut changes = Changes::default();
        for (id, record) in self.pre_keys(ids).await? {
            changes.put(name(id), value(&record, true));
        }
        self.write(changes).await
    }

    pub(super) async fn remove_pre_key(&self, id: u32) -> Result<()> {
        let _update = self.updates.pre_keys.lock().await;
        self.remove(name(id)).await
    }

    pub(super) async fn highest_pre_key_id(&self) -> Result<u32> {
        let names = self.names_under(&Family::PreKey.prefix([])).await?;
        match names.last() {
            None => Ok(0),
            Some(text) => self.id_of(Family::PreKey, text),
        }
    }

    pub(crate) async fn all_signed_pre_keys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let family = Family::SignedPreKey;
        let records = self.read_all_as(family, anything);
        let records = records.await?.into_iter();
        records
            .map(|(name, record)| Ok((self.id_of(family, name.text())?, Vec::from(record))))
            .collect()
    }

    fn id_of(&self, family: Family, text: &str) -> Result<u32> {
        let id = family.only_part(text).and_then(|part| part.parse().ok());
        id.ok_or_else(|| self.bad_value(&family.record([text]), "its name holds no id"))
    }
}
