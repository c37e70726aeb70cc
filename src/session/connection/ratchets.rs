//! What is known of ratchets that replies leave under.
//!
//! A message that comes may move the ratchet that the next reply to its sender leaves under. Until that is
//! stored, a reply to the same person waits; replies to others, and all other frames, do not.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whom a message is for, by the user parts of their addresses, our own account's with them: its devices
/// get a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readers {
    /// These, in every form of address.
    Of(Vec<String>),
    /// A group, or somebody of whom only one form is known.
    Any,
}

/// See the module.
#[derive(Default)]
pub struct Ratchets(Mutex<Known>);

#[derive(Default)]
struct Known {
    count: u64,
    /// By user: devices that sent something which is not known to be stored, and which of their stanzas
    /// was the last.
    moved: HashMap<String, HashMap<String, u64>>,
    /// Messages that are being written.
    writing: HashMap<u64, Readers>,
}

impl Ratchets {
    /// The device `sender` sent something. `users`: whose it is, in each form that the stanza tells.
    pub fn received(&self, sender: &str, users: impl Iterator<Item = String>) {
        let mut known = self.lock();
        known.count += 1;
        let last = known.count;
        for user in users {
            let devices = known.moved.entry(user).or_default();
            devices.insert(sender.to_owned(), last);
        }
    }

    /// A message is being written, until [`Ratchets::wrote`].
    pub fn writes(&self, readers: Readers) -> u64 {
        let mut known = self.lock();
        known.count += 1;
        let one = known.count;
        known.writing.insert(one, readers);
        one
    }

    /// It has been written.
    pub fn wrote(&self, one: u64) {
        self.lock().writing.remove(&one);
    }

    /// Whether a frame has to wait: it may be a message under a ratchet that is not stored.
    pub fn hold_up(&self) -> bool {
        let known = self.lock();
        known.writing.values().any(|readers| match readers {
            Readers::Any => !known.moved.is_empty(),
            Readers::Of(users) => users.iter().any(|user| known.moved.contains_key(user)),
        })
    }

    /// What a flush that begins now stores: all that came, but from devices of which something is still
    /// on its way into the ratchets.
    pub fn settled(&self, unsettled: &HashSet<String>) -> HashMap<String, u64> {
        let known = self.lock();
        let devices = known.moved.values().flatten();
        devices
            .filter(|(sender, _)| !unsettled.contains(*sender))
            .map(|(sender, last)| (sender.clone(), *last))
            .collect()
    }

    /// A flush succeeded that began when `settled` was asked for.
    pub fn flushed(&self, settled: &HashMap<String, u64>) {
        let is_stored = |sender: &String, last: &u64| settled.get(sender) == Some(last);
        self.lock().moved.retain(|_, devices| {
            devices.retain(|sender, last| !is_stored(sender, last));
            !devices.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(ratchets: &Ratchets, sender: &str, users: &[&str]) {
        ratchets.received(sender, users.iter().map(|user| (*user).to_owned()));
    }

    fn flush(ratchets: &Ratchets, unsettled: &[&str]) {
        let unsettled = unsettled.iter().map(|sender| (*sender).to_owned());
        let settled = ratchets.settled(&unsettled.collect());
        ratchets.flushed(&settled);
    }

    fn of(users: &[&str]) -> Readers {
        Readers::Of(users.iter().map(|user| (*user).to_owned()).collect())
    }

    #[test]
    fn frames_wait_while_something_of_a_reader_may_have_moved_a_ratchet() {
        let ratchets = Ratchets::default();
        came(&ratchets, "1:3@lid", &["1", "49"]);
        assert!(!ratchets.hold_up(), "no message is written");
        let one = ratchets.writes(of(&["49", "1"]));
        assert!(ratchets.hold_up());
        flush(&ratchets, &["1:3@lid"]);
        assert!(ratchets.hold_up(), "it was not read when the flush began");
        flush(&ratchets, &[]);
        assert!(!ratchets.hold_up());
        came(&ratchets, "1:3@lid", &["1"]);
        assert!(
            ratchets.hold_up(),
            "one came between the flush and the frame"
        );
        ratchets.wrote(one);
        assert!(!ratchets.hold_up());
    }

    #[test]
    fn what_others_send_holds_up_only_what_may_be_for_them() {
        let ratchets = Ratchets::default();
        let one = ratchets.writes(of(&["49", "1"]));
        came(&ratchets, "2:1@lid", &["2"]);
        assert!(!ratchets.hold_up());
        let group = ratchets.writes(Readers::Any);
        assert!(ratchets.hold_up());
        ratchets.wrote(group);
        came(&ratchets, "1@lid", &["1"]);
        assert!(ratchets.hold_up());
        flush(&ratchets, &["2:1@lid"]);
        assert!(!ratchets.hold_up(), "only others are on their way");
        ratchets.wrote(one);
    }

    #[test]
    fn what_came_during_a_flush_is_not_stored_by_it() {
        let ratchets = Ratchets::default();
        let _one = ratchets.writes(of(&["1"]));
        came(&ratchets, "1@lid", &["1"]);
        let settled = ratchets.settled(&HashSet::new());
        came(&ratchets, "1@lid", &["1"]);
        ratchets.flushed(&settled);
        assert!(ratchets.hold_up());
        flush(&ratchets, &[]);
        assert!(!ratchets.hold_up());
        assert!(ratchets.lock().moved.is_empty(), "nothing is kept");
    }
}
