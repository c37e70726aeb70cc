//! The device: the account's own identity and login.

use async_trait::async_trait;
use wacore::stats::StorageResourceReport;
use wacore::store::Device;
use wacore::store::error::Result;
use wacore::store::traits::DeviceStore;

use crate::AuthStore;
use crate::record_name::{Family, RecordName};

/// The library numbers devices; a store of ours holds one.
const ONLY_DEVICE: i32 = 1;

fn name() -> RecordName {
    Family::Device.record([])
}

impl AuthStore {
    /// Whether a phone has vouched for these credentials, be they in use or still being prepared.
    ///
    /// # Errors
    /// The device cannot be read.
    pub async fn is_vouched_for(&self) -> Result<bool> {
        Ok(self.load().await?.is_some_and(|device| device.pn.is_some()))
    }
}

#[async_trait]
impl DeviceStore for AuthStore {
    async fn save(&self, device: &Device) -> Result<()> {
        Ok(self.put_json(name(), device).await?)
    }

    /// A device that exists and cannot be read is an error: to the library,
    /// `None` means that it may begin with new credentials.
    async fn load(&self) -> Result<Option<Device>> {
        Ok(self.read_json(&name()).await?)
    }

    async fn exists(&self) -> Result<bool> {
        Ok(self.load().await?.is_some())
    }

    async fn create(&self) -> Result<i32> {
        if !self.exists().await? {
            self.save(&Device::new()).await?;
        }
        Ok(ONLY_DEVICE)
    }

    /// Makes no copy: a copy outside the store would be unsealed.
    async fn snapshot_db(&self, _name: &str, _extra_content: Option<&[u8]>) -> Result<()> {
        Ok(())
    }

    async fn resource_report(&self) -> StorageResourceReport {
        StorageResourceReport {
            memory_bytes: Some(self.shared.cache.bytes() as u64),
            ..StorageResourceReport::default()
        }
    }
}
