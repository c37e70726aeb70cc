//! The caller's record of received messages, as far as this crate needs it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use auth_format::Masked;

/// Names one received message, as the library writes its parts. `Debug` masks
/// the JIDs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InboundId<'a> {
    /// JID of the chat.
    pub chat: &'a str,
    /// JID of the sending device.
    pub sender: &'a str,
    /// Stanza id, unique within chat and sender.
    pub id: &'a str,
}

impl fmt::Debug for InboundId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chat, sender, id } = self;
        write!(f, "{id} in {} from {}", Masked(chat), Masked(sender))
    }
}

/// What became of a message that was decrypted and never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is durably recorded as missing and is being asked for: do not acknowledge it yet.
    Requested,
    /// It was asked for long enough and is recorded as lost: acknowledge it.
    GivenUp,
}

/// The caller could not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct LedgerError(#[source] pub Arc<dyn Error + Send + Sync>);

/// Tells a message that was stored from one that was lost between being
/// decrypted and being stored.
///
/// Called while the library holds one of its permits: neither method may wait
/// for the connection. Ask for a lost message again from a task of its own.
#[async_trait]
pub trait InboundLedger: Send + Sync + 'static {
    /// Whether the message is committed, with whatever result.
    async fn committed(&self, message: InboundId<'_>) -> Result<bool, LedgerError>;

    /// Records durably that the message was decrypted and is in no store.
    /// Called again for each redelivery.
    async fn missing(&self, message: InboundId<'_>) -> Result<Missing, LedgerError>;
}
