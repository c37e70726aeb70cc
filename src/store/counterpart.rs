//! With whom a conversation is, and what one of its messages says, for who looks back.

use serde::Serialize;
use sqlx::{Row, query};

use super::columns::{account_id, jid};
use super::{Result, Store};
use crate::ids::{AccountId, ConversationId, Jid};

/// Who or what an account talks with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counterpart {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// Whose.
    pub account_id: AccountId,
    /// `direct`, `group`, `status`, `broadcast` or `newsletter`.
    pub kind: String,
    /// The other person's number, as an address.
    pub pn: Option<Jid>,
    /// The other person's hidden address.
    pub lid: Option<Jid>,
    /// The address of what is not a person.
    pub jid: Option<Jid>,
    /// The name that the other person shows.
    pub name: Option<String>,
    /// When the last message was committed, by the store's clock.
    pub last_message_at: i64,
}

impl Store {
    /// With whom a conversation is. One that was merged into another is that other one.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn counterpart(&self, id: &ConversationId) -> Result<Option<Counterpart>> {
        let row = query(
            "SELECT conv, account_id, kind, pn, lid, jid, name, last_message_at
             FROM conversations
             WHERE conv = COALESCE((SELECT merged_into FROM conversations WHERE conv = $1), $1)",
        )
        .bind(super::stored(id.as_str()))
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| {
            Ok(Counterpart {
                conversation_id: ConversationId(row.try_get("conv")?),
                account_id: account_id(&row, "conversations")?,
                kind: row.try_get("kind")?,
                pn: jid(&row, "pn")?,
                lid: jid(&row, "lid")?,
                jid: jid(&row, "jid")?,
                name: row.try_get("name")?,
                last_message_at: row.try_get("last_message_at")?,
            })
        })
        .transpose()
    }

    /// What the message `key` of `account` says: [`crate::inbound::message::Content`] as JSON. None:
    /// there is no such message, or its retention is over.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn message_content(&self, account: &AccountId, key: &str) -> Result<Option<String>> {
        Ok(
            sqlx::query_scalar("SELECT content FROM messages WHERE account_id = $1 AND key = $2")
                .bind(account.as_str())
                .bind(super::stored(key))
                .fetch_optional(&self.readers)
                .await?,
        )
    }
}
