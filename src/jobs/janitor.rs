//! Forgets what is old, in small batches, a little after each start and then every now and then.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::store::{Retention, Store, StoreError, Sweep};

/// Between two sweeps; with a part by chance, so that the processes of one store take turns.
const PERIOD: Duration = Duration::from_mins(1);

/// Between two batches: others want to write too.
const BREATH: Duration = Duration::from_millis(50);

/// Uploads that one sweep removes.
const UPLOADS: u32 = 20;

/// Batches of one sweep: what is left is for the next one.
const BATCHES: u32 = 100;

/// Returns at `stop`, at most one batch later.
pub(super) async fn run(store: &Store, retention: Retention, stop: &CancellationToken) {
    let mut sweep = Sweep::default();
    loop {
        let pause = PERIOD.mul_f64(0.5 + rand::random::<f64>());
        if wait(pause, stop).await {
            return;
        }
        if let Err(error) = store.drop_what_passed(UPLOADS).await {
            debug!(%error, "unused uploads could not be removed, retrying...");
        }
        for _ in 0..BATCHES {
            match batch(store, retention, &mut sweep).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    warn!(%error, "what is old could not be removed, retrying...");
                    break;
                }
            }
            if wait(BREATH, stop).await {
                return;
            }
        }
    }
}

/// Whether the sweep came to its end.
async fn batch(store: &Store, retention: Retention, sweep: &mut Sweep) -> Result<bool, StoreError> {
    let swept = store.sweep(retention, sweep).await?;
    if swept.rows > 0 {
        debug!(rows = swept.rows, what = swept.what, "removed what is old");
    }
    Ok(swept.finished)
}

/// Whether `stop` came before `pause` was over.
async fn wait(pause: Duration, stop: &CancellationToken) -> bool {
    // A pause holds nothing.
    tokio::select! {
        () = stop.cancelled() => true,
        () = tokio::time::sleep(pause) => false,
    }
}
