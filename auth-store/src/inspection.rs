//! A look at an account's auth state that changes nothing, not even the epoch.

use wacore::store::Device;

use crate::generation::{Generation, RetiredGeneration};
use crate::head::Head;
use crate::reading::json_damage;
use crate::record::{RecordError, RecordStore};
use crate::record_name::Family;
use crate::sealer::Sealer;
use crate::store::{OpenError, load_log, wrong_key};

/// What `auth status` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Where it is.
    pub place: String,
    /// What the medium knows of itself.
    pub head: Head,
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
    let log = load_log(medium, &sealer.generation(Generation::ROOT))
        .await
        .map_err(|error| wrong_key(sealer, error))?
        .unwrap_or_default();
    let mut inspection = Inspection {
        place: medium.place(),
        head,
        current: log.current,
        pending: log.pending,
        retired: log.retired,
        linked_jid: None,
        linked_lid: None,
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
        if let Some(device) = device(medium, sealer, generation).await? {
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
) -> Result<Option<Device>, RecordError> {
    let key = generation.key(Family::Device.record([]).text());
    let Some(sealed) = medium.load(&key).await? else {
        return Ok(None);
    };
    let value = sealer.generation(generation).open(&key, sealed)?;
    serde_json::from_slice(&value)
        .map(Some)
        .map_err(|error| RecordError::value(&key, json_damage(&error)))
}
