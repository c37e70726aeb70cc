//! A look at an account's auth state that changes nothing, not even the epoch.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::Mutex;
use wacore::store::Device;

use crate::generation::{Generation, RetiredGeneration};
use crate::local::{self, Header, OpenMediumError, table};
use crate::reading::json_damage;
use crate::record::{Batch, RecordError, RecordKey, RecordStore};
use crate::record_name::Family;
use crate::sealer::Sealer;
use crate::store::{OpenError, load_log, wrong_key};

/// What `auth status` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The file.
    pub file: PathBuf,
    /// The shared store that the account belongs to.
    pub store_id: String,
    /// The highest epoch that opened it.
    pub epoch: i64,
    /// When it was written last, in unix milliseconds.
    pub last_write_ms: Option<i64>,
    /// The credentials in use.
    pub current: Option<Generation>,
    /// The credentials being prepared for a link.
    pub pending: Option<Generation>,
    /// Credentials that were taken out of use, oldest first.
    pub retired: Vec<RetiredGeneration>,
    /// JID of the linked phone number; unmasked. Of the credentials in use, or
    /// of those being prepared if there are none.
    pub linked_jid: Option<String>,
    /// Number of Signal sessions.
    pub sessions: u64,
    /// Number of one-time pre-keys left.
    pub pre_keys: u64,
}

/// Why an auth state could not be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The medium could not be read.
    #[error(transparent)]
    Medium(#[from] OpenMediumError),
    /// Its records could not be read.
    #[error(transparent)]
    Records(#[from] OpenError),
}

impl From<RecordError> for InspectError {
    fn from(error: RecordError) -> Self {
        Self::Records(error.into())
    }
}

/// Looks at the local auth state of the sealer's account; `None` if there is none.
///
/// Works while another process has it open.
///
/// # Errors
/// It is there and cannot be read.
pub async fn inspect(
    auth_root: &Path,
    sealer: &Sealer,
) -> Result<Option<Inspection>, InspectError> {
    let file = local::account_file(auth_root, sealer.account());
    if !local::file::exists(&file)? {
        return Ok(None);
    }
    let mut connection = local::connect_read_only(&file).await?;
    let header = Header::read(&mut connection, &file).await?;
    table::verify(&mut connection, &header, &file).await?;
    let view = View {
        file,
        connection: Mutex::new(connection),
    };
    let log = load_log(&view, &sealer.generation(Generation::ROOT))
        .await
        .map_err(|error| wrong_key(sealer, error))?
        .unwrap_or_default();
    let mut inspection = Inspection {
        store_id: header.store_id().to_owned(),
        epoch: header.epoch,
        last_write_ms: header.last_write_ms,
        current: log.current,
        pending: log.pending,
        retired: log.retired,
        linked_jid: None,
        sessions: 0,
        pre_keys: 0,
        file: view.file.clone(),
    };
    if let Some(generation) = log.current.or(log.pending) {
        inspection.linked_jid = view.linked_jid(sealer, generation).await?;
        inspection.sessions = view.count(generation, Family::Session).await?;
        inspection.pre_keys = view.count(generation, Family::PreKey).await?;
    }
    view.connection
        .into_inner()
        .close()
        .await
        .map_err(|error| local::classify(&inspection.file, error))?;
    Ok(Some(inspection))
}

/// The records of a file, to read only.
struct View {
    file: PathBuf,
    connection: Mutex<SqliteConnection>,
}

impl View {
    async fn linked_jid(
        &self,
        sealer: &Sealer,
        generation: Generation,
    ) -> Result<Option<String>, RecordError> {
        let key = generation.key(Family::Device.record([]).text());
        let Some(sealed) = self.load(&key).await? else {
            return Ok(None);
        };
        let value = sealer.generation(generation).open(&key, sealed)?;
        let device: Device = serde_json::from_slice(&value)
            .map_err(|error| RecordError::value(&key, json_damage(&error)))?;
        Ok(device.pn.map(|jid| jid.to_string()))
    }

    async fn count(&self, generation: Generation, family: Family) -> Result<u64, RecordError> {
        let prefix = format!("{}{}", generation.prefix(), family.prefix([]));
        table::count_prefix(&mut *self.connection.lock().await, &prefix, &self.file).await
    }
}

#[async_trait]
impl RecordStore for View {
    async fn load(&self, key: &RecordKey) -> Result<Option<Bytes>, RecordError> {
        table::load(&mut *self.connection.lock().await, key, &self.file).await
    }

    async fn load_many(&self, keys: &[RecordKey]) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        let mut found = Vec::new();
        for key in keys {
            found.extend(self.load(key).await?.map(|value| (key.clone(), value)));
        }
        Ok(found)
    }

    async fn load_prefix(&self, prefix: &str) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        table::load_prefix(&mut *self.connection.lock().await, prefix, &self.file).await
    }

    async fn keys(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> Result<Vec<RecordKey>, RecordError> {
        let connection = &mut *self.connection.lock().await;
        table::keys(connection, from, before, limit, &self.file).await
    }

    async fn apply(&self, _batch: &Batch) -> Result<(), RecordError> {
        Err(RecordError::NotTrusted)
    }
}
