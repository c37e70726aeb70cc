//! Records that exist and cannot be used: which may be dropped, and what goes with them.
//!
//! The smallest loss comes first. What a peer, the phone or the server gives
//! again is dropped, durably and with a note, and then reads as absent; what
//! only a new link could give is refused by name. Nothing that a newer release
//! wrote is ever dropped, and nothing at all on a medium whose own structure is
//! broken: there, removing one record may remove another.
//!
//! What brings each family back is told in the crate's documentation.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::record::{Damage, RecordError, RecordKey};
use crate::record_name::{Family, RecordName};
use crate::store::json;
use crate::writer::Changes;
use crate::{AuthStore, clock};

type Result<T> = std::result::Result<T, RecordError>;

/// A damaged record that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The record. Shown masked.
    pub record: RecordKey,
    /// What kind of record it was: the first part of its name.
    pub family: &'static str,
    /// What was wrong with it.
    pub damage: Damage,
    /// When it was dropped, in unix milliseconds.
    pub at_ms: i64,
    /// How often a record of this name was dropped, this time included.
    pub times: u64,
}

/// What stays of it in the medium.
#[derive(Serialize, Deserialize)]
struct Note {
    reason: String,
    at_ms: i64,
    times: u64,
}

/// What happens to a record that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// It is dropped, and reads as absent from then on.
    Drop,
    /// It is an error that names it.
    Refuse,
}

impl Family {
    /// What happens to a record of this family that cannot be used.
    pub(crate) const fn repair(self) -> Rule {
        match self {
            Self::Device | Self::SignedPreKey => Rule::Refuse,
            Self::BaseKey
            | Self::DeviceList
            | Self::GroupMetadata
            | Self::Identity
            | Self::LidMapping
            | Self::LidOfPhone
            | Self::MessageSecret
            | Self::MessageSecretDue
            | Self::MutationMac
            | Self::PendingInbound
            | Self::PreKey
            | Self::Repair
            | Self::SenderKey
            | Self::SenderKeyDevices
            | Self::SentMessage
            | Self::SentMessageDue
            | Self::Session
            | Self::SyncKey
            | Self::SyncKeyLatest
            | Self::SyncVersion
            | Self::TcToken => Rule::Drop,
        }
    }
}

/// A record that was read and cannot be used.
pub(crate) struct Unusable {
    pub(crate) damage: Damage,
    /// Its value, if it opened and was something else than it should be.
    pub(crate) value: Option<Bytes>,
}

/// What a repair removes, for the writer: nothing, if the record was written
/// again since it was seen.
pub(crate) struct Removal {
    pub(crate) name: RecordName,
    pub(crate) seen: Option<Bytes>,
    pub(crate) companions: Vec<RecordName>,
    pub(crate) note: (RecordName, Bytes),
}

impl AuthStore {
    /// Drops an unusable record, or says why not. The caller holds the lock of repairs.
    pub(crate) async fn mend(&self, name: &RecordName, unusable: Unusable) -> Result<()> {
        let Unusable { damage, value } = unusable;
        let key = self.key(name);
        if name.family().repair() == Rule::Refuse || matches!(damage, Damage::Version(_)) {
            return Err(RecordError::Corrupt { key, damage });
        }
        self.require_sound_medium().await?;
        let note_name = Family::Repair.record([name.text()]);
        let times = self.times_dropped(&note_name).await? + 1;
        let repair = Repair {
            record: key,
            family: name.family().name(),
            damage,
            at_ms: clock::unix_millis(),
            times,
        };
        let note = json(&Note {
            reason: repair.damage.to_string(),
            at_ms: repair.at_ms,
            times,
        });
        let removal = Removal {
            name: name.clone(),
            seen: value,
            companions: self.companions(name).await?,
            note: (note_name, note),
        };
        self.write(Changes::default().with_removal(removal)).await?;
        tracing::warn!(record = %repair.record, damage = %repair.damage, times, "a damaged auth record was dropped");
        (self.on_repair)(&repair);
        Ok(())
    }

    /// Notes that the session with a peer's device, at `address` as the library names it, was dropped
    /// because its messages could not be read, and returns how often a session with it was dropped so
    /// far. The dropping itself is the library's, through its cache.
    ///
    /// # Errors
    /// The note is not durable. Cancel safe.
    pub async fn note_dropped_session(&self, address: &str, reason: &str) -> Result<u64> {
        let session = Family::Session.record([address]);
        let name = Family::Repair.record([session.text()]);
        let _lock = self.updates.repairs.lock().await;
        let times = self.times_dropped(&name).await? + 1;
        let note = Note {
            reason: reason.to_owned(),
            at_ms: clock::unix_millis(),
            times,
        };
        self.put_json(name, &note).await?;
        Ok(times)
    }

    async fn require_sound_medium(&self) -> Result<()> {
        let sound = self
            .medium_is_sound
            .get_or_try_init(|| self.shared.medium.examine());
        match sound.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.medium_failed(error)),
        }
    }

    /// A note that cannot be used itself begins anew.
    async fn times_dropped(&self, note: &RecordName) -> Result<u64> {
        let earlier = self.try_read(note, |value| {
            serde_json::from_slice::<Note>(value).map_err(|error| error.to_string())
        });
        Ok(match earlier.await? {
            Ok(Some(note)) => note.times,
            Ok(None) | Err(_) => 0,
        })
    }

    /// Records that would be wrong without this one.
    async fn companions(&self, name: &RecordName) -> Result<Vec<RecordName>> {
        let first_part = || name.family().first_part(name.text()).unwrap_or_default();
        Ok(match name.family() {
            // Whoever has the old key would not be given the new one.
            Family::SenderKey => match group_of_sender_key(&first_part()) {
                Some(group) => vec![Family::SenderKeyDevices.record([group])],
                None => Vec::new(),
            },
            // Version, hash and MACs describe one state together.
            Family::MutationMac | Family::SyncVersion => {
                let collection = first_part();
                let macs = Family::MutationMac.prefix([collection.as_str()]);
                let mut all = self.names_of(Family::MutationMac, &macs).await?;
                all.push(Family::SyncVersion.record([collection.as_str()]));
                all
            }
            Family::SyncKey => {
                let latest = Family::SyncKeyLatest.record([]);
                let id = |value: &Bytes| Ok(hex::encode(value));
                match self.try_read(&latest, id).await? {
                    Ok(id) if id.as_ref() != Some(&first_part()) => Vec::new(),
                    _ => vec![latest],
                }
            }
            _ => Vec::new(),
        })
    }
}

/// The group in a sender key's address, `<group>:<device>`.
pub(crate) fn group_of_sender_key(address: &str) -> Option<&str> {
    let server = address.find('@')?;
    let end = server + address[server..].find(':')?;
    Some(&address[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_key_tells_its_group() {
        let group = |address| group_of_sender_key(address);
        assert_eq!(group("12-34@g.us:5:7@lid.0"), Some("12-34@g.us"));
        assert_eq!(group("12@g.us:5@c.us.0"), Some("12@g.us"));
        assert_eq!(group("name"), None);
    }
}
