//! Keeps Signal state from running ahead of received messages.
//!
//! A message's ratchet step is in the library's cache before the message is
//! stored. If that cache is written first and the process dies, the redelivered
//! message looks like a duplicate and is lost. So the gate watches the stanzas
//! that arrive and refuses a write of Signal state that contains the step of a
//! stanza which is not yet *settled*.
//!
//! ```text
//!   stanza read ──observe──> unsettled ──row stored / duplicate / undecryptable──> settled
//!                                └────────────── after 2 s ─────────────────────> forgotten
//! ```
//!
//! # Invariants
//!
//! - A step is remembered before the library decrypts it: `observe` is called
//!   on the read loop.
//! - [`admit`](SignalGate::admit) waits one millisecond at most. The library
//!   holds its session lock across the write, and the decryption that would
//!   settle the stanza needs that lock; the library repeats a refused write.
//!
//! # Failures
//!
//! Stanzas that carry only a sender key settle unseen, hence the forgetting:
//! they delay writes and lose nothing. A stanza that takes longer than two
//! seconds from the read loop to its row slips through; the loss detector
//! behind `get_pending_inbound` is the net for it.

mod snapshot;
mod stanza;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use wacore_binary::NodeRef;

use crate::clock;
use crate::record::RecordError;

pub(crate) use snapshot::SnapshotPositions;
use stanza::{StanzaKey, Step};

/// How long an unsettled stanza is remembered.
const MEMORY: Duration = Duration::from_secs(2);
/// The longest wait inside a write of Signal state.
const PATIENCE: Duration = Duration::from_millis(1);
/// Upper bound of remembered stanzas; beyond it the oldest is forgotten.
const CAPACITY: usize = 8192;

/// See the module's documentation.
#[derive(Default)]
pub struct SignalGate {
    unsettled: Mutex<Unsettled>,
    settled: Notify,
}

impl SignalGate {
    /// Remembers what a raw stanza will do to the Signal state, and returns the
    /// JID of the sending device. Anything but a `<message>` with encrypted
    /// content is ignored. Never blocks.
    pub fn observe(&self, stanza: &NodeRef<'_>) -> Option<String> {
        let (key, steps) = stanza::read(stanza)?;
        let sender = key.sender().to_owned();
        self.lock().remember(key, steps, clock::monotonic());
        Some(sender)
    }

    /// The library could not decrypt this stanza; it changed no ratchet.
    /// `sender` is the JID of the sending device.
    pub fn undecryptable(&self, sender: &str, id: &str) {
        self.settle(sender, id);
    }

    pub(crate) fn settle(&self, sender: &str, id: &str) {
        if self.lock().settle(sender, id) {
            self.settled.notify_waiters();
        }
    }

    /// Devices of which a stanza is unsettled. What the others sent has done
    /// what it does to the Signal state.
    pub fn unsettled_senders(&self) -> HashSet<String> {
        let mut unsettled = self.lock();
        unsettled.forget(clock::monotonic());
        let senders = unsettled.stanzas.keys().map(StanzaKey::sender);
        senders.map(str::to_owned).collect()
    }

    /// Whether no stanza is unsettled: then a write needs no inspection.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().is_empty(clock::monotonic())
    }

    /// Lets a snapshot pass once no unsettled stanza is inside it.
    ///
    /// # Errors
    /// [`RecordError::AheadOfMessages`] after [`PATIENCE`].
    pub(crate) async fn admit(&self, snapshot: &SnapshotPositions) -> Result<(), RecordError> {
        let deadline = clock::monotonic() + PATIENCE;
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            let inside = self.lock().inside(snapshot, clock::monotonic());
            if inside == 0 {
                return Ok(());
            }
            if timeout_at(deadline, settled).await.is_err() {
                return Err(RecordError::AheadOfMessages(inside));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Unsettled> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The unsettled stanzas. Time is given by the caller.
#[derive(Default)]
struct Unsettled {
    stanzas: HashMap<StanzaKey, Vec<Step>>,
    /// In order of arrival. A settled stanza's entry stays until its time has passed.
    arrivals: VecDeque<(Instant, StanzaKey)>,
}

impl Unsettled {
    fn remember(&mut self, key: StanzaKey, steps: Vec<Step>, now: Instant) {
        self.forget(now);
        if self.arrivals.len() >= CAPACITY
            && let Some((_, oldest)) = self.arrivals.pop_front()
        {
            self.stanzas.remove(&oldest);
        }
        self.arrivals.push_back((now, key.clone()));
        self.stanzas.entry(key).or_default().extend(steps);
    }

    fn settle(&mut self, sender: &str, id: &str) -> bool {
        !self.stanzas.is_empty() && self.stanzas.remove(&StanzaKey::new(sender, id)).is_some()
    }

    fn is_empty(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.stanzas.is_empty()
    }

    fn inside(&mut self, snapshot: &SnapshotPositions, now: Instant) -> usize {
        self.forget(now);
        self.stanzas
            .values()
            .filter(|steps| steps.iter().any(|step| snapshot.contains(step)))
            .count()
    }

    fn forget(&mut self, now: Instant) {
        let mut expired = HashSet::new();
        while let Some((arrived, _)) = self.arrivals.front()
            && now.duration_since(*arrived) >= MEMORY
        {
            let (_, key) = self.arrivals.pop_front().expect("the front was just seen");
            expired.insert(key);
        }
        if expired.is_empty() {
            return;
        }
        // A redelivery that arrived since then keeps its stanza.
        for (_, key) in &self.arrivals {
            expired.remove(key);
        }
        for key in expired {
            self.stanzas.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(counter: u32) -> Vec<Step> {
        vec![Step::Session {
            ratchet_key: [7; 32],
            counter,
        }]
    }

    fn passed(counter: u32) -> SnapshotPositions {
        let mut snapshot = SnapshotPositions::default();
        snapshot.add_session_chain([7; 32], counter + 1, []);
        snapshot
    }

    #[test]
    fn a_stanza_is_forgotten_after_two_seconds() {
        let start = clock::monotonic();
        let mut unsettled = Unsettled::default();
        unsettled.remember(StanzaKey::new("a", "1"), step(3), start);
        assert_eq!(unsettled.inside(&passed(3), start + MEMORY / 2), 1);
        assert_eq!(unsettled.inside(&passed(3), start + MEMORY), 0);
    }

    #[test]
    fn a_redelivery_keeps_a_stanza_remembered() {
        let start = clock::monotonic();
        let mut unsettled = Unsettled::default();
        unsettled.remember(StanzaKey::new("a", "1"), step(3), start);
        unsettled.remember(StanzaKey::new("a", "1"), step(3), start + MEMORY / 2);
        assert_eq!(unsettled.inside(&passed(3), start + MEMORY), 1);
        assert_eq!(unsettled.inside(&passed(3), start + MEMORY * 2), 0);
    }

    #[test]
    fn settling_needs_sender_and_id() {
        let start = clock::monotonic();
        let mut unsettled = Unsettled::default();
        unsettled.remember(StanzaKey::new("a", "1"), step(3), start);
        assert!(!unsettled.settle("b", "1"));
        assert!(!unsettled.settle("a", "2"));
        assert!(unsettled.settle("a", "1"));
        assert!(unsettled.is_empty(start));
    }

    #[test]
    fn memory_is_bounded() {
        let start = clock::monotonic();
        let mut unsettled = Unsettled::default();
        for n in 0..=CAPACITY {
            unsettled.remember(StanzaKey::new("a", &n.to_string()), step(3), start);
        }
        assert_eq!(unsettled.stanzas.len(), CAPACITY);
        assert!(!unsettled.settle("a", "0"));
    }
}
