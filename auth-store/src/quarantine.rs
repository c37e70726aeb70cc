//! Taking credentials out of use without opening them.

use crate::clock;
use crate::generation::GenerationLog;
use crate::record::{Batch, RecordStore};
use crate::root::Root;
use crate::sealer::Sealer;
use crate::store::OpenError;
use crate::{Poison, RecordError};

/// Takes the credentials that are in use, and those being prepared, out of use. They are kept, sealed,
/// with `reason`. They need not be readable: only the list of generations must be. Nobody else may
/// have the medium open for writing.
///
/// # Errors
/// Nothing was changed.
pub async fn quarantine(
    medium: &dyn RecordStore,
    sealer: &Sealer,
    reason: &str,
) -> Result<(), OpenError> {
    let Some(root) = Root::load(medium, sealer).await? else {
        return Ok(());
    };
    let mut log = root.into_log();
    for generation in [log.current, log.pending].into_iter().flatten() {
        log.retire(generation, reason, clock::unix_millis());
    }
    let key = GenerationLog::record_key();
    let sealed = sealer
        .root()
        .seal(&key, &log.encode())
        .map_err(|_| RecordError::Stopped(Poison::NoRandomness))?;
    let batch = Batch {
        puts: vec![(key, sealed)],
        deletes: Vec::new(),
    };
    Ok(medium.apply(&batch).await?)
}
