//! Which conversation a message belongs to.

use sqlx::query;

use super::commit::Commit;
use crate::ids::{AccountId, ConversationId};
use crate::inbound::message::{Chat, Inbound, Party};
use crate::store::columns::address;
use crate::store::connections::Tx;
use crate::store::{Result, contacts, stored};

impl Commit<'_> {
    /// The conversation of this chat, found by any address form that is known, and taught the others.
    pub(super) async fn conversation(
        &mut self,
        tx: &mut Tx,
        inbound: &Inbound,
    ) -> Result<ConversationId> {
        let chat = &inbound.key.chat;
        if let Some(known) = self.conversations.get(chat) {
            return Ok(known.clone());
        }
        let names = ChatNames::of(inbound);
        let account = self.fence.account();
        let mut found = find_all(tx, account, &names).await?;
        if let (2.., Chat::Direct(person)) = (found.len(), chat) {
            let merging = contacts::merge::conversations_of(tx, account, person, self.now);
            if let Some(merged) = merging.await? {
                self.moved(&merged.gone, &merged.keep);
            }
            found = find_all(tx, account, &names).await?;
        }
        let known = match found.into_iter().next() {
            Some(id) if self.teach(tx, &id, &names).await? => Some(id),
            _ => None,
        };
        let id = match known {
            Some(id) => id,
            None => open(tx, account, chat, &names, self.now).await?,
        };
        self.conversations.insert(chat.clone(), id.clone());
        Ok(id)
    }

    /// An address that another conversation has already stays with that one. `false`: the conversation
    /// was erased since it was found; otherwise it stays until the transaction ends.
    async fn teach(&self, tx: &mut Tx, id: &ConversationId, names: &ChatNames) -> Result<bool> {
        let taught = query(
            "UPDATE conversations SET
               pn = CASE WHEN pn IS NULL AND NOT EXISTS(SELECT 1 FROM conversations o
                    WHERE o.account_id = $6 AND o.pn = $2) THEN $2 ELSE pn END,
               lid = CASE WHEN lid IS NULL AND NOT EXISTS(SELECT 1 FROM conversations o
                    WHERE o.account_id = $6 AND o.lid = $3) THEN $3 ELSE lid END,
               name = COALESCE($4, name), last_message_at = $5 WHERE conv = $1",
        )
        .bind(id.as_str())
        .bind(names.pn.as_deref())
        .bind(names.lid.as_deref())
        .bind(names.name.as_deref())
        .bind(self.now)
        .bind(self.fence.account().as_str())
        .execute(tx)
        .await?;
        Ok(taught.rows_affected() == 1)
    }
}

/// The oldest, when two conversations turn out to be one.
pub(in crate::store) async fn find(
    tx: &mut Tx,
    account: &AccountId,
    names: &ChatNames,
) -> Result<Option<ConversationId>> {
    Ok(find_all(tx, account, names).await?.into_iter().next())
}

/// Conversations with any of these addresses, the oldest first.
async fn find_all(
    tx: &mut Tx,
    account: &AccountId,
    names: &ChatNames,
) -> Result<Vec<ConversationId>> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT conv FROM conversations
         WHERE account_id = $1 AND (jid = $2 OR pn = $3 OR lid = $4)
         ORDER BY created_at, conv LIMIT 2",
    )
    .bind(account.as_str())
    .bind(names.jid.as_deref())
    .bind(names.pn.as_deref())
    .bind(names.lid.as_deref())
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(ConversationId).collect())
}

/// Makes a conversation that [`find`] did not find.
pub(in crate::store) async fn open(
    tx: &mut Tx,
    account: &AccountId,
    chat: &Chat,
    names: &ChatNames,
    now: i64,
) -> Result<ConversationId> {
    let id = ConversationId::new();
    query(
        "INSERT INTO conversations(conv, account_id, kind, pn, lid, jid, name, created_at, last_message_at)
         VALUES($1, $2, $3, $4, $5, $6, $7, $8, $8)",
    )
    .bind(id.as_str())
    .bind(account.as_str())
    .bind(chat_kind(chat))
    .bind(names.pn.as_deref())
    .bind(names.lid.as_deref())
    .bind(names.jid.as_deref())
    .bind(names.name.as_deref())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(id)
}

/// What a conversation is found by, and the name that the other person shows.
pub(in crate::store) struct ChatNames {
    jid: Option<String>,
    pn: Option<String>,
    lid: Option<String>,
    name: Option<String>,
}

impl ChatNames {
    fn of(inbound: &Inbound) -> Self {
        let (jid, person) = chat_columns(&inbound.key.chat);
        let shown = (!inbound.key.from_me && person.is_some())
            .then_some(inbound.push_name.as_deref())
            .flatten();
        Self {
            jid: jid.map(stored),
            pn: address(person.and_then(|p| p.pn.as_ref())),
            lid: address(person.and_then(|p| p.lid.as_ref())),
            name: shown.map(stored),
        }
    }

    /// Of a chat that nobody has written in yet.
    pub(in crate::store) fn of_chat(chat: &Chat) -> Self {
        let (jid, person) = chat_columns(chat);
        Self {
            jid: jid.map(stored),
            pn: address(person.and_then(|p| p.pn.as_ref())),
            lid: address(person.and_then(|p| p.lid.as_ref())),
            name: None,
        }
    }
}

pub(super) fn chat_columns(chat: &Chat) -> (Option<&str>, Option<&Party>) {
    match chat {
        Chat::Direct(person) => (None, Some(person)),
        Chat::Group { jid } | Chat::Broadcast { jid } | Chat::Newsletter { jid } => {
            (Some(jid.as_str()), None)
        }
        Chat::Status => (Some("status@broadcast"), None),
    }
}

const fn chat_kind(chat: &Chat) -> &'static str {
    match chat {
        Chat::Direct(_) => "direct",
        Chat::Group { .. } => "group",
        Chat::Status => "status",
        Chat::Broadcast { .. } => "broadcast",
        Chat::Newsletter { .. } => "newsletter",
    }
}
