//! Sent messages, kept for retry receipts.
//!
//! A value is the time of sending (unix seconds, 8 bytes), then the message.

use bytes::Bytes;

use super::due::DueFamily;
use crate::reading::Decoded;
use crate::record::RecordError;
use crate::record_name::Family;
use crate::writer::Changes;
use crate::{AuthStore, clock};

type Result<T> = std::result::Result<T, RecordError>;

const DUE: DueFamily = DueFamily {
    records: Family::SentMessage,
    entries: Family::SentMessageDue,
};
const TIME_LEN: usize = 8;

impl AuthStore {
    pub(super) async fn put_sent_message(
        &self,
        chat: &str,
        id: &str,
        message: &[u8],
    ) -> Result<()> {
        let now = clock::unix_seconds();
        let mut value = Vec::with_capacity(TIME_LEN + message.len());
        value.extend_from_slice(&now.to_be_bytes());
        value.extend_from_slice(message);
        let name = Family::SentMessage.record([chat, id]);
        let mut changes = Changes::default();
        changes.put(DUE.entry(now, &name), Bytes::new());
        changes.put(name, value);
        self.write(changes).await
    }

    /// Of two callers that take the same message, one gets it.
    pub(super) async fn take_sent(&self, chat: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let name = Family::SentMessage.record([chat, id]);
        let _update = self.updates.sent.lock().await;
        let Some((_, message)) = self.read_as(&name, split).await? else {
            return Ok(None);
        };
        self.remove(name).await?;
        Ok(Some(message.into()))
    }

    pub(super) async fn expire_sent_messages(&self, cutoff: i64) -> Result<u32> {
        let _update = self.updates.sent.lock().await;
        self.sweep(DUE, cutoff, split, |(sent_at, _)| *sent_at < cutoff)
            .await
    }
}

fn split(value: &Bytes) -> Decoded<(i64, Bytes)> {
    value
        .split_first_chunk::<TIME_LEN>()
        .map(|(time, _)| (i64::from_be_bytes(*time), value.slice(TIME_LEN..)))
        .ok_or_else(|| "it is too short".to_owned())
}
