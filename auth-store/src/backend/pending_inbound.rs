//! Rows of the inbound durability buffer, and the loss detector behind them.

use bytes::Bytes;

use crate::ledger::{InboundId, Missing};
use crate::pending_rows::{self, Found, row_name};
use crate::reading::Decoded;
use crate::record::RecordError;
use crate::writer::Changes;
use crate::{AuthStore, Poison, clock};

type Result<T> = std::result::Result<T, RecordError>;

/// How long a row is kept for a message that is never delivered again. The
/// server keeps undelivered messages for about 30 days.
const RETENTION_SECS: i64 = 35 * DAY_SECS;
/// What the library subtracts from the current time to get its cutoff.
const LIBRARY_RETENTION_SECS: i64 = 7 * DAY_SECS;
const DAY_SECS: i64 = 24 * 60 * 60;

impl AuthStore {
    /// Takes rows into memory, which settles their stanzas. They are written
    /// with the next Signal state; at once, if too much is waiting.
    pub(super) async fn store_rows<'a>(
        &self,
        rows: impl Iterator<Item = (InboundId<'a>, &'a [u8])> + Send,
    ) -> Result<()> {
        self.shared.refuse_if_poisoned()?;
        let now = clock::unix_seconds();
        let mut overflow = false;
        for (message, content) in rows {
            overflow |= self.shared.rows.store(row_name(message), content, now);
            self.gate.settle(message.sender, message.id);
        }
        if overflow {
            // From here on the library would let Signal state overtake these rows.
            self.flush()
                .await
                .inspect_err(|_| self.shared.stop(Poison::RowsOverflow))?;
        }
        Ok(())
    }

    /// The row of a message that was delivered again after it was decrypted.
    ///
    /// Without a row the message is either committed, and `None` lets the
    /// library acknowledge it, or it was lost, and an error keeps it
    /// unacknowledged while the ledger asks for it again.
    pub(super) async fn row(&self, message: InboundId<'_>) -> Result<Option<Vec<u8>>> {
        // Its ratchet step was there before it arrived: nothing to wait for.
        self.gate.settle(message.sender, message.id);
        let name = row_name(message);
        let row = match self.shared.rows.find(&name) {
            Found::InMemory(value) => split(&value).ok(),
            // A damaged row is dropped; then the ledger has the word.
            Found::OnMedium => self.read_as(&name, split).await?,
            Found::Nowhere => None,
        };
        if let Some((_, content)) = row {
            return Ok(Some(content.into()));
        }
        if self.ledger.committed(message).await? {
            return Ok(None);
        }
        match self.ledger.missing(message).await? {
            Missing::Requested => Err(RecordError::MessageMissing),
            Missing::GivenUp => Ok(None),
        }
    }

    pub(super) fn delete_rows<'a>(&self, messages: impl Iterator<Item = InboundId<'a>>) {
        for message in messages {
            self.shared.rows.delete(&row_name(message));
        }
    }

    /// `cutoff` is the library's, seven days ago; rows are kept for 35.
    pub(super) async fn expire_rows(&self, cutoff: i64) -> Result<u32> {
        let cutoff = cutoff.saturating_sub(RETENTION_SECS - LIBRARY_RETENTION_SECS);
        let mut expired = 0;
        for name in self.shared.rows.on_medium() {
            let stored_at = match self.shared.rows.stored_at(&name) {
                Some(stored_at) => stored_at,
                None => match self.read_as(&name, split).await? {
                    Some((stored_at, _)) => stored_at,
                    None => continue,
                },
            };
            if stored_at < cutoff {
                self.shared.rows.delete(&name);
                expired += 1;
            }
        }
        if expired > 0 {
            self.write(Changes::default().with_rows()).await?;
        }
        Ok(expired)
    }
}

fn split(value: &Bytes) -> Decoded<(i64, Bytes)> {
    pending_rows::decode(value).ok_or_else(|| "it is too short".to_owned())
}
