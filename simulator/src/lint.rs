//! What clients do wrong without anybody complaining.
//!
//! The lint watches the traffic of real clients (not of simulated phones) and writes down what a
//! lenient server would let pass. A scenario ends by asserting that there is nothing written.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use wacore::libsignal::protocol::{PreKeySignalMessage, SenderKeyMessage, SignalMessage};

use crate::server::directory::{AccountIndex, DeviceAddress};
use crate::server::mailbox::Chat;

/// One thing a client did wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "violation", rename_all = "snake_case")]
pub enum Violation {
    /// A message was not encrypted for a device that the sender had been told about.
    MissedDevice {
        /// The message.
        message_id: String,
        /// The number of the device within the account that was to get it.
        device: u16,
    },
    /// A message id was used again for another conversation.
    ReusedMessageId {
        /// The id.
        message_id: String,
    },
    /// Two different ciphertexts used one position of one chain: keystream reuse.
    ReusedCounter {
        /// The later of the two messages.
        message_id: String,
        /// The position in the chain.
        counter: u32,
    },
    /// A companion opened a session without proving that it belongs to its account.
    PreKeyWithoutIdentity {
        /// The message.
        message_id: String,
    },
    /// A ciphertext that is none.
    MalformedCiphertext {
        /// The message.
        message_id: String,
    },
    /// A receipt or an ack for a stanza that the device never got.
    UnknownConfirmation {
        /// `message`, `receipt` or `notification`.
        class: String,
        /// The id it names.
        id: String,
    },
    /// A delivery receipt for a message that the receipt check does not find committed.
    ReceiptBeforeCommit {
        /// The message.
        message_id: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissedDevice { message_id, device } => {
                write!(f, "message {message_id} missed device {device}")
            }
            Self::ReusedMessageId { message_id } => {
                write!(
                    f,
                    "message id {message_id} was reused for another conversation"
                )
            }
            Self::ReusedCounter {
                message_id,
                counter,
            } => write!(
                f,
                "message {message_id} reused counter {counter} of its chain"
            ),
            Self::PreKeyWithoutIdentity { message_id } => {
                write!(
                    f,
                    "message {message_id} opens a session without device-identity"
                )
            }
            Self::MalformedCiphertext { message_id } => {
                write!(f, "message {message_id} carries a malformed ciphertext")
            }
            Self::UnknownConfirmation { class, id } => {
                write!(f, "confirmation of unknown {class} {id}")
            }
            Self::ReceiptBeforeCommit { message_id } => {
                write!(
                    f,
                    "message {message_id} was receipted before it was committed"
                )
            }
        }
    }
}

/// The answer of a receipt check.
pub type Committed = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Asks the worker's store whether a message is committed: phone number of the account (digits),
/// message id.
pub type ReceiptCheck = Arc<dyn Fn(String, String) -> Committed + Send + Sync>;

/// Where a ciphertext sits: sender, its audience, chain, position.
type Position = (DeviceAddress, Audience, Vec<u8>, u32);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Audience {
    Device(DeviceAddress),
    Group(String),
}

#[derive(Default)]
struct Notes {
    violations: Vec<Violation>,
    chats_of_ids: HashMap<(AccountIndex, String), Chat>,
    positions: HashMap<Position, u64>,
    told: HashMap<DeviceAddress, HashSet<DeviceAddress>>,
    receipt_check: Option<ReceiptCheck>,
}

/// The lint.
#[derive(Default)]
pub(crate) struct Lint {
    notes: Mutex<Notes>,
}

impl Lint {
    /// What was found so far.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    /// Sets the check that every delivery receipt has to pass.
    pub(crate) fn check_receipts(&self, check: ReceiptCheck) {
        self.lock().receipt_check = Some(check);
    }

    /// The check to run for a delivery receipt.
    pub(crate) fn receipt_check(&self) -> Option<ReceiptCheck> {
        self.lock().receipt_check.clone()
    }

    /// Writes down a violation.
    pub(crate) fn note(&self, violation: Violation) {
        tracing::warn!(%violation, "protocol lint");
        self.lock().violations.push(violation);
    }

    /// The server told `reader` about `devices`: from now on it has to write to them.
    pub(crate) fn tell(
        &self,
        reader: DeviceAddress,
        devices: impl IntoIterator<Item = DeviceAddress>,
    ) {
        self.lock().told.entry(reader).or_default().extend(devices);
    }

    /// The devices that the server told about any device of `account`.
    pub(crate) fn readers_about(&self, account: AccountIndex) -> Vec<DeviceAddress> {
        let notes = self.lock();
        let told = notes.told.iter();
        told.filter(|(_, devices)| devices.iter().any(|device| device.account == account))
            .map(|(reader, _)| *reader)
            .collect()
    }

    /// Checks the audience of a fan-out: `expected` are all devices that should get it now.
    pub(crate) fn fan_out(
        &self,
        sender: DeviceAddress,
        message_id: &str,
        expected: impl IntoIterator<Item = DeviceAddress>,
        reached: &HashSet<DeviceAddress>,
    ) {
        let notes = self.lock();
        let told = notes.told.get(&sender);
        let missed: Vec<_> = expected
            .into_iter()
            .filter(|device| *device != sender && !reached.contains(device))
            .filter(|device| told.is_some_and(|told| told.contains(device)))
            .collect();
        drop(notes);
        for device in missed {
            self.note(Violation::MissedDevice {
                message_id: message_id.to_owned(),
                device: device.device,
            });
        }
    }

    /// Checks that an id stays with its conversation.
    pub(crate) fn message_id(&self, sender: DeviceAddress, id: &str, chat: &Chat) {
        let mut notes = self.lock();
        let first = notes
            .chats_of_ids
            .entry((sender.account, id.to_owned()))
            .or_insert_with(|| chat.clone());
        let reused = first != chat;
        drop(notes);
        if reused {
            self.note(Violation::ReusedMessageId {
                message_id: id.to_owned(),
            });
        }
    }

    /// Checks a pairwise ciphertext.
    pub(crate) fn pairwise(
        &self,
        sender: DeviceAddress,
        to: DeviceAddress,
        message_id: &str,
        kind: &str,
        ciphertext: &[u8],
    ) {
        let parsed = match kind {
            "pkmsg" => {
                PreKeySignalMessage::try_from(ciphertext).map(|message| chain_of(message.message()))
            }
            _ => SignalMessage::try_from(ciphertext).map(|message| chain_of(&message)),
        };
        self.position(
            sender,
            Audience::Device(to),
            message_id,
            parsed.ok(),
            ciphertext,
        );
    }

    /// Checks a group ciphertext.
    pub(crate) fn sender_key(
        &self,
        sender: DeviceAddress,
        group: &str,
        message_id: &str,
        ciphertext: &[u8],
    ) {
        let parsed = SenderKeyMessage::try_from(ciphertext).map(|message| {
            (
                message.chain_id().to_be_bytes().to_vec(),
                message.iteration(),
            )
        });
        let audience = Audience::Group(group.to_owned());
        self.position(sender, audience, message_id, parsed.ok(), ciphertext);
    }

    fn position(
        &self,
        sender: DeviceAddress,
        audience: Audience,
        message_id: &str,
        parsed: Option<(Vec<u8>, u32)>,
        ciphertext: &[u8],
    ) {
        let Some((chain, counter)) = parsed else {
            return self.note(Violation::MalformedCiphertext {
                message_id: message_id.to_owned(),
            });
        };
        let fingerprint = fingerprint(ciphertext);
        let position = (sender, audience, chain, counter);
        let earlier = self.lock().positions.insert(position, fingerprint);
        if earlier.is_some_and(|earlier| earlier != fingerprint) {
            self.note(Violation::ReusedCounter {
                message_id: message_id.to_owned(),
                counter,
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn chain_of(message: &SignalMessage) -> (Vec<u8>, u32) {
    let chain = message.sender_ratchet_key().public_key_bytes().to_vec();
    (chain, message.counter())
}

fn fingerprint(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
