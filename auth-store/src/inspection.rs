//! A look at an account's auth state that changes nothing, not even the epoch.

use wacore::store::Device;

use crate::data_key::DataKey;
use crate::generation::{Generation, RetiredGeneration};
use crate::head::Head;
use crate::reading::json_damage;
use crate::record::{RecordError, RecordStore};
use crate::record_name::Family;
use crate::root::Root;
use crate::sealer::Sealer;
use crate::store::OpenError;

/// What `auth status` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Where it is.
    pub place: String,
    /// What the medium knows of itself.
    pub head: Head,
    /// Id of the master key that seals it; `None` if nothing is sealed yet.
    pub root_key: Option<String>,
    /// The credentials in use.
    pub current: Option<Generation>,
    /// The credentials being prepared for a link.
    pub pending: Option<Generation>,
    /// Credentials that were taken out of use, oldest first.
    pub retired: Vec<RetiredGeneration>,
    /// JID of the linked phone number; unmasked. Of the credentials in use, or
    /// of those being prepared if there are none.
    pub linked_jid: Option<String>,
    /// Its LID, unmasked.
    pub linked_lid: Option<String>,
    /// When the phone vouched for the device, in unix milliseconds by its
    /// clock; `None` if it does not say.
    pub linked_ms: Option<i64>,
    /// Number of damaged records that were dropped.
    pub repairs: u64,
    /// Number of Signal sessions.
    pub sessions: u64,
    /// Number of one-time pre-keys left.
    pub pre_keys: u64,
}

/// Looks at the auth state on `medium`, while another process may have it
/// open; `None` if there is none.
///
/// # Errors
/// It is there and cannot be read.
pub async fn inspect(
    medium: &dyn RecordStore,
    sealer: &Sealer,
) -> Result<Option<Inspection>, OpenError> {
    let Some(head) = medium.head().await? else {
        return Ok(None);
    };
    let root = Root::load(medium, sealer).await?.unwrap_or_default();
    let root_key = root.sealed_by.clone();
    let log = root.into_log();
    let mut inspection = Inspection {
        place: medium.place(),
        head,
        root_key,
        current: log.current,
        pending: log.pending,
        retired: log.retired.clone(),
        linked_jid: None,
        linked_lid: None,
        linked_ms: None,
        repairs: 0,
        sessions: 0,
        pre_keys: 0,
    };
    if let Some(generation) = log.current.or(log.pending) {
        let count = async |family: Family| {
            let prefix = format!("{}{}", generation.prefix(), family.prefix([]));
            medium.count(&prefix).await
        };
        inspection.sessions = count(Family::Session).await?;
        inspection.pre_keys = count(Family::PreKey).await?;
        inspection.repairs = count(Family::Repair).await?;
        let key = log.data_key(generation);
        if let Some(device) = device(medium, sealer, generation, key).await? {
            inspection.linked_ms = linked_ms(&device);
            inspection.linked_jid = device.pn.map(|jid| jid.to_string());
            inspection.linked_lid = device.lid.map(|jid| jid.to_string());
        }
    }
    Ok(Some(inspection))
}

async fn device(
    medium: &dyn RecordStore,
    sealer: &Sealer,
    generation: Generation,
    data_key: &DataKey,
) -> Result<Option<Device>, RecordError> {
    let key = generation.key(Family::Device.record([]).text());
    let Some(sealed) = medium.load(&key).await? else {
        return Ok(None);
    };
    let value = sealer.generation(generation, data_key).open(&key, sealed)?;
    serde_json::from_slice(&value)
        .map(Some)
        .map_err(|error| RecordError::value(&key, json_damage(&error)))
}

fn linked_ms(device: &Device) -> Option<i64> {
    let details = device.account.as_ref()?.details.as_deref()?;
    let seconds = waproto::codec::adv_device_identity_decode(details)
        .ok()?
        .timestamp?;
    i64::try_from(seconds).ok()?.checked_mul(1000)
}
