//! What a medium keeps: opaque, already sealed values under textual keys.
//!
//! A medium promises three things and knows nothing of WhatsApp: a batch is
//! applied whole or not at all, a writer that has been overtaken is told
//! [`RecordError::Fenced`] and leaves no trace, and damage is an error, never
//! an absent record.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use auth_format::Masked;
use bytes::Bytes;

use crate::head::Head;

/// Name of one record, for example `g1/session/<address>`.
///
/// Keys are ordered by their bytes. They may hold phone numbers, so `Display`
/// and `Debug` mask every longer run of digits; [`as_str`](Self::as_str) does
/// not.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey(Arc<str>);

impl RecordKey {
    /// Takes a complete key.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self(key.into())
    }

    /// The key as the medium stores it, unmasked: not for logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Masked(&self.0).fmt(f)
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({self})")
    }
}

/// Changes that become durable together. A key occurs at most once in it.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    /// Values to insert or replace.
    pub puts: Vec<(RecordKey, Bytes)>,
    /// Keys to remove; one that does not exist is no error.
    pub deletes: Vec<RecordKey>,
    /// The count of writes goes to the time in unix milliseconds at least, which
    /// no state reaches by writing: every other copy is an older one from now on,
    /// whatever it went through, and even if it overtook others before.
    pub overtakes: bool,
}

impl Batch {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty() && !self.overtakes
    }
}

/// A place that keeps the records of one account.
///
/// Every method may be cancelled: a cancelled read did nothing, and of a
/// cancelled [`apply`](Self::apply) either everything or nothing is durable.
#[async_trait]
pub trait RecordStore: Send + Sync + 'static {
    /// Reads one record; `None` means that it is known not to exist.
    async fn load(&self, key: &RecordKey) -> Result<Option<Bytes>, RecordError>;

    /// Reads the records that exist among `keys`, in any order.
    async fn load_many(&self, keys: &[RecordKey]) -> Result<Vec<(RecordKey, Bytes)>, RecordError>;

    /// Reads every record whose key starts with `prefix`, in key order.
    async fn load_prefix(&self, prefix: &str) -> Result<Vec<(RecordKey, Bytes)>, RecordError>;

    /// Lists at most `limit` keys in `from..before`, in key order.
    async fn keys(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> Result<Vec<RecordKey>, RecordError>;

    /// Reads at most `limit` records after `after`, in key order; fewer mean
    /// that there are no more.
    async fn page(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Bytes)>, RecordError>;

    /// Counts the records whose key starts with `prefix`.
    async fn count(&self, prefix: &str) -> Result<u64, RecordError>;

    /// Makes the whole batch durable in one transaction, or nothing of it. The
    /// transaction raises [`Head::writes`] by one and brings the rest of the
    /// head along.
    async fn apply(&self, batch: &Batch) -> Result<(), RecordError>;

    /// What the medium knows of itself; `None` if nothing was ever kept here
    /// for this account.
    async fn head(&self) -> Result<Option<Head>, RecordError>;

    /// Notes in the head that every record opened just now. Not fenced: it says
    /// nothing that an owner relies on. Is no write: [`Head::writes`] stays.
    async fn stamp_verified(&self) -> Result<(), RecordError>;

    /// Looks whether the medium's own structure is sound. Asked once before
    /// anything is repaired; may take long.
    async fn examine(&self) -> Result<(), RecordError>;

    /// Where this is, for people: `file …/auth.db`.
    fn place(&self) -> String;

    /// Whether opening the medium compared its keys with [`Head::keys`].
    /// Otherwise [`AuthStore::open`](crate::AuthStore::open) does it, in the
    /// background.
    fn checks_itself(&self) -> bool;
}

/// Why a record could not be read or written. Each variant is a decision.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// A newer owner holds this state. Terminal: stop using it.
    #[error("fenced: the auth state belongs to epoch {stored}, this process holds {ours}")]
    Fenced {
        /// Epoch of the caller.
        ours: i64,
        /// Epoch found in the medium.
        stored: i64,
    },
    /// This record exists and cannot be used. Never treat it as absent.
    #[error("auth record {key} is damaged: {damage}")]
    Corrupt {
        /// The record.
        key: RecordKey,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The medium itself is damaged. Restore it, or link again.
    #[error("the auth state in {place} is damaged: {detail}")]
    Damaged {
        /// The medium's [`place`](RecordStore::place).
        place: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The medium was opened to look at it only.
    #[error("the auth state was opened for looking only")]
    ReadOnly,
    /// The medium did not answer; the same call may succeed later.
    #[error("auth medium unavailable: {0}")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// Writing is not allowed at the moment (the caller's `may_write`).
    #[error("writing to the auth state is not allowed past the trust deadline")]
    NotTrusted,
    /// The store was poisoned, retired or closed: nothing is written any more.
    #[error("the auth store takes no more writes: {0}")]
    Stopped(crate::Poison),
    /// A message inside these ratchet states is not yet safe; write them again later.
    #[error("signal state is ahead of {0} received message(s) that are not stored yet; retry")]
    AheadOfMessages(usize),
    /// The inbound ledger could not be asked.
    #[error("inbound ledger: {0}")]
    Ledger(#[from] crate::LedgerError),
    /// The message was decrypted before and is in no store; it was asked for again.
    #[error("message was lost before it was stored; asked for it again")]
    MessageMissing,
}

impl RecordError {
    /// Whether repeating the same call may succeed without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    pub(crate) fn value(key: &RecordKey, error: impl fmt::Display) -> Self {
        Self::Corrupt {
            key: key.clone(),
            damage: Damage::Value(error.to_string()),
        }
    }
}

/// What is wrong with a record that exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The envelope does not decode.
    #[error("its envelope does not decode")]
    Envelope,
    /// It was written by a newer release.
    #[error("its version {0} is unknown to this release")]
    Version(u32),
    /// It was sealed under another key.
    #[error("it was sealed with key {found}, where key {ours} belongs")]
    KeyId {
        /// Key id in the record, in hex.
        found: String,
        /// Id of the key that should have sealed it, in hex.
        ours: String,
    },
    /// It belongs to another generation of the account's credentials.
    #[error("it belongs to generation {0}")]
    Generation(u64),
    /// It does not open: the ciphertext, its nonce or what it is bound to was changed.
    #[error("it does not open with its key")]
    Seal,
    /// It opens, but holds something else than it should.
    #[error("its value is not what it should be: {0}")]
    Value(String),
    /// Its name belongs to no generation of the account.
    #[error("it belongs to no generation of this account")]
    Unlisted,
    /// It must exist and does not.
    #[error("it is gone although the account has other records")]
    Gone,
}

/// The smallest key that is after every key with this prefix.
///
/// For media: keys with a prefix are the range `prefix..after_prefix(prefix)`.
///
/// # Panics
/// The prefix is empty, or ends in something else than an ASCII character.
pub fn after_prefix(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    let last = end.pop().expect("a prefix is not empty");
    end.push(char::from_u32(last as u32 + 1).expect("a prefix ends in an ASCII character"));
    end
}
