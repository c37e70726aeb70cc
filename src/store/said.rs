//! A message that was said earlier, by either side: what replies and reactions point at.

use serde_json::Value;
use sqlx::{Row, query};

use super::columns::party;
use super::{Result, Store, stored};
use crate::ids::{AccountId, ConversationId};
use crate::inbound::message::Party;
use crate::outbound::message::{Draft, Outgoing};

/// What is known of an earlier message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Our own account said it.
    pub from_me: bool,
    /// Who said it; nobody for what we sent ourselves.
    pub author: Party,
    /// Its text or caption.
    pub words: Option<String>,
}

impl Store {
    /// The options of the poll with this id that was sent from the outbox, if it is not erased.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn poll_options(
        &self,
        account: &AccountId,
        message_id: &str,
    ) -> Result<Option<Vec<String>>> {
        let poll: Option<String> = sqlx::query_scalar(
            "SELECT COALESCE(content, '') FROM outbox WHERE account_id = $1 AND message_id = $2",
        )
        .bind(account.as_str())
        .bind(stored(message_id))
        .fetch_optional(&self.readers)
        .await?;
        Ok(poll.and_then(|content| options(&content)))
    }

    /// The message with this id in this conversation, if it is known and not erased.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn said(
        &self,
        account: &AccountId,
        conv: &ConversationId,
        message_id: &str,
    ) -> Result<Option<Said>> {
        let came = "SELECT m.from_me, m.sender_pn, m.sender_lid, m.content FROM inbox i
             JOIN messages m ON m.account_id = i.account_id AND m.key = i.key
             WHERE i.account_id = $1 AND i.message_id = $2 AND m.conv = $3 LIMIT 1";
        let came = query(came)
            .bind(account.as_str())
            .bind(stored(message_id))
            .bind(conv.as_str())
            .fetch_optional(&self.readers)
            .await?;
        if let Some(row) = came {
            return Ok(Some(Said {
                from_me: row.try_get::<i64, _>("from_me")? == 1,
                author: party(&row, "sender_pn", "sender_lid")?,
                words: words(row.try_get("content")?),
            }));
        }
        let went: Option<String> = sqlx::query_scalar(
            "SELECT COALESCE(content, '') FROM outbox
             WHERE account_id = $1 AND message_id = $2 AND conv = $3",
        )
        .bind(account.as_str())
        .bind(stored(message_id))
        .bind(conv.as_str())
        .fetch_optional(&self.readers)
        .await?;
        Ok(went.map(|content| Said {
            from_me: true,
            author: Party::default(),
            words: words(&content),
        }))
    }
}

/// The options of a poll, which `content` may be.
fn options(content: &str) -> Option<Vec<String>> {
    match serde_json::from_str::<Draft>(content).ok()?.content {
        Outgoing::Poll { options, .. } => Some(options),
        _ => None,
    }
}

/// Of a received content, whose caption lies beside its media, or of a draft.
fn words(content: &str) -> Option<String> {
    let content: Value = serde_json::from_str(content).ok()?;
    let said = content.get("content").unwrap_or(&content);
    let places = [
        &said["body"],
        &said["caption"],
        &said["media"]["caption"],
        &said["question"],
        &said["content"]["body"],
    ];
    let words = places.into_iter().find_map(Value::as_str);
    words.map(str::to_owned)
}
