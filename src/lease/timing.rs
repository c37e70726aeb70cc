//! The three numbers of a lease and how they must fit together.

use std::time::Duration;

use crate::clock::Boot;

/// Checked lease times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseTiming {
    ttl: Duration,
    heartbeat: Duration,
    margin: Duration,
}

/// Which settings do not fit, and how they would.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TimingError {
    /// Outside of what makes sense.
    #[error("WHATSAPP_LEASE_TTL_MS is {}: it must be between 1000 and 300000", .0.as_millis())]
    Ttl(Duration),
    /// Two lost heartbeats must not end a lease.
    #[error(
        "WHATSAPP_HEARTBEAT_MS is {} but WHATSAPP_LEASE_TTL_MS is {}: the heartbeat must be at least 1 and at most a third of the TTL ({})",
        .heartbeat.as_millis(), .ttl.as_millis(), .ttl.as_millis() / 3
    )]
    Heartbeat {
        /// As configured.
        heartbeat: Duration,
        /// As configured.
        ttl: Duration,
    },
    /// The margin would eat the lease.
    #[error(
        "WHATSAPP_LEASE_MARGIN_MS is {} but WHATSAPP_LEASE_TTL_MS is {}: the margin must be less than a quarter of the TTL ({})",
        .margin.as_millis(), .ttl.as_millis(), .ttl.as_millis() / 4
    )]
    Margin {
        /// As configured.
        margin: Duration,
        /// As configured.
        ttl: Duration,
    },
}

impl LeaseTiming {
    /// The heartbeat defaults to a quarter of the TTL, the margin to a twentieth.
    ///
    /// # Errors
    /// [`TimingError`] names the settings that do not fit.
    pub fn new(
        ttl: Duration,
        heartbeat: Option<Duration>,
        margin: Option<Duration>,
    ) -> Result<Self, TimingError> {
        if !(Duration::from_secs(1)..=Duration::from_mins(5)).contains(&ttl) {
            return Err(TimingError::Ttl(ttl));
        }
        let heartbeat = heartbeat.unwrap_or(ttl / 4);
        if heartbeat.is_zero() || heartbeat > ttl / 3 {
            return Err(TimingError::Heartbeat { heartbeat, ttl });
        }
        let margin = margin.unwrap_or(ttl / 20);
        if margin >= ttl / 4 {
            return Err(TimingError::Margin { margin, ttl });
        }
        Ok(Self {
            ttl,
            heartbeat,
            margin,
        })
    }

    /// How long the store keeps others out after a renewal.
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Time between renewals.
    pub const fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// What is kept back for a system call and a kernel buffer.
    pub const fn margin(&self) -> Duration {
        self.margin
    }

    /// Until when a renewal sent at `asked` may be trusted. A hundredth is for clocks that run at
    /// different rates.
    pub fn trusted_until(&self, asked: Boot) -> Boot {
        asked.plus((self.ttl - self.ttl / 100).saturating_sub(self.margin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn defaults_are_a_quarter_and_a_twentieth_of_the_ttl() {
        let timing = LeaseTiming::new(ms(60_000), None, None).expect("valid");
        assert_eq!(
            (timing.heartbeat(), timing.margin()),
            (ms(15_000), ms(3_000))
        );
        assert_eq!(
            timing.trusted_until(Boot::from_ms(1_000)),
            Boot::from_ms(1_000 + 59_400 - 3_000)
        );
    }

    #[test]
    fn times_that_do_not_fit_are_refused_by_both_names() {
        assert_eq!(
            LeaseTiming::new(ms(999), None, None),
            Err(TimingError::Ttl(ms(999)))
        );
        let error = LeaseTiming::new(ms(9_000), Some(ms(3_001)), None).expect_err("too slow");
        assert_eq!(
            error.to_string(),
            "WHATSAPP_HEARTBEAT_MS is 3001 but WHATSAPP_LEASE_TTL_MS is 9000: the heartbeat must be at least 1 and at most a third of the TTL (3000)"
        );
        let error = LeaseTiming::new(ms(8_000), None, Some(ms(2_000))).expect_err("too wide");
        assert_eq!(
            error,
            TimingError::Margin {
                margin: ms(2_000),
                ttl: ms(8_000)
            }
        );
        assert!(LeaseTiming::new(ms(9_000), Some(ms(3_000)), Some(ms(2_249))).is_ok());
    }
}
