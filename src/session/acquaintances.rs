//! Who an account met lately and the store does not know yet.
//!
//! Messages arrive by the thousand from the same few people, so who was told of once is told of again
//! only when something about them changed. What is lost with the process is met again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::ids::Jid;
use crate::inbound::message::{Inbound, Party};
use crate::store::Met;

/// People that are remembered. Who comes beyond them is told of again, which only costs time.
const MOST: usize = 20_000;
/// People that wait to be told of.
const WAITING: usize = 20_000;

/// See the module. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Acquaintances(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    people: Mutex<People>,
    made: Notify,
}

#[derive(Debug, Default)]
struct People {
    told: HashMap<Jid, u64>,
    new: Vec<Met>,
}

impl Acquaintances {
    /// Notes who wrote a message.
    pub(super) fn note_sender(&self, inbound: &Inbound) {
        if !inbound.key.from_me {
            self.note(Met {
                person: inbound.key.sender.clone(),
                push_name: inbound.push_name.clone(),
                saved_name: None,
            });
        }
    }

    /// Notes what was learned about a person.
    pub(super) fn note(&self, met: Met) {
        let Some(key) = key(&met.person).cloned() else {
            return;
        };
        let mut people = self.lock();
        let hash = hash(&met);
        if people.told.get(&key) == Some(&hash) || people.new.len() >= WAITING {
            return;
        }
        if people.told.len() >= MOST {
            people.told.clear();
        }
        people.told.insert(key, hash);
        people.new.push(met);
        drop(people);
        self.0.made.notify_one();
    }

    /// Resolves when somebody was met. Cancel safe: one waits for it at a time.
    pub(super) async fn made(&self) {
        self.0.made.notified().await;
    }

    /// Who was met, at most `limit` of them.
    pub(super) fn take(&self, limit: usize) -> Vec<Met> {
        let mut people = self.lock();
        let count = people.new.len().min(limit);
        people.new.drain(..count).collect()
    }

    /// They could not be told of: they are the next time they are met.
    pub(super) fn forget(&self, met: &[Met]) {
        let mut people = self.lock();
        for met in met {
            if let Some(key) = key(&met.person) {
                people.told.remove(key);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, People> {
        self.0.people.lock().expect("no panic while it is held")
    }
}

fn key(person: &Party) -> Option<&Jid> {
    person.lid.as_ref().or(person.pn.as_ref())
}

fn hash(met: &Met) -> u64 {
    let mut hasher = DefaultHasher::new();
    met.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(user: &str, name: &str) -> Met {
        Met {
            person: Party {
                pn: None,
                lid: Some(Jid::new(format!("{user}@lid"))),
            },
            push_name: Some(name.to_owned()),
            saved_name: None,
        }
    }

    #[test]
    fn a_person_is_told_of_once_until_something_changes() {
        let people = Acquaintances::default();
        for _ in 0..3 {
            people.note(met("1", "Ada"));
        }
        people.note(met("2", "Bob"));
        assert_eq!(people.take(10), [met("1", "Ada"), met("2", "Bob")]);
        people.note(met("1", "Ada"));
        people.note(met("1", "Ada L."));
        assert_eq!(people.take(10), [met("1", "Ada L.")]);
        people.forget(&[met("1", "Ada L.")]);
        people.note(met("1", "Ada L."));
        assert_eq!(people.take(10), [met("1", "Ada L.")]);
    }

    #[test]
    fn who_is_nobody_is_not_told_of() {
        let people = Acquaintances::default();
        people.note(Met::default());
        assert_eq!(people.take(10), []);
    }
}
