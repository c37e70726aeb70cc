//! Taking credentials out of use without opening them.

use bytes::Bytes;

use crate::clock;
use crate::generation::{Generation, GenerationLog};
use crate::record::{Batch, RecordStore};
use crate::sealer::Sealer;
use crate::store::{OpenError, load_log, wrong_key};
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
    let root = sealer.generation(Generation::ROOT);
    let log = load_log(medium, &root)
        .await
        .map_err(|error| wrong_key(sealer, error))?;
    let Some(mut log) = log else {
        return Ok(());
    };
    for generation in [log.current, log.pending].into_iter().flatten() {
        log.retire(generation, reason, clock::unix_millis());
    }
    let key = GenerationLog::record_key();
    let sealed: Bytes = root
        .seal(&key, &log.encode())
        .map_err(|_| RecordError::Stopped(Poison::NoRandomness))?;
    let batch = Batch {
        puts: vec![(key, sealed)],
        deletes: Vec::new(),
    };
    Ok(medium.apply(&batch).await?)
}
