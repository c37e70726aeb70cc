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

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::data_key::DataKey;
use crate::keys::NoRandomness;
use crate::reading::json_damage;
use crate::record::{Damage, RecordKey};

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

    /// The generation that a full key belongs to.
    pub(crate) fn of_key(key: &RecordKey) -> Option<Self> {
        let (number, _) = key.as_str().strip_prefix('g')?.split_once('/')?;
        number.parse().ok().map(Self)
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

/// Version of the list of generations. The first one had no data keys: they came
/// from the master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
struct LogVersion(u32);

impl LogVersion {
    const FIRST: Self = Self(1);
    const CURRENT: Self = Self(2);

    fn first() -> Self {
        Self::FIRST
    }
}

/// The list of generations with their data keys: the root record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GenerationLog {
    #[serde(default = "LogVersion::first")]
    version: LogVersion,
    pub(crate) current: Option<Generation>,
    pub(crate) pending: Option<Generation>,
    /// What an installation fills; never used before it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) installing: Option<Generation>,
    last: Generation,
    pub(crate) retired: Vec<RetiredGeneration>,
    #[serde(default)]
    keys: BTreeMap<Generation, DataKey>,
}

impl Default for GenerationLog {
    fn default() -> Self {
        Self {
            version: LogVersion::CURRENT,
            current: None,
            pending: None,
            installing: None,
            last: Generation::ROOT,
            retired: Vec::new(),
            keys: BTreeMap::new(),
        }
    }
}

impl GenerationLog {
    pub(crate) fn record_key() -> RecordKey {
        RecordKey::new("generations")
    }

    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec(self).expect("a list of generations serialises"))
    }

    /// Reads a list, bringing one of the first version up with the keys that
    /// `derived` tells.
    pub(crate) fn decode(
        value: &[u8],
        derived: impl Fn(Generation) -> DataKey,
    ) -> Result<Self, Damage> {
        #[derive(Deserialize)]
        struct Versioned {
            #[serde(default = "LogVersion::first")]
            version: LogVersion,
        }
        let bad = |error| Damage::Value(json_damage(&error));
        let Versioned { version } = serde_json::from_slice(value).map_err(bad)?;
        if version > LogVersion::CURRENT {
            return Err(Damage::Version(version.0));
        }
        let mut log: Self = serde_json::from_slice(value).map_err(bad)?;
        if version == LogVersion::FIRST {
            log.keys = log
                .listed()
                .map(|listed| (listed, derived(listed)))
                .collect();
            log.version = LogVersion::CURRENT;
        }
        let lacking = log.listed().find(|listed| !log.keys.contains_key(listed));
        match lacking {
            None => Ok(log),
            Some(lacking) => {
                let detail = format!("generation {lacking} has no data key");
                Err(Damage::Value(detail))
            }
        }
    }

    /// Every generation that may have records.
    pub(crate) fn listed(&self) -> impl Iterator<Item = Generation> {
        let retired = self.retired.iter().map(|retired| retired.generation);
        [self.current, self.pending, self.installing]
            .into_iter()
            .flatten()
            .chain(retired)
    }

    /// The key of a listed generation.
    pub(crate) fn data_key(&self, generation: Generation) -> &DataKey {
        self.keys
            .get(&generation)
            .expect("a listed generation has a data key")
    }

    /// The pending generation, begun if there is none.
    pub(crate) fn prepare(&mut self) -> Result<Generation, NoRandomness> {
        if let Some(pending) = self.pending {
            return Ok(pending);
        }
        let begun = self.begin()?;
        self.pending = Some(begun);
        Ok(begun)
    }

    fn begin(&mut self) -> Result<Generation, NoRandomness> {
        let next = Generation(self.last.0 + 1);
        self.keys.insert(next, DataKey::generate()?);
        self.last = next;
        Ok(next)
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
    pub(crate) fn begin_install(&mut self) -> Result<Generation, NoRandomness> {
        let begun = self.begin()?;
        self.installing = Some(begun);
        Ok(begun)
    }

    /// Forgets a generation that was not filled whole.
    pub(crate) fn abandon_install(&mut self) {
        if let Some(abandoned) = self.installing.take() {
            self.keys.remove(&abandoned);
        }
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

    /// Takes what was retired before `before_ms` off the list, with its data key.
    pub(crate) fn forget_retired(&mut self, before_ms: i64) -> Vec<RetiredGeneration> {
        let (old, kept) = std::mem::take(&mut self.retired)
            .into_iter()
            .partition(|retired| retired.retired_at_ms < before_ms);
        self.retired = kept;
        let old: Vec<RetiredGeneration> = old;
        for retired in &old {
            self.keys.remove(&retired.generation);
        }
        old
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
        let first = log.prepare().unwrap();
        assert!(log.promote(first, 1));
        let second = log.prepare().unwrap();
        assert_eq!(log.current, Some(first));
        assert_eq!(
            log.prepare().unwrap(),
            second,
            "one pending identity at a time"
        );
        assert!(log.promote(second, 2));
        assert_eq!(log.current, Some(second));
        assert_eq!(log.retired[0].generation, first);
        assert!(!log.promote(second, 3), "promoting twice changes nothing");
    }

    #[test]
    fn numbers_are_never_used_again() {
        let mut log = GenerationLog::default();
        let first = log.prepare().unwrap();
        assert!(log.retire(first, "logged out", 1));
        assert!(log.prepare().unwrap() > first);
        assert!(!log.retire(first, "logged out", 2));
    }

    #[test]
    fn a_list_of_the_first_version_gets_derived_keys_and_a_newer_one_is_refused() {
        let key = DataKey::generate().unwrap();
        let derived = |_| key.clone();
        let first = br#"{"current":2,"pending":null,"last":2,
            "retired":[{"generation":1,"reason":"logged out","retired_at_ms":5}]}"#;
        let log = GenerationLog::decode(first, derived).unwrap();
        assert_eq!(log.data_key(Generation(2)), &key);
        assert_eq!(log.data_key(Generation(1)), &key);

        let no_derived = |_| panic!("its keys are in it");
        let again = GenerationLog::decode(&log.encode(), no_derived).unwrap();
        assert_eq!(again, log);

        let newer = br#"{"version":3,"anything":"else"}"#;
        let refused = GenerationLog::decode(newer, no_derived);
        assert_eq!(refused, Err(Damage::Version(3)));
        let lacking = br#"{"version":2,"current":1,"pending":null,"last":1,"retired":[]}"#;
        let refused = GenerationLog::decode(lacking, no_derived);
        assert!(matches!(refused, Err(Damage::Value(_))), "{refused:?}");
    }

    #[test]
    fn each_generation_has_a_key_of_its_own_that_is_not_shown() {
        let mut log = GenerationLog::default();
        let first = log.prepare().unwrap();
        log.promote(first, 1);
        let second = log.begin_install().unwrap();
        assert_ne!(log.data_key(first), log.data_key(second));
        let secret = hex::encode(log.data_key(first).secret.as_slice());
        assert!(!format!("{log:?}").contains(&secret));
        log.abandon_install();
        assert_eq!(log.listed().collect::<Vec<_>>(), [first]);
        assert!(log.begin_install().unwrap() > second);
    }
}
