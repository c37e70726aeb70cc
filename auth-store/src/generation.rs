//! Generations: each set of credentials an account has had.
//!
//! Records live in the namespace of their generation (`g3/…`). A new identity
//! is prepared in a *pending* generation and replaces nothing until pairing
//! succeeded and it is promoted. What it replaces, and what is cleared or
//! logged out, is kept sealed with the reason and the time.
//!
//! ```text
//!              pairing succeeded               logged out, cleared, replaced
//!   pending ──────────────────────> current ──────────────────────────────> retired
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::RecordKey;

/// Number of a set of credentials, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(u64);

impl Generation {
    /// Holds the list of generations itself, never credentials.
    pub(crate) const ROOT: Self = Self(0);

    /// The generation of this number.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The full key of a record of this generation.
    pub(crate) fn key(self, name: &str) -> RecordKey {
        RecordKey::new(format!("g{}/{name}", self.0))
    }

    /// What every key of this generation starts with.
    pub(crate) fn prefix(self) -> String {
        format!("g{}/", self.0)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A generation that is no longer used, kept until it is pruned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredGeneration {
    /// Its number.
    pub generation: Generation,
    /// Why it was retired, for people.
    pub reason: String,
    /// When, in unix milliseconds.
    pub retired_at_ms: i64,
}

/// The list of generations, itself a sealed record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GenerationLog {
    pub(crate) current: Option<Generation>,
    pub(crate) pending: Option<Generation>,
    /// What an installation fills; never used before it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) installing: Option<Generation>,
    last: Generation,
    pub(crate) retired: Vec<RetiredGeneration>,
}

impl Default for GenerationLog {
    fn default() -> Self {
        Self {
            current: None,
            pending: None,
            installing: None,
            last: Generation::ROOT,
            retired: Vec::new(),
        }
    }
}

impl GenerationLog {
    pub(crate) fn record_key() -> RecordKey {
        RecordKey::new("generations")
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a list of generations serialises")
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(value)
    }

    /// The pending generation, begun if there is none.
    pub(crate) fn prepare(&mut self) -> Generation {
        let last = &mut self.last;
        *self.pending.get_or_insert_with(|| {
            *last = Generation(last.0 + 1);
            *last
        })
    }

    /// Makes the pending generation the current one. `false` if it is not pending.
    pub(crate) fn promote(&mut self, generation: Generation, now_ms: i64) -> bool {
        if self.pending != Some(generation) {
            return false;
        }
        self.pending = None;
        if let Some(replaced) = self.current.replace(generation) {
            self.push_retired(replaced, "replaced by a new link", now_ms);
        }
        true
    }

    /// Takes a generation out of use. `false` if it is not in use.
    pub(crate) fn retire(&mut self, generation: Generation, reason: &str, now_ms: i64) -> bool {
        let slot = if self.current == Some(generation) {
            &mut self.current
        } else if self.pending == Some(generation) {
            &mut self.pending
        } else {
            return false;
        };
        *slot = None;
        self.push_retired(generation, reason, now_ms);
        true
    }

    /// Begins a generation that is filled from elsewhere.
    pub(crate) fn begin_install(&mut self) -> Generation {
        self.last = Generation(self.last.0 + 1);
        self.installing = Some(self.last);
        self.last
    }

    /// Makes what was filled the current generation, in place of what was current.
    pub(crate) fn finish_install(&mut self, reason: &str, now_ms: i64) {
        let Some(installed) = self.installing.take() else {
            return;
        };
        if let Some(replaced) = self.current.replace(installed) {
            self.push_retired(replaced, reason, now_ms);
        }
    }

    fn push_retired(&mut self, generation: Generation, reason: &str, now_ms: i64) {
        self.retired.push(RetiredGeneration {
            generation,
            reason: reason.to_owned(),
            retired_at_ms: now_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prepared_identity_replaces_nothing_before_it_is_promoted() {
        let mut log = GenerationLog::default();
        let first = log.prepare();
        assert!(log.promote(first, 1));
        let second = log.prepare();
        assert_eq!(log.current, Some(first));
        assert_eq!(log.prepare(), second, "one pending identity at a time");
        assert!(log.promote(second, 2));
        assert_eq!(log.current, Some(second));
        assert_eq!(log.retired[0].generation, first);
        assert!(!log.promote(second, 3), "promoting twice changes nothing");
    }

    #[test]
    fn numbers_are_never_used_again() {
        let mut log = GenerationLog::default();
        let first = log.prepare();
        assert!(log.retire(first, "logged out", 1));
        assert!(log.prepare() > first);
        assert!(!log.retire(first, "logged out", 2));
    }
}
