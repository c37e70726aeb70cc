//! Reads from serialised Signal records how far their chains have moved.
//!
//! Only positions are decoded; the key material in the records is skipped.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::stanza::{Step, bare_key};

#[derive(Clone, PartialEq, Message)]
struct SessionRecord {
    #[prost(message, optional, tag = "1")]
    current: Option<Session>,
    #[prost(message, repeated, tag = "2")]
    previous: Vec<Session>,
}

#[derive(Clone, PartialEq, Message)]
struct Session {
    #[prost(message, repeated, tag = "7")]
    receiver_chains: Vec<Chain>,
}

#[derive(Clone, PartialEq, Message)]
struct Chain {
    #[prost(bytes = "vec", tag = "1")]
    ratchet_key: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    chain_key: Option<Position>,
    #[prost(message, repeated, tag = "4")]
    skipped: Vec<Position>,
}

/// A chain key's or message key's index; both have it as field 1.
#[derive(Clone, PartialEq, Message)]
struct Position {
    #[prost(uint32, tag = "1")]
    index: u32,
}

#[derive(Clone, PartialEq, Message)]
struct SenderKeyRecord {
    #[prost(message, repeated, tag = "1")]
    states: Vec<SenderKeyState>,
}

#[derive(Clone, PartialEq, Message)]
struct SenderKeyState {
    #[prost(uint32, tag = "1")]
    chain: u32,
    #[prost(message, optional, tag = "2")]
    chain_key: Option<Position>,
    #[prost(message, repeated, tag = "4")]
    skipped: Vec<Position>,
}

const _: () = {
    use waproto::tags;
    assert!(tags::record_structure::CURRENT_SESSION == 1);
    assert!(tags::record_structure::PREVIOUS_SESSIONS == 2);
    assert!(tags::session_structure::RECEIVER_CHAINS == 7);
    assert!(tags::session_structure::chain::SENDER_RATCHET_KEY == 1);
    assert!(tags::session_structure::chain::CHAIN_KEY == 3);
    assert!(tags::session_structure::chain::MESSAGE_KEYS == 4);
    assert!(tags::session_structure::chain::chain_key::INDEX == 1);
    assert!(tags::session_structure::chain::message_key::INDEX == 1);
    assert!(tags::sender_key_record_structure::SENDER_KEY_STATES == 1);
    assert!(tags::sender_key_state_structure::SENDER_KEY_ID == 1);
    assert!(tags::sender_key_state_structure::SENDER_CHAIN_KEY == 2);
    assert!(tags::sender_key_state_structure::SENDER_MESSAGE_KEYS == 4);
    assert!(tags::sender_key_state_structure::sender_chain_key::ITERATION == 1);
    assert!(tags::sender_key_state_structure::sender_message_key::ITERATION == 1);
};

/// How far the chains in a set of records have moved.
#[derive(Debug, Default)]
pub(crate) struct SnapshotPositions {
    sessions: HashMap<[u8; 32], Vec<Reached>>,
    sender_keys: HashMap<u32, Vec<Reached>>,
}

/// The next index of a chain and the earlier ones that are still unused.
#[derive(Debug)]
struct Reached {
    next: u32,
    skipped: HashSet<u32>,
}

impl Reached {
    fn has_used(&self, index: u32) -> bool {
        index < self.next && !self.skipped.contains(&index)
    }
}

impl SnapshotPositions {
    /// Adds a session record. One that does not decode has no chains.
    pub(crate) fn add_session(&mut self, record: &[u8]) {
        let Ok(record) = SessionRecord::decode(record) else {
            return;
        };
        for session in record.current.into_iter().chain(record.previous) {
            for chain in session.receiver_chains {
                if let (Some(key), Some(next)) = (bare_key(&chain.ratchet_key), chain.chain_key) {
                    self.add_session_chain(key, next.index, chain.skipped.iter().map(|s| s.index));
                }
            }
        }
    }

    pub(super) fn add_session_chain(
        &mut self,
        ratchet_key: [u8; 32],
        next: u32,
        skipped: impl IntoIterator<Item = u32>,
    ) {
        self.sessions.entry(ratchet_key).or_default().push(Reached {
            next,
            skipped: skipped.into_iter().collect(),
        });
    }

    /// Adds a sender key record. One that does not decode has no chains.
    pub(crate) fn add_sender_key(&mut self, record: &[u8]) {
        let Ok(record) = SenderKeyRecord::decode(record) else {
            return;
        };
        for state in record.states {
            let Some(next) = state.chain_key else {
                continue;
            };
            self.sender_keys
                .entry(state.chain)
                .or_default()
                .push(Reached {
                    next: next.index,
                    skipped: state.skipped.iter().map(|s| s.index).collect(),
                });
        }
    }

    /// Whether the records were serialised after this step was taken.
    pub(super) fn contains(&self, step: &Step) -> bool {
        let (chains, index) = match step {
            Step::Session {
                ratchet_key,
                counter,
            } => (self.sessions.get(ratchet_key), *counter),
            Step::SenderKey { chain, iteration } => (self.sender_keys.get(chain), *iteration),
        };
        chains.is_some_and(|chains| chains.iter().any(|chain| chain.has_used(index)))
    }
}
