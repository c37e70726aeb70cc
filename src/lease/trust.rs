//! How long this process may believe that it holds a lease.
//!
//! The keeper extends the deadline after each successful heartbeat; everything that touches WhatsApp
//! reads it directly before acting: each connect, each socket write, each claim. Reading needs
//! neither a lock nor the keeper to be alive, so a frozen or crashed keeper stops the account by
//! itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Boot;

/// A shared, monotonic-clock deadline. Clones watch the same deadline.
#[derive(Clone, Debug)]
pub struct Trust(Arc<AtomicI64>);

impl Trust {
    /// A deadline that has already passed.
    pub fn none() -> Self {
        Self(Arc::new(AtomicI64::new(Boot::NEVER.as_ms())))
    }

    /// Trusted up to `deadline`.
    pub fn until(deadline: Boot) -> Self {
        Self(Arc::new(AtomicI64::new(deadline.as_ms())))
    }

    /// Moves the deadline later. An earlier one is ignored: answers may arrive out of order. After
    /// [`Trust::revoke`] nothing extends it again: a new acquisition has a new `Trust`.
    pub fn extend(&self, deadline: Boot) {
        let extended =
            |now: i64| (now != REVOKED && now < deadline.as_ms()).then_some(deadline.as_ms());
        // A refused update is the wanted outcome of both cases above.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, extended);
    }

    /// Ends the trust for good.
    pub fn revoke(&self) {
        self.0.store(REVOKED, Ordering::Release);
    }

    /// The deadline.
    pub fn deadline(&self) -> Boot {
        Boot::from_ms(self.0.load(Ordering::Acquire))
    }

    /// Whether the account may be operated at this very moment.
    pub fn holds(&self) -> bool {
        Boot::now() < self.deadline()
    }
}

const REVOKED: i64 = i64::MIN + 1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn trust_ends_by_the_clock_and_for_good_when_revoked() {
        let now = Boot::now();
        let trust = Trust::until(now.plus(Duration::from_secs(60)));
        assert!(trust.holds());
        trust.extend(now);
        assert!(trust.holds(), "an older answer does not shorten trust");
        trust.revoke();
        trust.extend(now.plus(Duration::from_secs(60)));
        assert!(
            !trust.holds(),
            "a late heartbeat does not revive revoked trust"
        );
        assert!(!Trust::none().holds());
    }
}
