//! Messages that arrived and whose content we do not have.

use std::time::Duration;

use sqlx::{Row, query};

use super::connections::Tx;
use super::lease::millis;
use super::{Fence, Result, Store, stored};
use crate::ids::{AccountId, ConversationId};

/// How a message came to be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ledger {
    /// It was decrypted, and the process died before it was stored. Asked for again.
    Lost,
    /// It could not be decrypted so far; the library asks for it again by itself.
    Undecryptable,
}

impl Ledger {
    /// As in the store, and the kind of the job that tells of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Undecryptable => "undecryptable",
        }
    }
}

/// A message that is waited for. Addresses are as the session spells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingMessage {
    /// The chat's JID.
    pub chat: String,
    /// The sending device's JID.
    pub sender: String,
    /// The message's id.
    pub message_id: String,
    /// How it came to be missing.
    pub kind: Ledger,
    /// How often it was asked for.
    pub asked: i64,
    /// How long ago it was first missed.
    pub age: Duration,
}

impl Store {
    /// Whether this message has a dedupe row, whatever its result. `chat` and `sender` are JIDs in
    /// either form, with or without a device part.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn is_committed(
        &self,
        account: &AccountId,
        chat: &str,
        sender: &str,
        message_id: &str,
    ) -> Result<bool> {
        let found: i64 = sqlx::query_scalar(
            "SELECT CASE WHEN EXISTS(SELECT 1 FROM inbox WHERE account_id = $1 AND message_id = $2
               AND (chat_jid = $3 OR chat_pn = $3 OR chat_lid = $3)
               AND (sender_pn = $4 OR sender_lid = $4 OR (sender_pn IS NULL AND sender_lid IS NULL)))
             THEN 1 ELSE 0 END",
        )
        .bind(account.as_str())
        .bind(stored(message_id))
        .bind(stored(&without_device(chat)))
        .bind(stored(&without_device(sender)))
        .fetch_one(&self.readers)
        .await?;
        Ok(found == 1)
    }

    /// Notes that a message is missing and returns what is known of it. The first time, it is due
    /// after `wait`.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`], [`super::StoreError::Unavailable`].
    pub async fn note_missing(
        &self,
        fence: &Fence,
        chat: &str,
        sender: &str,
        message_id: &str,
        kind: Ledger,
        wait: Duration,
    ) -> Result<MissingNote> {
        let mut tx = self.begin_fenced(fence).await?;
        let note = Note {
            chat,
            sender,
            message_id,
            kind,
            due_in: wait,
            place: None,
        };
        note.insert(&mut tx, fence.account()).await?;
        let outcome: Option<String> = sqlx::query_scalar(
            "SELECT outcome FROM missing WHERE account_id = $1 AND chat = $2 AND sender = $3 AND message_id = $4",
        )
        .bind(fence.account().as_str())
        .bind(stored(chat))
        .bind(stored(sender))
        .bind(stored(message_id))
        .fetch_one(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(match outcome.as_deref() {
            Some(_) => MissingNote::Settled,
            None => MissingNote::Waiting,
        })
    }

    /// Messages whose time has come: to be asked for again, or given up.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn due_missing(
        &self,
        account: &AccountId,
        limit: i64,
    ) -> Result<Vec<MissingMessage>> {
        query(self.sql(
            "SELECT chat, sender, message_id, kind, asked, {NOW} - first_seen AS age FROM missing
             WHERE account_id = $1 AND outcome IS NULL AND due <= {NOW} ORDER BY due LIMIT $2",
        ))
        .bind(account.as_str())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?
        .iter()
        .map(|row| {
            Ok(MissingMessage {
                chat: row.try_get("chat")?,
                sender: row.try_get("sender")?,
                message_id: row.try_get("message_id")?,
                kind: match row.try_get::<&str, _>("kind")? {
                    "lost" => Ledger::Lost,
                    _ => Ledger::Undecryptable,
                },
                asked: row.try_get("asked")?,
                age: Duration::from_millis(
                    u64::try_from(row.try_get::<i64, _>("age")?).unwrap_or(0),
                ),
            })
        })
        .collect()
    }

    /// The message was asked for once more; it is due again after `wait`.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`], [`super::StoreError::Unavailable`].
    pub async fn asked_missing(
        &self,
        fence: &Fence,
        missing: &MissingMessage,
        wait: Duration,
    ) -> Result<()> {
        let mut tx = self.begin_fenced(fence).await?;
        query(self.sql(
            "UPDATE missing SET asked = asked + 1, due = {NOW} + $5
             WHERE account_id = $1 AND chat = $2 AND sender = $3 AND message_id = $4",
        ))
        .bind(fence.account().as_str())
        .bind(&missing.chat)
        .bind(&missing.sender)
        .bind(&missing.message_id)
        .bind(millis(wait))
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// A message that is missing from now on.
pub(super) struct Note<'a> {
    pub(super) chat: &'a str,
    pub(super) sender: &'a str,
    pub(super) message_id: &'a str,
    pub(super) kind: Ledger,
    /// When it is asked for.
    pub(super) due_in: Duration,
    pub(super) place: Option<Place<'a>>,
}

/// The place in its lane that is kept for a message.
pub(super) struct Place<'a> {
    pub(super) conversation: &'a ConversationId,
    pub(super) order: i64,
    pub(super) hold: Duration,
}

impl Note<'_> {
    /// Notes it, unless it was before.
    pub(super) async fn insert(&self, tx: &mut Tx, account: &AccountId) -> Result<()> {
        let insert = tx.sql(
            "INSERT INTO missing(account_id, chat, sender, message_id, kind, first_seen, due, conv, ord,
               held_until)
             VALUES($1, $2, $3, $4, $5, {NOW}, {NOW} + $6, $7, $8, {NOW} + $9)
             ON CONFLICT(account_id, chat, sender, message_id) DO NOTHING",
        );
        let place = self.place.as_ref();
        query(insert)
            .bind(account.as_str())
            .bind(stored(self.chat))
            .bind(stored(self.sender))
            .bind(stored(self.message_id))
            .bind(self.kind.as_str())
            .bind(millis(self.due_in))
            .bind(place.map(|place| place.conversation.as_str()))
            .bind(place.map(|place| place.order))
            .bind(place.map_or(0, |place| millis(place.hold)))
            .execute(tx)
            .await?;
        Ok(())
    }
}

/// What is known of a missing message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingNote {
    /// It is still waited for.
    Waiting,
    /// It has come, or it was given up and a job tells people: acknowledge it.
    Settled,
}

/// `user:device@server` and `user_agent:device@server` as `user@server`, with the server as the inbox
/// spells it: a hosted device is its user's, and `c.us` is an older name.
fn without_device(jid: &str) -> String {
    let jid = crate::ids::Jid::new(jid);
    let server = match jid.server() {
        "hosted" | "c.us" => "s.whatsapp.net",
        "hosted.lid" => "lid",
        server => server,
    };
    format!("{}@{server}", jid.user())
}
