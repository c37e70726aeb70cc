//! The three clocks, and the only place that reads them (clippy enforces it).
//!
//! - [`Boot`]: milliseconds since this machine booted, suspended time included (`CLOCK_BOOTTIME`).
//!   Deadlines of trust are measured on it, because tokio's `Instant` stands still while a machine
//!   sleeps and would let a holder wake up believing in a lease that ran out long ago.
//! - [`wall_ms`]: Unix time, for people and for file names. Never compared between machines.
//! - the store's clock, which decides about leases, lives in the store's SQL.

use std::time::Duration;

/// A moment on `CLOCK_BOOTTIME`, in milliseconds. Only comparable within one machine and one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(i64);

impl Boot {
    /// Before every other moment: the deadline of somebody who was never trusted.
    pub const NEVER: Self = Self(i64::MIN);

    /// Reads the clock.
    pub fn now() -> Self {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Self(t.tv_sec * 1000 + t.tv_nsec / 1_000_000)
    }

    /// For the pure state machines, their tests and simulations, which are told the time.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since boot.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// This moment, `by` later.
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// How long until this moment; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.since(Self::now())
    }
}

/// Unix time in milliseconds, by this machine's wall clock.
pub fn wall_ms() -> i64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    t.tv_sec * 1000 + t.tv_nsec / 1_000_000
}

/// `ms` of Unix time as RFC 3339 in UTC, with milliseconds.
pub fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |t| format!("{t:.3}"))
}

/// A span as people say it.
pub fn span(ms: i64) -> String {
    let seconds = ms.abs() / 1000;
    match seconds {
        0..=119 => format!("{}.{} s", seconds, ms.abs() % 1000 / 100),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_in_the_past_has_no_time_left() {
        let now = Boot::now();
        assert_eq!(Boot::NEVER.remaining(), Duration::ZERO);
        assert_eq!(
            now.plus(Duration::from_secs(2)).since(now),
            Duration::from_secs(2)
        );
        assert_eq!(now.since(now.plus(Duration::from_secs(2))), Duration::ZERO);
    }

    #[test]
    fn wall_time_is_printed_in_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_790_000_000_123), "2026-09-21T14:13:20.123Z");
    }
}
