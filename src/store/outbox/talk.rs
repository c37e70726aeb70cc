//! What was said in a conversation, both ways, in one order: what an agent reads before it answers.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Row, query};

use super::row::odd;
use crate::ids::{ConversationId, OutboxId};
use crate::inbound::message::Party;
use crate::outbound::delivery::{Evidence, Status};
use crate::store::columns::party;
use crate::store::{Result, Store};

/// A place in a conversation. Printed and parsed, it is `AT.SENT.ID`: opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    at: i64,
    /// Tells messages of one commit apart.
    sent: i64,
    id: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.sent, self.id)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '.');
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        match (number(), number()) {
            (Some(at), Some(sent)) => Ok(Self {
                at,
                sent,
                id: parts.next().unwrap_or_default().to_owned(),
            }),
            _ => Err("not a place in a conversation"),
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// When the store had it, by its clock.
    pub at: i64,
    /// WhatsApp's id.
    pub channel_message_id: String,
    /// Who said it.
    #[serde(flatten)]
    pub by: Talk,
    /// What it says, as JSON: [`crate::inbound::message::Content`] or [`crate::outbound::message::Draft`].
    #[schema(value_type = Option<Object>)]
    pub content: Value,
    /// Where this message stands in the conversation: ask for what is before it.
    #[serde(serialize_with = "printed")]
    #[schema(value_type = String)]
    pub cursor: Cursor,
}

/// Which way a message went.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "direction", rename_all = "camelCase")]
pub enum Talk {
    /// It came in, or was written by our own account elsewhere.
    #[serde(rename_all = "camelCase")]
    In {
        /// Its key in the inbox, by which its media are got.
        key: String,
        /// Who wrote it.
        sender: Party,
        /// Our own account wrote it, on the phone or another device.
        from_me: bool,
        /// The name that the sender shows.
        push_name: Option<String>,
        /// When it was sent, Unix milliseconds by WhatsApp's server.
        sent_at: i64,
        /// [`crate::inbound::message::Context`] as JSON.
        #[schema(value_type = Option<Object>)]
        context: Value,
    },
    /// It went out, or waits to.
    #[serde(rename_all = "camelCase")]
    Out {
        /// Its id in the outbox.
        outbox_id: OutboxId,
        /// Where it stands.
        status: Status,
        /// How far it has come.
        delivery: Option<Evidence>,
    },
}

fn printed<S: serde::Serializer>(
    cursor: &Cursor,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(cursor)
}

impl Store {
    /// The newest `limit` messages of a conversation, before `before` if it is given; newest first.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn conversation_messages(
        &self,
        conv: &ConversationId,
        before: Option<&Cursor>,
        limit: i64,
    ) -> Result<Vec<Turn>> {
        let before = before.cloned().unwrap_or(Cursor {
            at: i64::MAX,
            sent: i64::MAX,
            id: String::new(),
        });
        let came = "SELECT key, message_id, sender_pn, sender_lid, from_me, push_name, sent_at, content,
                      context, committed_at FROM messages
                    WHERE conv = $1 AND committed_at <= $2 AND (committed_at, sent_at, key) < ($2, $3, $4)
                    ORDER BY committed_at DESC, sent_at DESC, key DESC LIMIT $5";
        let went = "SELECT outbox_id, message_id, status, delivery, content, created_at FROM outbox
                    WHERE conv = $1 AND created_at <= $2
                      AND (created_at, created_at, outbox_id) < ($2, $3, $4) AND content IS NOT NULL
                    ORDER BY created_at DESC, outbox_id DESC LIMIT $5";
        let mut turns = Vec::new();
        for (text, read) in [
            (came, read_in as fn(&AnyRow) -> Result<Turn>),
            (went, read_out),
        ] {
            let rows = query(text)
                .bind(conv.as_str())
                .bind(before.at)
                .bind(before.sent)
                .bind(before.id.as_str())
                .bind(limit)
                .fetch_all(&self.readers)
                .await?;
            for row in &rows {
                turns.push(read(row)?);
            }
        }
        turns.sort_by(|a, b| b.cursor.cmp(&a.cursor));
        turns.truncate(usize::try_from(limit).unwrap_or(0));
        Ok(turns)
    }
}

fn json(row: &AnyRow, column: &str) -> Result<Value> {
    let text: String = row.try_get(column)?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

fn read_in(row: &AnyRow) -> Result<Turn> {
    let (at, sent_at) = (row.try_get("committed_at")?, row.try_get("sent_at")?);
    let key: String = row.try_get("key")?;
    Ok(Turn {
        at,
        channel_message_id: row.try_get("message_id")?,
        content: json(row, "content")?,
        cursor: Cursor {
            at,
            sent: sent_at,
            id: key.clone(),
        },
        by: Talk::In {
            key,
            sender: party(row, "sender_pn", "sender_lid")?,
            from_me: row.try_get::<i64, _>("from_me")? == 1,
            push_name: row.try_get("push_name")?,
            sent_at,
            context: json(row, "context")?,
        },
    })
}

fn read_out(row: &AnyRow) -> Result<Turn> {
    let id: String = row.try_get("outbox_id")?;
    let at = row.try_get("created_at")?;
    let delivery: Option<String> = row.try_get("delivery")?;
    Ok(Turn {
        at,
        channel_message_id: row.try_get("message_id")?,
        content: json(row, "content")?,
        cursor: Cursor {
            at,
            sent: at,
            id: id.clone(),
        },
        by: Talk::Out {
            outbox_id: OutboxId(id),
            status: row.try_get::<&str, _>("status")?.parse().map_err(odd)?,
            delivery: delivery.map(|text| text.parse()).transpose().map_err(odd)?,
        },
    })
}
