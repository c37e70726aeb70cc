//! What a session should show in a chat: that somebody types, that messages were read. Any process asks
//! for it, the holder's session does it when it can. Best effort: nothing is tried twice, and what is
//! older than a few seconds is dropped.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::{Row, query};

use super::columns::party;
use super::lease::millis;
use super::outbox::ChatAddress;
use super::{Fence, Result, Store, Topic, stored};
use crate::ids::{AccountId, ConversationId};
use crate::inbound::message::Party;

/// Nobody is interested any more whether we typed then.
const STALE: Duration = Duration::from_secs(30);
/// Messages that one hint marks as read, the newest ones.
const READ_AT_ONCE: i64 = 256;

/// Something to show in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// "typing…", for so long or until a message comes.
    Typing {
        /// Milliseconds.
        ms: u32,
    },
    /// No longer typing.
    Paused,
    /// What came so far was read.
    Read,
}

/// A hint that is to be shown now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where.
    pub conversation: ConversationId,
    /// Its addresses.
    pub chat: ChatAddress,
    /// What.
    pub what: Showing,
}

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Showing {
    /// "typing…" for so long; no time: not typing.
    Typing(Duration),
    /// These messages were read.
    Read(Vec<ReadMessage>),
}

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadMessage {
    /// Its id.
    pub message_id: String,
    /// Who wrote it.
    pub sender: Party,
}

impl Store {
    /// Asks the holder to show `hint` in a conversation. `false`: the account has no such conversation.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn hint(
        &self,
        account: &AccountId,
        conv: &ConversationId,
        hint: Hint,
    ) -> Result<bool> {
        let (kind, ms) = match hint {
            Hint::Typing { ms } => ("presence", i64::from(ms)),
            Hint::Paused => ("presence", 0),
            Hint::Read => ("read", 0),
        };
        let mut tx = self.begin().await?;
        let ask = tx.sql(
            "INSERT INTO hints(account_id, conv, kind, typing_ms, asked_at)
             SELECT account_id, COALESCE(merged_into, conv), $3, $4, {NOW} FROM conversations
             WHERE account_id = $1 AND conv = $2
             ON CONFLICT(account_id, conv, kind) DO UPDATE SET
               typing_ms = excluded.typing_ms, asked_at = excluded.asked_at",
        );
        let asked = query(ask)
            .bind(account.as_str())
            .bind(stored(conv.as_str()))
            .bind(kind)
            .bind(ms)
            .execute(&mut tx)
            .await?;
        self.commit_telling(tx, Some(Topic::Outbox)).await?;
        Ok(asked.rows_affected() == 1)
    }

    /// Accounts of which something is asked: hints, or numbers to look up. One question for all
    /// sessions of a process.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn asked_accounts(&self) -> Result<HashSet<AccountId>> {
        let asked = self.sql(
            "SELECT account_id FROM hints WHERE asked_at > {NOW} - $1
             UNION SELECT account_id FROM lookups WHERE asked_at > {NOW} - $1",
        );
        let asked: Vec<String> = sqlx::query_scalar(asked)
            .bind(millis(STALE))
            .fetch_all(&self.readers)
            .await?;
        Ok(asked.into_iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Removes up to `uploads` uploads that nothing uses any more, and what was asked of a holder and
    /// never taken. Any process may call it at any time.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn drop_what_passed(&self, uploads: u32) -> Result<()> {
        self.prune_uploads(uploads).await?;
        let mut tx = self.begin().await?;
        for table in ["hints", "lookups"] {
            let stale = tx.sql(&format!(
                "DELETE FROM {table} WHERE asked_at < {{NOW}} - $1"
            ));
            query(stale).bind(millis(STALE)).execute(&mut tx).await?;
        }
        tx.commit().await
    }

    /// Takes what is to be shown for the account. What is taken is not given again, and messages that
    /// are given as read are marked so.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`], [`super::StoreError::Unavailable`].
    pub async fn take_hints(&self, fence: &Fence) -> Result<Vec<Shown>> {
        let account = fence.account().as_str();
        let mut tx = self.begin_fenced(fence).await?;
        let now = tx.now().await?;
        // What comes after this is for the next time.
        let hints = query(
            "DELETE FROM hints WHERE account_id = $1 RETURNING conv, kind, typing_ms, asked_at",
        )
        .bind(account)
        .fetch_all(&mut tx)
        .await?;
        let mut shown = Vec::with_capacity(hints.len());
        for row in &hints {
            let asked_at: i64 = row.try_get("asked_at")?;
            let conversation = ConversationId(row.try_get("conv")?);
            if asked_at < now - millis(STALE) {
                continue;
            }
            let chat = query(
                "SELECT pn, lid, jid, COALESCE(read_until, 0) AS read_until
                 FROM conversations WHERE conv = $1",
            )
            .bind(conversation.as_str())
            .fetch_optional(&mut tx)
            .await?;
            let Some(chat) = chat else { continue };
            let what = if row.try_get::<&str, _>("kind")? == "read" {
                let since = chat.try_get("read_until")?;
                Showing::Read(read(&mut tx, &conversation, since, asked_at).await?)
            } else {
                let ms: i64 = row.try_get("typing_ms")?;
                Showing::Typing(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
            };
            shown.push(Shown {
                conversation,
                chat: ChatAddress::read(&chat)?,
                what,
            });
        }
        tx.commit().await?;
        Ok(shown)
    }
}

/// The messages of others that came until `until` and were not read before.
async fn read(
    tx: &mut super::connections::Tx,
    conv: &ConversationId,
    since: i64,
    until: i64,
) -> Result<Vec<ReadMessage>> {
    let rows = query(
        "SELECT message_id, sender_pn, sender_lid FROM messages
         WHERE conv = $1 AND from_me = 0 AND committed_at > $2 AND committed_at <= $3
         ORDER BY committed_at DESC LIMIT $4",
    )
    .bind(conv.as_str())
    .bind(since)
    .bind(until)
    .bind(READ_AT_ONCE)
    .fetch_all(&mut *tx)
    .await?;
    query("UPDATE conversations SET read_until = $2 WHERE conv = $1")
        .bind(conv.as_str())
        .bind(until)
        .execute(tx)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ReadMessage {
                message_id: row.try_get("message_id")?,
                sender: party(row, "sender_pn", "sender_lid")?,
            })
        })
        .collect()
}
