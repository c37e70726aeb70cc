//! The only place of this crate that asks for the time.

use tokio::time::Instant;

/// Monotonic time, for forgetting stanzas. It may stand still while the machine
/// is suspended: the stanzas do so too.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the crate's clock, and no deadline of trust is measured on it"
)]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// Wall time in unix seconds, as the library counts it.
pub(crate) fn unix_seconds() -> i64 {
    wacore::time::now_secs()
}

/// Wall time in unix milliseconds.
pub(crate) fn unix_millis() -> i64 {
    wacore::time::now_millis()
}
