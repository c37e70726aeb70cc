//! A medium in memory that a test can reach into.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use auth_store::{Batch, Head, RecordError, RecordKey, RecordStore};
use bytes::Bytes;

/// Its records, its head, and whether its structure is broken.
pub struct Shelf(
    pub Mutex<BTreeMap<RecordKey, Bytes>>,
    pub Mutex<Head>,
    pub AtomicBool,
);

impl Default for Shelf {
    fn default() -> Self {
        Self(
            Mutex::default(),
            Mutex::new(Head::begin(1).unwrap()),
            AtomicBool::new(false),
        )
    }
}

impl Shelf {
    /// Puts a value there as it is, past everything that keeps account.
    pub fn hold(&self, key: &str, value: Bytes) {
        let old = self.0.lock().unwrap().insert(RecordKey::new(key), value);
        if old.is_none() {
            self.1.lock().unwrap().keys.insert(key);
        }
    }

    /// A shelf with the same records.
    pub fn copy(&self) -> Self {
        let records = self.0.lock().unwrap().clone();
        let head = self.1.lock().unwrap().clone();
        Self(
            Mutex::new(records),
            Mutex::new(head),
            AtomicBool::new(false),
        )
    }
}

#[async_trait]
impl RecordStore for Shelf {
    async fn load(&self, key: &RecordKey) -> Result<Option<Bytes>, RecordError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    async fn load_many(&self, keys: &[RecordKey]) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        let records = self.0.lock().unwrap();
        let found = |key: &RecordKey| Some((key.clone(), records.get(key)?.clone()));
        Ok(keys.iter().filter_map(found).collect())
    }

    async fn load_prefix(&self, prefix: &str) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        let records = self.0.lock().unwrap();
        let under = records
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix));
        Ok(under
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    async fn keys(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> Result<Vec<RecordKey>, RecordError> {
        let records = self.0.lock().unwrap();
        let range = records
            .keys()
            .filter(|key| (from..before).contains(&key.as_str()));
        Ok(range.take(limit).cloned().collect())
    }

    async fn page(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        let records = self.0.lock().unwrap();
        let rest = records.iter().filter(|(key, _)| Some(*key) > after);
        Ok(rest
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    async fn count(&self, prefix: &str) -> Result<u64, RecordError> {
        Ok(self.load_prefix(prefix).await?.len() as u64)
    }

    async fn apply(&self, batch: &Batch) -> Result<(), RecordError> {
        let mut records = self.0.lock().unwrap();
        let mut head = self.1.lock().unwrap();
        for key in &batch.deletes {
            if records.remove(key).is_some() {
                head.keys.remove(key.as_str());
            }
        }
        for (key, value) in &batch.puts {
            if records.insert(key.clone(), value.clone()).is_none() {
                head.keys.insert(key.as_str());
            }
        }
        head.writes += 1;
        Ok(())
    }

    async fn head(&self) -> Result<Option<Head>, RecordError> {
        Ok(Some(self.1.lock().unwrap().clone()))
    }

    async fn stamp_verified(&self) -> Result<(), RecordError> {
        self.1.lock().unwrap().verified_ms = Some(1);
        Ok(())
    }

    async fn examine(&self) -> Result<(), RecordError> {
        if !self.2.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(RecordError::Damaged {
            place: self.place(),
            detail: "it fell over".to_owned(),
        })
    }

    fn place(&self) -> String {
        "a shelf".to_owned()
    }

    fn checks_itself(&self) -> bool {
        false
    }
}
