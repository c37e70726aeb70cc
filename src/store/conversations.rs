//! Conversations as operators see them, and erasing one.

use sqlx::any::AnyRow;
use sqlx::{Row, query};

use super::accounts::entry;
use super::connections::Tx;
use super::{Page, PageCursor, Result, Store, StoreError, Topic, audit, stored};
use crate::ids::{AccountId, ConversationId, Jid};

/// Messages that one transaction erases.
const BATCH: i64 = 500;

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Whose.
    pub account: AccountId,
    /// `direct`, `group`, `status`, `broadcast` or `newsletter`.
    pub kind: String,
    /// One of its addresses.
    pub address: Option<Jid>,
    /// The priority of its jobs; none: it has had none.
    pub priority: Option<i64>,
    /// When the last message was committed, store's clock.
    pub last_message_at: i64,
}

impl Store {
    /// Conversations, the one with the newest message first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn conversations(
        &self,
        account: Option<&AccountId>,
        limit: i64,
    ) -> Result<Vec<Conversation>> {
        Ok(self.page_of_conversations(account, limit, None).await?.rows)
    }

    /// The same in parts, from `cursor` on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn page_of_conversations(
        &self,
        account: Option<&AccountId>,
        limit: i64,
        cursor: Option<&PageCursor>,
    ) -> Result<Page<Conversation>> {
        let (at, id) = PageCursor::bound(cursor);
        let rows = query(self.sql(
            "SELECT c.conv, c.account_id, c.kind, COALESCE(c.pn, c.lid, c.jid) AS address, l.priority,
               c.last_message_at
             FROM conversations c LEFT JOIN lanes l ON l.conv = c.conv
             WHERE ($1 IS NULL OR c.account_id = $1) AND (c.last_message_at, c.conv) < ($2, $3)
             ORDER BY c.last_message_at DESC, c.conv DESC LIMIT $4",
        ))
        .bind(account.map(AccountId::as_str))
        .bind(at)
        .bind(id)
        .bind(limit.saturating_add(1))
        .fetch_all(&self.readers)
        .await?;
        let read = |row: &AnyRow| {
            Ok(Conversation {
                id: ConversationId(row.try_get("conv")?),
                account: account_of(row.try_get("account_id")?)?,
                kind: row.try_get("kind")?,
                address: row.try_get::<Option<String>, _>("address")?.map(Jid::new),
                priority: row.try_get("priority")?,
                last_message_at: row.try_get("last_message_at")?,
            })
        };
        let talks = rows.iter().map(read).collect::<Result<_>>()?;
        Ok(Page::of(talks, limit, |talk: &Conversation| {
            (talk.last_message_at, talk.id.as_str().to_owned())
        }))
    }

    /// Erases what is known of a conversation and of the person in it: messages, jobs, what was and
    /// what would be sent, names and addresses. Of what arrived, only hashes stay, by which messages
    /// that are delivered again are known. What an agent works on is taken from it. Returns how many
    /// messages went; `None`: there is no such conversation.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: a part may be done; it can be run again.
    pub async fn purge_conversation(
        &self,
        conversation: &ConversationId,
        actor: &str,
    ) -> Result<Option<u64>> {
        // An id of before a merge means what it was merged into.
        let found: Option<(String, String)> = sqlx::query_as(
            "SELECT COALESCE(merged_into, conv) AS conv, account_id FROM conversations WHERE conv = $1",
        )
        .bind(stored(conversation.as_str()))
        .fetch_optional(&self.readers)
        .await?;
        let Some((conv, account)) = found else {
            return Ok(None);
        };
        let account = account_of(account)?;
        let mut erased = 0;
        loop {
            let mut tx = self.begin().await?;
            lock(&mut tx, &conv).await?;
            let batch = erase_messages(&mut tx, &conv).await?;
            erased += batch;
            if batch == BATCH.unsigned_abs() {
                tx.commit().await?;
                continue;
            }
            erase_rest(&mut tx, &conv).await?;
            let detail = format!("{}, {erased} messages", conversation.as_str());
            let line = entry(&account, actor, "conversation.purged", &detail);
            audit::write(&mut tx, line).await?;
            self.commit_telling(tx, Some(Topic::Outbox)).await?;
            return Ok(Some(erased));
        }
    }
}

/// What is being written into the conversation comes before; what comes later opens a new one.
async fn lock(tx: &mut Tx, conv: &str) -> Result<()> {
    let lock = tx.sql("SELECT 1 FROM conversations WHERE conv = $1 {FOR UPDATE}");
    query(lock).bind(conv).execute(tx).await?;
    Ok(())
}

fn account_of(text: String) -> Result<AccountId> {
    text.try_into()
        .map_err(|error| StoreError::Unusable(format!("in table conversations: {error}")))
}

/// One batch of messages; their dedupe rows keep the hash of what was said.
async fn erase_messages(tx: &mut Tx, conv: &str) -> Result<u64> {
    const SOME: &str = "SELECT account_id, key FROM messages WHERE conv = $1
        ORDER BY committed_at, key LIMIT $2";
    let strip = tx.sql(&format!(
        "UPDATE inbox SET chat_jid = NULL, chat_pn = NULL, chat_lid = NULL, sender_pn = NULL,
           sender_lid = NULL, conv = NULL WHERE (account_id, key) IN ({SOME})"
    ));
    query(strip)
        .bind(conv)
        .bind(BATCH)
        .execute(&mut *tx)
        .await?;
    let delete = tx.sql(&format!(
        "DELETE FROM messages WHERE (account_id, key) IN ({SOME})"
    ));
    let gone = query(delete).bind(conv).bind(BATCH).execute(tx).await?;
    Ok(gone.rows_affected())
}

async fn erase_rest(tx: &mut Tx, conv: &str) -> Result<()> {
    for delete in [
        // Files that were sent to nobody else.
        "DELETE FROM upload_chunks WHERE upload_id IN (SELECT upload_id FROM outbox o WHERE conv = $1
           AND NOT EXISTS(SELECT 1 FROM outbox e WHERE e.upload_id = o.upload_id AND e.conv <> $1))",
        "DELETE FROM uploads WHERE upload_id IN (SELECT upload_id FROM outbox o WHERE conv = $1
           AND NOT EXISTS(SELECT 1 FROM outbox e WHERE e.upload_id = o.upload_id AND e.conv <> $1))",
        // Lanes first: whoever works on one of their jobs locks them.
        "DELETE FROM lanes WHERE conv = $1",
        "DELETE FROM outbox_lanes WHERE conv = $1",
        "DELETE FROM jobs WHERE conv = $1",
        "DELETE FROM missing WHERE conv = $1",
        "DELETE FROM outbox_attempts WHERE outbox_id IN
           (SELECT outbox_id FROM outbox WHERE conv = $1)",
        "DELETE FROM outbox WHERE conv = $1",
        "DELETE FROM hints WHERE conv = $1",
        "DELETE FROM contacts WHERE contact_id IN (SELECT k.contact_id FROM contacts k
           JOIN conversations c ON c.account_id = k.account_id AND (c.pn = k.pn OR c.pn = k.canonical OR c.lid = k.lid)
           WHERE c.conv = $1)",
        "DELETE FROM conversations WHERE conv = $1 OR merged_into = $1",
    ] {
        query(delete).bind(conv).execute(&mut *tx).await?;
    }
    Ok(())
}
