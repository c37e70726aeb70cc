//! Reading records: through the cache one by one, past it in numbers. What
//! cannot be used is repaired on the way, or an error that names it.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::record::{RecordError, RecordKey, after_prefix};
use crate::record_name::{Family, RecordName};
use crate::repair::Unusable;
use crate::writer::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::{AuthStore, Damage, Poison};

type Result<T> = std::result::Result<T, RecordError>;
/// A value as it should be, or what is wrong with it.
pub(crate) type Decoded<T> = std::result::Result<T, String>;

/// Any value is right.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands where values are decoded"
)]
pub(crate) fn anything(value: &Bytes) -> Decoded<Bytes> {
    Ok(value.clone())
}

pub(crate) fn json_value<T: DeserializeOwned>(value: &Bytes) -> Decoded<T> {
    serde_json::from_slice(value).map_err(|error| json_damage(&error))
}

impl AuthStore {
    pub(crate) async fn read(&self, name: &RecordName) -> Result<Option<Bytes>> {
        self.read_as(name, anything).await
    }

    pub(crate) async fn read_json<T: DeserializeOwned + Send>(
        &self,
        name: &RecordName,
    ) -> Result<Option<T>> {
        self.read_as(name, json_value).await
    }

    /// Reads one record; `None` if there is none, or none any more.
    pub(crate) async fn read_as<T: Send>(
        &self,
        name: &RecordName,
        decode: impl Fn(&Bytes) -> Decoded<T> + Send + Sync,
    ) -> Result<Option<T>> {
        if let Ok(found) = self.try_read(name, &decode).await? {
            return Ok(found);
        }
        let _repair = self.updates.repairs.lock().await;
        match self.try_read(name, &decode).await? {
            Ok(found) => return Ok(found),
            Err(unusable) => self.mend(name, unusable).await?,
        }
        let again = self.try_read(name, &decode).await?;
        again.map_err(|unusable| RecordError::Corrupt {
            key: self.key(name),
            damage: unusable.damage,
        })
    }

    /// Reads one record and repairs nothing.
    pub(crate) async fn try_read<T>(
        &self,
        name: &RecordName,
        decode: impl Fn(&Bytes) -> Decoded<T> + Send,
    ) -> Result<std::result::Result<Option<T>, Unusable>> {
        let value = match self.try_open(name).await? {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(Ok(None)),
            Err(damage) => {
                return Ok(Err(Unusable {
                    damage,
                    value: None,
                }));
            }
        };
        Ok(decode(&value).map(Some).map_err(|error| Unusable {
            damage: Damage::Value(error),
            value: Some(value),
        }))
    }

    async fn try_open(
        &self,
        name: &RecordName,
    ) -> Result<std::result::Result<Option<Bytes>, Damage>> {
        let shared = &*self.shared;
        if let Some(known) = shared.cache.get(name) {
            return Ok(Ok(known));
        }
        let key = self.key(name);
        let _order = shared.order.lock().await;
        if let Some(known) = shared.cache.get(name) {
            return Ok(Ok(known));
        }
        let loaded = self.patiently(|| shared.medium.load(&key)).await;
        let value = match loaded.map_err(|error| self.medium_failed(error))? {
            Some(sealed) => match shared.sealer.try_open(&key, sealed) {
                Ok(value) => Some(value),
                Err(damage) => return Ok(Err(damage)),
            },
            None => None,
        };
        shared.cache.set(name.clone(), value.clone());
        Ok(Ok(value))
    }

    /// Reads the records that exist among `names`, past the cache.
    pub(crate) async fn read_many_as<T: Send>(
        &self,
        names: &[RecordName],
        decode: impl Fn(&Bytes) -> Decoded<T> + Send + Sync,
    ) -> Result<Vec<Option<T>>> {
        let keys: Vec<RecordKey> = names.iter().map(|name| self.key(name)).collect();
        let loaded = self.patiently(|| self.shared.medium.load_many(&keys)).await;
        let loaded = loaded.map_err(|error| self.medium_failed(error))?;
        let mut found: HashMap<RecordKey, Bytes> = loaded.into_iter().collect();
        let mut values = Vec::with_capacity(names.len());
        for (name, key) in names.iter().zip(&keys) {
            values.push(match found.remove(key) {
                Some(sealed) => self.decoded(name, key, sealed, &decode).await?,
                None => None,
            });
        }
        Ok(values)
    }

    /// Reads every record of the family, past the cache.
    pub(crate) async fn read_all_as<T: Send>(
        &self,
        family: Family,
        decode: impl Fn(&Bytes) -> Decoded<T> + Send + Sync,
    ) -> Result<Vec<(RecordName, T)>> {
        let generation = self.shared.generation.prefix();
        let prefix = format!("{generation}{}", family.prefix([]));
        let loaded = self
            .patiently(|| self.shared.medium.load_prefix(&prefix))
            .await;
        let mut found = Vec::new();
        for (key, sealed) in loaded.map_err(|error| self.medium_failed(error))? {
            let name = family
                .of_text(&key.as_str()[generation.len()..])
                .expect("the name has the family's prefix");
            if let Some(value) = self.decoded(&name, &key, sealed, &decode).await? {
                found.push((name, value));
            }
        }
        Ok(found)
    }

    /// The value of a record that was loaded with others; read by itself if it cannot be used.
    async fn decoded<T: Send>(
        &self,
        name: &RecordName,
        key: &RecordKey,
        sealed: Bytes,
        decode: impl Fn(&Bytes) -> Decoded<T> + Send + Sync,
    ) -> Result<Option<T>> {
        let opened = self.shared.sealer.try_open(key, sealed).ok();
        match opened.and_then(|value| decode(&value).ok()) {
            Some(value) => Ok(Some(value)),
            None => self.read_as(name, decode).await,
        }
    }

    /// Lists at most `limit` names in `from..before`.
    pub(crate) async fn names(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> Result<Vec<String>> {
        let generation = self.shared.generation.prefix();
        let from = format!("{generation}{from}");
        let before = format!("{generation}{before}");
        let listed = self
            .patiently(|| self.shared.medium.keys(&from, &before, limit))
            .await;
        let keys = listed.map_err(|error| self.medium_failed(error))?;
        Ok(keys
            .iter()
            .map(|key| key.as_str()[generation.len()..].to_owned())
            .collect())
    }

    /// Lists the names that start with `prefix`.
    pub(crate) async fn names_under(&self, prefix: &str) -> Result<Vec<String>> {
        self.names(prefix, &after_prefix(prefix), usize::MAX).await
    }

    /// Lists the names of the family that start with `prefix`.
    pub(crate) async fn names_of(&self, family: Family, prefix: &str) -> Result<Vec<RecordName>> {
        let names = self.names_under(prefix).await?;
        let of_family = |text: &String| family.of_text(text);
        Ok(names.iter().filter_map(of_family).collect())
    }

    pub(crate) fn bad_value(&self, name: &RecordName, error: impl fmt::Display) -> RecordError {
        RecordError::value(&self.key(name), error)
    }

    /// Asks a medium that does not answer again while writing is allowed, as writes do: to the library, a
    /// session that cannot be read is a message that cannot be decrypted.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = ask().await;
            match &answer {
                Err(error)
                    if error.is_transient()
                        && (self.shared.may_write)()
                        && self.shared.poison.borrow().is_none() =>
                {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                _ => return answer,
            }
        }
    }

    /// A damaged medium stops the store: what it says cannot be relied on.
    pub(crate) fn medium_failed(&self, error: RecordError) -> RecordError {
        if matches!(error, RecordError::Damaged { .. }) {
            self.shared.stop(Poison::Damaged(error.to_string()));
        }
        error
    }

    pub(crate) fn key(&self, name: &RecordName) -> RecordKey {
        self.shared.generation.key(name.text())
    }
}

/// Where a JSON value is damaged. The error's own text may quote the value.
pub(crate) fn json_damage(error: &serde_json::Error) -> String {
    format!("{:?} error at byte {}", error.classify(), error.column())
}
