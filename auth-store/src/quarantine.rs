//! Taking credentials out of use without opening them, and deleting them at last.

use crate::clock;
use crate::generation::RetiredGeneration;
use crate::record::RecordStore;
use crate::root::Root;
use crate::sealer::Sealer;
use crate::snapshot::remove_all;
use crate::store::OpenError;

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
    Ok(medium.apply(&Root::listed(&sealer.root(), &log)?).await?)
}

/// Deletes the credentials that were taken out of use before `before_ms` (unix milliseconds), for good,
/// and returns them. The caller holds the account, and no [`AuthStore`](crate::AuthStore) is open on the
/// medium. Cancelled or failed it may be called again.
///
/// # Errors
/// What was not deleted is still kept.
pub async fn prune(
    medium: &dyn RecordStore,
    sealer: &Sealer,
    before_ms: i64,
) -> Result<Vec<RetiredGeneration>, OpenError> {
    let Some(root) = Root::load(medium, sealer).await? else {
        return Ok(Vec::new());
    };
    let mut log = root.into_log();
    let old = log.forget_retired(before_ms);
    for retired in &old {
        remove_all(medium, retired.generation).await?;
    }
    if !old.is_empty() {
        medium.apply(&Root::listed(&sealer.root(), &log)?).await?;
    }
    Ok(old)
}
