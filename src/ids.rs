//! A type for each identifier, parsed once at the edge, so that no two can be mixed up and none that
//! belongs to a person can be printed by accident.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an identifier of the wanted kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// Account ids name files and rows, so their alphabet is small.
    #[error(
        "account id {0:?} is not valid: use 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.', starting with a letter or digit"
    )]
    Account(String),
    /// Worker ids appear in logs and in the lease table.
    #[error("worker id {0:?} is not valid: use 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.'")]
    Worker(String),
    /// An upload is named by the answer that began it.
    #[error("not an upload id (upl_…)")]
    Upload,
}

fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A number we operate. Not its JID: the account outlives a change of number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

impl AccountId {
    /// The id as it stands in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AccountId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        if is_plain(&text) && text.as_bytes()[0].is_ascii_alphanumeric() {
            Ok(Self(text))
        } else {
            Err(IdError::Account(text))
        }
    }
}

impl std::str::FromStr for AccountId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::try_from(text.to_owned())
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A process that bids for leases: its configured worker id and an incarnation made at its start, so
/// that a restarted worker is never taken for its dead predecessor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerId(String);

impl OwnerId {
    /// A new incarnation of `worker`.
    pub fn incarnate(worker: &str) -> Result<Self, IdError> {
        if !is_plain(worker) {
            return Err(IdError::Worker(worker.to_owned()));
        }
        let incarnation = Uuid::new_v4().simple().to_string();
        Ok(Self(format!("{worker}#{}", &incarnation[..8])))
    }

    /// An owner as read from the store.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// `worker#incarnation`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` means this process: its worker id, which a restart keeps, or the whole owner.
    pub fn is_called(&self, name: &str) -> bool {
        let worker = self.0.rsplit_once('#').map(|(worker, _)| worker);
        self.0 == name || worker == Some(name)
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts the acquisitions of one account's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The random half of a fence: an epoch that was rewound by a failover of the store is told apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// 122 random bits.
    pub fn random() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    /// The token as it stands in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A WhatsApp address, e.g. `4915…@s.whatsapp.net`, `…@lid`, `…@g.us`, without a device part unless
/// said. `Display` and `Debug` mask the user part; [`Jid::as_str`] gives the whole, for the store,
/// the queue and the wire, never for a log.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Jid(String);

impl Jid {
    /// Takes an address as the session layer spells it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole address. Personal data: not for logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before `@`, without agent and device.
    pub fn user(&self) -> &str {
        let user = self.0.split('@').next().unwrap_or_default();
        let user = user.split(':').next().unwrap_or_default();
        user.split('_').next().unwrap_or_default()
    }

    /// The part behind `@`.
    pub fn server(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, server)| server)
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", mask(self.user()), self.server())
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jid({self})")
    }
}

/// A phone number in digits, with its country code and without `+`. Printed masked.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// Accepts `+49 151 234-567`, `(…)` and dots; wants 7 to 15 digits (E.164).
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| matches!(c, '+' | ' ' | '-' | '(' | ')' | '.');
        if !text.chars().all(|c| c.is_ascii_digit() || plain(c)) {
            return None;
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        (7..=15).contains(&digits.len()).then_some(Self(digits))
    }

    /// The digits. Personal data: not for logs.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({self})")
    }
}

/// Keeps the last two characters: enough to tell two lines of a log apart, too little to call.
pub fn mask(user: &str) -> String {
    let tail: String = user
        .char_indices()
        .rev()
        .take(2)
        .map(|(_, c)| c)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    if user.chars().count() <= 4 {
        return "…".to_owned();
    }
    format!("…{tail}")
}

/// A conversation of one account: the lane its jobs queue in.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct ConversationId(pub String);

impl ConversationId {
    /// A fresh, time-ordered id.
    pub fn new() -> Self {
        Self(format!("conv_{}", Uuid::now_v7().simple()))
    }

    /// The id as it stands in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ConversationId {
    fn default() -> Self {
        Self::new()
    }
}

/// A piece of agent work.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct JobId(pub String);

impl JobId {
    /// A fresh, time-ordered id.
    pub fn new() -> Self {
        Self(format!("job_{}", Uuid::now_v7().simple()))
    }

    /// The id as it stands in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a claim of a job is proven by: whoever finishes the job must name it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimToken(pub String);

impl ClaimToken {
    /// 122 random bits.
    pub fn random() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    /// The token as it stands in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimToken(…)")
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

/// A file in the store that waits to be sent.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct UploadId(String);

impl UploadId {
    /// A fresh, time-ordered id.
    #[expect(
        clippy::new_without_default,
        reason = "each call makes another one: no value is the default"
    )]
    pub fn new() -> Self {
        Self(format!("upl_{}", Uuid::now_v7().simple()))
    }

    /// The id as it stands in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UploadId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        let id = text.strip_prefix("upl_").ok_or(IdError::Upload)?;
        Uuid::try_parse(id).map_err(|_| IdError::Upload)?;
        Ok(Self(text))
    }
}

impl std::str::FromStr for UploadId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::try_from(text.to_owned())
    }
}

impl From<UploadId> for String {
    fn from(id: UploadId) -> Self {
        id.0
    }
}

/// A message in the outbox.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct OutboxId(pub String);

impl OutboxId {
    /// A fresh, time-ordered id.
    pub fn new() -> Self {
        Self(format!("out_{}", Uuid::now_v7().simple()))
    }

    /// The id as it stands in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for OutboxId {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
