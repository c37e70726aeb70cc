//! The simulator's only questions about the time.
//!
//! It simulates for tests of things that are told the time; itself it may ask.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The clock that deadlines are measured on.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulator has no other clock, and does not outlive a suspended machine"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The wall clock, in milliseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulator is both sides of every time it names"
)]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.expect("the clock is after 1970").as_millis();
    u64::try_from(millis).expect("milliseconds since 1970 fit 64 bits")
}

/// The wall clock, in seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    unix_ms() / 1000
}
