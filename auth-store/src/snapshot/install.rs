//! Putting a snapshot into a medium as a generation of its own.
//!
//! ```text
//!   list: installing g4 ──> g4's records, in batches ──> last batch: list: current g4, installing none
//! ```
//!
//! What was interrupted is never used: nothing but the last batch makes its generation current, and the
//! next one to open or install sweeps it.

use std::sync::Arc;

use super::Snapshot;
use crate::clock;
use crate::generation::{Generation, GenerationLog};
use crate::keys::NoRandomness;
use crate::record::{Batch, RecordError, RecordStore, after_prefix};
use crate::root::Root;
use crate::sealer::{GenerationSealer, Sealer};
use crate::store::OpenError;

/// Records in a transaction.
const BATCH: usize = 300;

impl Snapshot {
    /// Makes the snapshot the credentials in use; those that it replaces are kept with `reason`.
    ///
    /// The caller holds the account: the medium is open in its name, and no [`AuthStore`] is open on it.
    /// Cancelled or failed it changes nothing that is used, and may be called again.
    ///
    /// [`AuthStore`]: crate::AuthStore
    ///
    /// # Errors
    /// The medium's list of generations cannot be read, or it takes no writes.
    pub async fn install(
        &self,
        medium: Arc<dyn RecordStore>,
        sealer: &Sealer,
        reason: &str,
    ) -> Result<Generation, OpenError> {
        let root = sealer.root();
        let mut log = Root::load(&*medium, sealer)
            .await?
            .unwrap_or_default()
            .into_log();
        sweep(&*medium, &root, &mut log).await?;
        let generation = log.begin_install().map_err(no_randomness)?;
        medium.apply(&Root::listed(&root, &log)?).await?;
        let seal = sealer.generation(generation, log.data_key(generation));
        let mut batches = self.contents.records.chunks(BATCH).peekable();
        while let Some(records) = batches.next() {
            let mut batch = Batch::default();
            if batches.peek().is_none() {
                log.finish_install(reason, clock::unix_millis());
                batch = Root::listed(&root, &log)?;
                // Whatever was here before, and whoever knew how far it had come.
                batch.overtakes = true;
            }
            for record in records {
                let key = generation.key(&record.name);
                let sealed = seal.seal(&key, &record.value).map_err(no_randomness)?;
                batch.puts.push((key, sealed));
            }
            medium.apply(&batch).await?;
        }
        Ok(generation)
    }
}

/// Removes what an interrupted installation left behind.
pub(crate) async fn sweep(
    medium: &dyn RecordStore,
    root: &GenerationSealer,
    log: &mut GenerationLog,
) -> Result<(), RecordError> {
    let Some(abandoned) = log.installing else {
        return Ok(());
    };
    remove_all(medium, abandoned).await?;
    log.abandon_install();
    medium.apply(&Root::listed(root, log)?).await
}

/// Removes every record of a generation, some in each transaction.
pub(crate) async fn remove_all(
    medium: &dyn RecordStore,
    generation: Generation,
) -> Result<(), RecordError> {
    let prefix = generation.prefix();
    let before = after_prefix(&prefix);
    loop {
        let deletes = medium.keys(&prefix, &before, BATCH).await?;
        if deletes.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            deletes,
            ..Batch::default()
        };
        medium.apply(&batch).await?;
    }
}

pub(crate) fn no_randomness(_: NoRandomness) -> RecordError {
    RecordError::Stopped(crate::Poison::NoRandomness)
}
