//! The people of the simulation: phones with real Signal state, and what they write.
//!
//! ```text
//!   Phone (device 0 of a person)
//!     ├── Endpoint      identity, pre-keys, sessions, sender keys: encrypts and decrypts
//!     ├── adv           vouches for companions: the account's signatures
//!     ├── pairing       reads a QR code, or answers an 8-character link code
//!     ├── peer          what the phone tells its own companion: key share, history
//!     └── Outbox        turns Content into a protobuf, remembers secrets for edits
//! ```
//!
//! Nothing here opens a socket or waits: every call is synchronous and works on its own state,
//! so that a server task can hold a phone behind a plain mutex. The server decides which devices
//! exist, fetches key bundles from its directory and wraps ciphertext into stanzas.
//!
//! Invariants:
//! - A peer is named by **one** JID for its whole life (its LID device JID), whatever addressing
//!   the stanza used; the caller maps. Two names would mean two ratchets.
//! - A one-time pre-key is handed out once and forgotten after its first use.
//! - Only the account key of a phone vouches for companions, and only what a companion signed in
//!   return ([`Phone::accept_companion`]) is handed to other people.
//!
//! Failures are [`PeopleError`]. Bad input (a QR text, ciphertext, a protobuf) never panics.

mod adv;
mod attachment;
mod content;
mod endpoint;
mod keyring;
mod kinds;
mod outbox;
mod pairing;
mod peer;
mod phone;
mod received;
mod sealed;

use wacore::libsignal::protocol::SignalProtocolError;

pub use adv::{KeyIndexList, Vouched};
pub use attachment::{Attachment, MediaKind, MediaReference};
pub use content::{Content, MessageRef};
pub use endpoint::Endpoint;
pub use outbox::{Composed, Letterhead};
pub use pairing::{LinkAttempt, QrCode};
pub use peer::HistoryKind;
pub use phone::Phone;
pub use received::{Kind, Received};
pub use sealed::{EncKind, GroupSealed, KeyBundle, OneTimeKey, Sealed, SignedKey};

/// Why a simulated person could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The text is no QR code of a companion; the field says which part.
    #[error("not a linking QR code: {0}")]
    BadQr(&'static str),
    /// The link code is not 8 characters of its alphabet, or the server handed on a damaged blob.
    #[error("not a link code exchange: {0}")]
    BadLinkCode(&'static str),
    /// The companion's key bundle did not open: the person typed another code than was shown.
    #[error("the link code is not the one the companion showed")]
    WrongLinkCode,
    /// A signature of a companion does not verify; it must not be handed to anybody.
    #[error("bad signature of a companion: {0}")]
    BadSignature(&'static str),
    /// No session with this device: establish one from its key bundle first.
    #[error("no session with a device")]
    NoSession,
    /// The same ciphertext was decrypted before: drop it, answer the usual receipt.
    #[error("ciphertext was decrypted before")]
    Duplicate,
    /// The ciphertext does not open: a real phone would ask for a retry.
    #[error("undecryptable message")]
    Undecryptable(#[source] SignalProtocolError),
    /// A key or a signature of a bundle is malformed: the device that published it is broken.
    #[error("bad key material")]
    BadKey(#[source] SignalProtocolError),
    /// The plaintext is not a message.
    #[error("plaintext is not a message: {0}")]
    BadMessage(String),
    /// An edit names a message this phone did not send (or sent too long ago).
    #[error("edit of a message this phone does not remember")]
    UnknownMessage,
    /// The media could not be sealed, stored, found or opened.
    #[error("media: {0}")]
    Media(String),
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulation has no clock module: these times only go into messages"
)]
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("the clock is after 1970").as_millis())
        .expect("milliseconds since 1970 fit 63 bits")
}

pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    bytes
}
