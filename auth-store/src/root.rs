//! The root record: the list of generations and their data keys, sealed under a master key.

use std::ops::{Deref, DerefMut};

use crate::Poison;
use crate::generation::GenerationLog;
use crate::record::{Batch, Damage, RecordError, RecordStore};
use crate::sealer::{GenerationSealer, Sealer};
use crate::store::OpenError;

/// The list of generations as it was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Root {
    log: GenerationLog,
    /// Id of the master key that seals it; `None` if there was no record yet.
    pub(crate) sealed_by: Option<String>,
}

impl Root {
    /// Reads the root record; `None` only for an account without any record, of
    /// which the medium knows none that should be there either.
    ///
    /// # Errors
    /// [`OpenError::WrongKey`] if no key of the sealer's ring opens it; that it
    /// is gone or damaged, by its name.
    pub(crate) async fn load(
        medium: &dyn RecordStore,
        sealer: &Sealer,
    ) -> Result<Option<Self>, OpenError> {
        let key = GenerationLog::record_key();
        let mut found = medium.load(&key).await?;
        if found.is_none() {
            let held = medium.head().await?.map_or(0, |head| head.keys.count());
            if held == 0 && medium.keys("", "\u{7f}", 1).await?.is_empty() {
                return Ok(None);
            }
            // Whoever only looks may have come just before the first write.
            found = medium.load(&key).await?;
        }
        let Some(sealed) = found else {
            let damage = Damage::Gone;
            return Err(RecordError::Corrupt { key, damage }.into());
        };
        let (value, master) = match sealer.open_root(&key, sealed) {
            Err(RecordError::Corrupt {
                damage: Damage::KeyId { found, ours },
                ..
            }) => {
                return Err(OpenError::WrongKey {
                    account: sealer.account().to_string(),
                    found,
                    ours,
                });
            }
            opened => opened?,
        };
        let log = GenerationLog::decode(&value, |generation| sealer.derived(master, generation))
            .map_err(|damage| RecordError::Corrupt { key, damage })?;
        Ok(Some(Self {
            log,
            sealed_by: Some(master.id()),
        }))
    }

    /// The batch that writes the list of generations.
    pub(crate) fn listed(
        root: &GenerationSealer,
        log: &GenerationLog,
    ) -> Result<Batch, RecordError> {
        let key = GenerationLog::record_key();
        let sealed = root
            .seal(&key, &log.encode())
            .map_err(|_| RecordError::Stopped(Poison::NoRandomness))?;
        Ok(Batch {
            puts: vec![(key, sealed)],
            ..Batch::default()
        })
    }

    /// Whether it is sealed under another key than the one that seals now.
    pub(crate) fn is_stale(&self, sealer: &Sealer) -> bool {
        self.sealed_by
            .as_ref()
            .is_some_and(|id| *id != sealer.ring().id())
    }

    pub(crate) fn into_log(self) -> GenerationLog {
        self.log
    }
}

/// Seals the list of generations, and with it every data key, under the first key of the sealer's ring.
/// `false`: it was so already, or there is nothing yet. The caller holds the account, and no
/// [`AuthStore`](crate::AuthStore) is open on the medium; opening one does the same.
///
/// # Errors
/// Nothing was changed.
pub async fn reseal(medium: &dyn RecordStore, sealer: &Sealer) -> Result<bool, OpenError> {
    let Some(root) = Root::load(medium, sealer).await? else {
        return Ok(false);
    };
    if !root.is_stale(sealer) {
        return Ok(false);
    }
    medium
        .apply(&Root::listed(&sealer.root(), &root.log)?)
        .await?;
    Ok(true)
}

impl Deref for Root {
    type Target = GenerationLog;

    fn deref(&self) -> &GenerationLog {
        &self.log
    }
}

impl DerefMut for Root {
    fn deref_mut(&mut self) -> &mut GenerationLog {
        &mut self.log
    }
}
