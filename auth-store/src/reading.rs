//! Reading records: through the cache one by one, past it in numbers.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::AuthStore;
use crate::record::{RecordError, RecordKey, after_prefix};
use crate::record_name::RecordName;

impl AuthStore {
    pub(crate) async fn read(&self, name: &RecordName) -> Result<Option<Bytes>, RecordError> {
        let shared = &*self.shared;
        if let Some(known) = shared.cache.get(name) {
            return Ok(known);
        }
        let key = self.key(name);
        let _order = shared.order.lock().await;
        if let Some(known) = shared.cache.get(name) {
            return Ok(known);
        }
        let value = match shared.medium.load(&key).await? {
            Some(sealed) => Some(shared.sealer.open(&key, sealed)?),
            None => None,
        };
        shared.cache.set(name.clone(), value.clone());
        Ok(value)
    }

    pub(crate) async fn read_json<T: DeserializeOwned>(
        &self,
        name: &RecordName,
    ) -> Result<Option<T>, RecordError> {
        self.read(name)
            .await?
            .map(|value| self.decode_json(name, &value))
            .transpose()
    }

    pub(crate) fn decode_json<T: DeserializeOwned>(
        &self,
        name: &RecordName,
        value: &[u8],
    ) -> Result<T, RecordError> {
        serde_json::from_slice(value).map_err(|error| self.bad_value(name, json_damage(&error)))
    }

    /// Reads the records that exist among `names`, past the cache.
    pub(crate) async fn read_many(
        &self,
        names: &[RecordName],
    ) -> Result<Vec<Option<Bytes>>, RecordError> {
        let keys: Vec<RecordKey> = names.iter().map(|name| self.key(name)).collect();
        let mut found = HashMap::with_capacity(keys.len());
        for (key, sealed) in self.shared.medium.load_many(&keys).await? {
            let value = self.shared.sealer.open(&key, sealed)?;
            found.insert(key, value);
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// Reads every record whose name starts with `prefix`, past the cache.
    pub(crate) async fn read_prefix(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, Bytes)>, RecordError> {
        let generation = self.shared.generation.prefix();
        let sealed = self
            .shared
            .medium
            .load_prefix(&format!("{generation}{prefix}"))
            .await?;
        sealed
            .into_iter()
            .map(|(key, sealed)| {
                let value = self.shared.sealer.open(&key, sealed)?;
                Ok((key.as_str()[generation.len()..].to_owned(), value))
            })
            .collect()
    }

    /// Lists at most `limit` names in `from..before`.
    pub(crate) async fn names(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> Result<Vec<String>, RecordError> {
        let generation = self.shared.generation.prefix();
        let keys = self
            .shared
            .medium
            .keys(
                &format!("{generation}{from}"),
                &format!("{generation}{before}"),
                limit,
            )
            .await?;
        Ok(keys
            .iter()
            .map(|key| key.as_str()[generation.len()..].to_owned())
            .collect())
    }

    /// Lists the names that start with `prefix`.
    pub(crate) async fn names_under(&self, prefix: &str) -> Result<Vec<String>, RecordError> {
        self.names(prefix, &after_prefix(prefix), usize::MAX).await
    }

    pub(crate) fn bad_value(&self, name: &RecordName, error: impl fmt::Display) -> RecordError {
        RecordError::value(&self.key(name), error)
    }

    fn key(&self, name: &RecordName) -> RecordKey {
        self.shared.generation.key(name.text())
    }
}

/// Where a JSON value is damaged. The error's own text may quote the value.
pub(crate) fn json_damage(error: &serde_json::Error) -> String {
    format!("{:?} error at byte {}", error.classify(), error.column())
}
