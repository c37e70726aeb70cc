//! Secrets of messages, for the reactions, votes and edits that refer to them.
//!
//! A value is the secret (32 bytes), the time it expires and the time of its
//! message (unix seconds, 8 bytes each; 0 is never and unknown).

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use wacore::store::error::Result;
use wacore::store::traits::{
    MessageSecret, MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry,
    merge_msg_secret_message_ts,
};

use super::due::DueFamily;
use crate::AuthStore;
use crate::reading::Decoded;
use crate::record_name::{Family, RecordName};
use crate::writer::Changes;

const DUE: DueFamily = DueFamily {
    records: Family::MessageSecret,
    entries: Family::MessageSecretDue,
};
const NEVER: i64 = 0;

struct Stored {
    secret: MessageSecret,
    expires_at: i64,
    message_at: i64,
}

impl Stored {
    fn encode(&self) -> Bytes {
        let mut value = Vec::with_capacity(48);
        value.extend_from_slice(&self.secret);
        value.extend_from_slice(&self.expires_at.to_be_bytes());
        value.extend_from_slice(&self.message_at.to_be_bytes());
        value.into()
    }

    fn decode(value: &Bytes) -> Decoded<Self> {
        Self::of(value).ok_or_else(|| "it has another size".to_owned())
    }

    fn of(value: &[u8]) -> Option<Self> {
        let (secret, rest) = value.split_first_chunk()?;
        let (expires_at, rest) = rest.split_first_chunk()?;
        Some(Self {
            secret: *secret,
            expires_at: i64::from_be_bytes(*expires_at),
            message_at: i64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

#[async_trait]
impl MsgSecretStore for AuthStore {
    async fn put_msg_secret(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
        secret: &MessageSecret,
    ) -> Result<()> {
        let entry = MsgSecretEntry {
            chat: chat.into(),
            sender: sender.into(),
            msg_id: msg_id.into(),
            secret: *secret,
            expires_at: NEVER,
            message_ts: 0,
        };
        self.put_msg_secrets(vec![entry]).await?;
        Ok(())
    }

    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let count = entries.len();
        let names: Vec<_> = entries
            .iter()
            .map(|entry| name(&entry.chat, &entry.sender, &entry.msg_id))
            .collect();
        let _update = self.updates.secrets.lock().await;
        let mut merged = HashMap::with_capacity(count);
        let earlier = self.read_many_as(&names, Stored::decode).await?;
        for (name, stored) in names.iter().zip(earlier) {
            if let Some(stored) = stored {
                merged.insert(name, stored);
            }
        }
        for (name, entry) in names.iter().zip(&entries) {
            let stored = match merged.get(name) {
                Some(earlier) => Stored {
                    secret: entry.secret,
                    expires_at: merge_msg_secret_expiry(earlier.expires_at, entry.expires_at),
                    message_at: merge_msg_secret_message_ts(earlier.message_at, entry.message_ts),
                },
                None => Stored {
                    secret: entry.secret,
                    expires_at: entry.expires_at,
                    message_at: entry.message_ts,
                },
            };
            merged.insert(name, stored);
        }
        let mut changes = Changes::default();
        for (name, stored) in merged {
            if stored.expires_at != NEVER {
                changes.put(DUE.entry(stored.expires_at, name), Bytes::new());
            }
            changes.put(name.clone(), stored.encode());
        }
        self.write(changes).await?;
        Ok(count)
    }

    async fn get_msg_secret(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
    ) -> Result<Option<Vec<u8>>> {
        let found = self.get_msg_secret_with_ts(chat, sender, msg_id).await?;
        Ok(found.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
    ) -> Result<Option<(Vec<u8>, i64)>> {
        let name = name(chat, sender, msg_id);
        let stored = self.read_as(&name, Stored::decode).await?;
        Ok(stored.map(|stored| (stored.secret.to_vec(), stored.message_at)))
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        let _update = self.updates.secrets.lock().await;
        let is_expired =
            |stored: &Stored| stored.expires_at != NEVER && stored.expires_at <= cutoff_timestamp;
        let before = cutoff_timestamp.saturating_add(1);
        let expired = self.sweep(DUE, before, Stored::decode, is_expired);
        Ok(expired.await?)
    }
}

fn name(chat: &str, sender: &str, id: &str) -> RecordName {
    Family::MessageSecret.record([chat, sender, id])
}
