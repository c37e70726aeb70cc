//! One process of the simulation: the real core, its clock, its driver and its sessions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::super::timing::LeaseTiming;
use super::super::table::{Fence, Owner};
use super::super::{Core, Pace};
use super::{HEARTBEAT, LOOK, TTL};
use crate::clock::Boot;
use crate::ids::{AccountId, Epoch};

/// What a session works with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) fence: Fence,
    /// By the process's clock.
    pub(super) until: i64,
    pub(super) claim: Claim,
    pub(super) leaving: bool,
}

/// The message that a session is about to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    None,
    Asked,
    Committed,
}

/// A statement for the store.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Look,
    Acquire {
        account: AccountId,
        unchanged: Option<(Epoch, i64)>,
        dead: Option<Epoch>,
        /// When the look that led to it was asked.
        looked: i64,
    },
    Renew(Vec<(AccountId, Fence)>),
    Release(AccountId, Fence),
    Write(AccountId, Fence),
    Claim(AccountId, Fence),
}

/// A clock that started at another time and runs at another rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) offset: i64,
    pub(super) ppm: i64,
}

impl Clock {
    pub(super) fn read(self, now: i64) -> i64 {
        self.offset + now + now * self.ppm / 1_000_000
    }

    /// The first true moment at which it reads at least `local`.
    pub(super) fn when(self, local: i64) -> i64 {
        let mut now = (local - self.offset) * 1_000_000 / (1_000_000 + self.ppm) - 2;
        while self.read(now) < local {
            now += 1;
        }
        now
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) worker: Owner,
    pub(super) owner: Owner,
    pub(super) machine: u8,
    pub(super) clock: Clock,
    pub(super) core: Core,
    pub(super) alive: bool,
    pub(super) frozen_until: i64,
    /// Nothing reaches the store, or nothing comes back.
    pub(super) cut_until: i64,
    /// Only the last `WakeAt` counts.
    pub(super) alarm: u64,
    pub(super) terms: BTreeMap<AccountId, Term>,
    pub(super) fences: BTreeMap<AccountId, Fence>,
    /// Questions that the driver waits for.
    pub(super) awaited: BTreeMap<u64, Question>,
    pub(super) look_asked: i64,
    /// When the last look that was answered was asked.
    pub(super) looked: i64,
    /// When the last look was asked that showed a lease alive, since it is bid for.
    pub(super) seen_alive: BTreeMap<AccountId, i64>,
    pub(super) renewals: u64,
}

impl Node {
    pub(super) fn new(worker: Owner, owner: Owner, machine: u8, clock: Clock) -> Self {
        let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        // No margin: the hundredth alone covers the rates of the clocks.
        let timing = LeaseTiming::new(ms(TTL), Some(ms(HEARTBEAT)), Some(Duration::ZERO));
        let pace = Pace {
            look: ms(LOOK),
            jitter: ms(50),
            yield_for: ms(300),
            seed: u64::from(owner),
        };
        Self {
            worker,
            owner,
            machine,
            clock,
            core: Core::new(timing.expect("valid"), pace),
            alive: true,
            frozen_until: 0,
            cut_until: 0,
            alarm: 0,
            terms: BTreeMap::new(),
            fences: BTreeMap::new(),
            awaited: BTreeMap::new(),
            look_asked: 0,
            looked: 0,
            seen_alive: BTreeMap::new(),
            renewals: 0,
        }
    }

    pub(super) fn boot(&self, now: i64) -> Boot {
        Boot::from_ms(self.clock.read(now))
    }

    pub(super) fn trusts(&self, term: &Term, now: i64) -> bool {
        self.clock.read(now) < term.until
    }
}
