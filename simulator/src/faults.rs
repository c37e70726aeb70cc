//! What goes wrong on purpose.
//!
//! Faults act on the wire, between a device's queue and its socket: the queue keeps the good copy,
//! so that a real client can always recover by a retry or a reconnect. Decisions are drawn from
//! one seeded generator; its seed ([`crate::Simulator::seed`]) is logged
//! whenever faults are set, and belongs into the message of every failed assertion.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// Faults to inject; the default injects none. Chances are between 0 and 1, per stanza.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Chance that a stanza is not sent on this connection; the next login brings it.
    pub drop: f64,
    /// Chance that a stanza is sent twice.
    pub duplicate: f64,
    /// Chance that a stanza changes places with the one behind it.
    pub reorder: f64,
    /// Chance that one bit of a ciphertext is flipped.
    pub corrupt: f64,
    /// Chance that undecodable bytes are sent in place of a stanza, before the stanza itself.
    pub garbage: f64,
    /// The longest time a stanza is held back, in milliseconds; each draws its own.
    pub delay_ms: u64,
    /// Chance that a message is taken and its acknowledgement is not sent.
    pub lose_acks: f64,
    /// Chance that a message is acknowledged twice.
    pub duplicate_acks: f64,
    /// The longest time before a message is acknowledged, in milliseconds; each draws its own. What the
    /// client sends meanwhile waits too.
    pub delay_acks_ms: u64,
    /// Refuse every message with this code.
    pub refuse_messages: Option<u16>,
    /// Read what clients send, but neither answer nor send anything after the login.
    pub deaf: bool,
    /// The same, only towards the clients that call themselves so
    /// ([`crate::Simulator::url_for`]).
    pub deaf_to: Vec<String>,
    /// How long the server pauses before it reads each stanza, in milliseconds.
    pub slow_reader_ms: u64,
    /// Answer IK hellos by XXfallback, as after a key rotation.
    pub refuse_ik: bool,
    /// Refuse every login of a linked device with this code: 402 is a ban that lasts a few seconds
    /// ([`crate::Faults::BAN`]), 405 a client version that is too old.
    pub refuse_logins: Option<u16>,
    /// Accept no new connections.
    pub refuse_connections: bool,
}

impl Faults {
    /// How long a ban lasts, as the refused client is told.
    pub const BAN: Duration = Duration::from_secs(3);

    /// Whether a client that calls itself `name` gets no answers.
    pub(crate) fn is_deaf_to(&self, name: Option<&str>) -> bool {
        self.deaf || name.is_some_and(|name| self.deaf_to.iter().any(|deaf| deaf == name))
    }
}

/// What happens to one stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fate {
    pub(crate) drop: bool,
    pub(crate) duplicate: bool,
    pub(crate) swap: bool,
    pub(crate) corrupt: bool,
    pub(crate) garbage: bool,
    pub(crate) delay: Duration,
}

/// What happens to the acknowledgement of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AckFate {
    pub(crate) copies: usize,
    pub(crate) delay: Duration,
}

/// The faults in force and their generator.
pub(crate) struct FaultPlan {
    seed: u64,
    state: Mutex<(Faults, StdRng)>,
}

impl FaultPlan {
    pub(crate) fn new(seed: u64) -> Self {
        let state = Mutex::new((Faults::default(), StdRng::seed_from_u64(seed)));
        Self { seed, state }
    }

    /// The seed that reproduces the decisions.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Replaces the faults in force and starts their generator again.
    pub(crate) fn set(&self, faults: Faults) {
        tracing::info!(seed = self.seed, ?faults, "faults set");
        *self.lock() = (faults, StdRng::seed_from_u64(self.seed));
    }

    /// The faults in force.
    pub(crate) fn current(&self) -> Faults {
        self.lock().0.clone()
    }

    /// Draws what happens to the next stanza.
    pub(crate) fn fate(&self) -> Fate {
        let mut state = self.lock();
        let (faults, rng) = &mut *state;
        if *faults == Faults::default() {
            return Fate::default();
        }
        let mut happens = |chance: f64| chance > 0.0 && rng.random_bool(chance.clamp(0.0, 1.0));
        let fate = Fate {
            drop: happens(faults.drop),
            duplicate: happens(faults.duplicate),
            swap: happens(faults.reorder),
            corrupt: happens(faults.corrupt),
            garbage: happens(faults.garbage),
            delay: Duration::ZERO,
        };
        let delay = match faults.delay_ms {
            0 => Duration::ZERO,
            longest => Duration::from_millis(rng.random_range(0..=longest)),
        };
        Fate { delay, ..fate }
    }

    /// Draws what happens to the acknowledgement of the next message.
    pub(crate) fn ack_fate(&self) -> AckFate {
        let mut state = self.lock();
        let (faults, rng) = &mut *state;
        let mut happens = |chance: f64| chance > 0.0 && rng.random_bool(chance.clamp(0.0, 1.0));
        let copies = match (happens(faults.lose_acks), happens(faults.duplicate_acks)) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        let delay = match faults.delay_acks_ms {
            0 => Duration::ZERO,
            longest => Duration::from_millis(rng.random_range(0..=longest)),
        };
        AckFate { copies, delay }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Faults, StdRng)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
