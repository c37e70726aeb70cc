//! A medium in memory that a test can reach into.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use auth_store::{Batch, RecordError, RecordKey, RecordStore};
use bytes::Bytes;

#[derive(Default)]
pub struct Shelf(pub Mutex<BTreeMap<RecordKey, Bytes>>);

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

    async fn apply(&self, batch: &Batch) -> Result<(), RecordError> {
        let mut records = self.0.lock().unwrap();
        for key in &batch.deletes {
            records.remove(key);
        }
        records.extend(batch.puts.iter().cloned());
        Ok(())
    }
}
