//! The statements of one inbound transaction.

use std::collections::{HashMap, HashSet};

use sqlx::any::AnyRow;
use sqlx::{Row, query};

use super::conversation::chat_columns;
use super::{Accepted, Arrival};
use crate::ids::{ConversationId, JobId};
use crate::inbound::disposition::Disposition;
use crate::inbound::identity::{ContentHash, Identity, same_message, suffixed_key};
use crate::inbound::message::{Chat, Content};
use crate::store::columns::{address, jid, party};
use crate::store::connections::Tx;
use crate::store::{Fence, Result, StoreError, stored};

/// State of one transaction.
pub(super) struct Commit<'a> {
    pub(super) fence: &'a Fence,
    pub(super) now: i64,
    pub(super) expects_missing: bool,
    pub(super) conversations: HashMap<Chat, ConversationId>,
    /// Lanes that got work, in no order: one upsert each at the end.
    pub(super) ready: HashSet<ConversationId>,
    /// Lanes that may have waited for a message which has come.
    pub(super) relieved: HashSet<ConversationId>,
}

/// A job to be.
pub(super) struct NewJob<'a> {
    pub(super) kind: &'a str,
    pub(super) key: &'a str,
    pub(super) summary: &'a str,
    /// For people, with the reason and what it says: the lane does not wait for it.
    pub(super) failed: Option<(&'a str, &'a str)>,
    /// The order that was kept for it; none: the end of its lane.
    pub(super) order: Option<i64>,
}

impl<'a> Commit<'a> {
    /// Begins the part of `tx` that writes messages, after the fence was checked.
    pub(super) async fn begin(tx: &mut Tx, fence: &'a Fence) -> Result<Self> {
        Ok(Self {
            fence,
            now: tx.now().await?,
            expects_missing: expects_missing(tx, fence).await?,
            conversations: HashMap::new(),
            ready: HashSet::new(),
            relieved: HashSet::new(),
        })
    }

    pub(super) async fn accept(&mut self, tx: &mut Tx, arrival: &Arrival) -> Result<Accepted> {
        if let Disposition::Awaited(awaited) = &arrival.disposition {
            return self.keep_place(tx, arrival, awaited).await;
        }
        let recovered = self.settle_missing(tx, &arrival.identity.id).await?;
        let Some(namesakes) = self.namesakes(tx, &arrival.identity).await? else {
            return Ok(Accepted::Duplicate);
        };
        let conversation = match arrival.disposition {
            Disposition::Ignored(_) => None,
            _ => Some(self.conversation(tx, &arrival.inbound).await?),
        };
        let inserted = self
            .insert_inbox(tx, arrival, namesakes, conversation.as_ref())
            .await?;
        let Some(key) = inserted else {
            return Ok(Accepted::Duplicate);
        };
        let Some(conversation) = conversation else {
            return Ok(Accepted::Ignored);
        };
        self.insert_message(tx, arrival, &key, &conversation)
            .await?;
        match &arrival.disposition {
            Disposition::Queued => {
                let job = NewJob {
                    kind: "message",
                    key: &key,
                    summary: &arrival.summary,
                    failed: None,
                    order: recovered
                        .as_ref()
                        .and_then(|recovered| self.kept_order(recovered, &conversation)),
                };
                Ok(Accepted::Queued {
                    job: self.insert_job(tx, &conversation, job).await?,
                    conversation,
                    recovered: recovered.is_some(),
                })
            }
            Disposition::Failed { reason } => {
                let job = NewJob {
                    kind: "message",
                    key: &key,
                    summary: &arrival.summary,
                    failed: Some(("malformed", reason)),
                    order: None,
                };
                Ok(Accepted::Failed {
                    job: self.insert_job(tx, &conversation, job).await?,
                    conversation,
                })
            }
            Disposition::Recorded | Disposition::Ignored(_) | Disposition::Awaited(_) => {
                Ok(Accepted::Recorded)
            }
        }
    }

    /// How many other messages have this id; `None` when this very message is here already.
    async fn namesakes(&self, tx: &mut Tx, identity: &Identity) -> Result<Option<u32>> {
        let rows = query(
            "SELECT chat_jid, chat_pn, chat_lid, sender_pn, sender_lid, from_me, content_hash
             FROM inbox WHERE account_id = $1 AND message_id = $2",
        )
        .bind(self.fence.account().as_str())
        .bind(stored(&identity.id))
        .fetch_all(tx)
        .await?;
        for row in &rows {
            if same_message(&stored_identity(&identity.id, row)?, identity) {
                return Ok(None);
            }
        }
        Ok(Some(u32::try_from(rows.len()).unwrap_or(u32::MAX)))
    }

    /// Inserts the dedupe row and returns its key. Ids are made by senders, so even one that looks
    /// like the suffixed key of another message may come: the table decides which key is free.
    async fn insert_inbox(
        &self,
        tx: &mut Tx,
        arrival: &Arrival,
        namesakes: u32,
        conversation: Option<&ConversationId>,
    ) -> Result<Option<String>> {
        let identity = &arrival.identity;
        let (jid, chat) = chat_columns(&identity.chat);
        let mut n = namesakes;
        loop {
            let key = stored(&suffixed_key(&identity.id, n));
            let inserted = query(
                "INSERT INTO inbox(account_id, key, message_id, chat_jid, chat_pn, chat_lid, sender_pn,
                   sender_lid, from_me, content_hash, result, conv, epoch, committed_at)
                 VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
                 ON CONFLICT(account_id, key) DO NOTHING",
            )
            .bind(self.fence.account().as_str())
            .bind(&key)
            .bind(stored(&identity.id))
            .bind(jid.map(stored))
            .bind(address(chat.and_then(|p| p.pn.as_ref())))
            .bind(address(chat.and_then(|p| p.lid.as_ref())))
            .bind(address(identity.sender.pn.as_ref()))
            .bind(address(identity.sender.lid.as_ref()))
            .bind(i64::from(identity.from_me))
            .bind(identity.content_hash.to_hex())
            .bind(arrival.disposition.as_str())
            .bind(conversation.map(ConversationId::as_str))
            .bind(self.fence.epoch().0)
            .bind(self.now)
            .execute(&mut *tx)
            .await?;
            if inserted.rows_affected() == 1 {
                return Ok(Some(key));
            }
            // Somebody committed one with this id meanwhile: perhaps we, by a commit whose answer was lost.
            let Some(namesakes) = self.namesakes(tx, identity).await? else {
                return Ok(None);
            };
            n = namesakes.max(n + 1);
        }
    }

    async fn insert_message(
        &self,
        tx: &mut Tx,
        arrival: &Arrival,
        key: &str,
        conversation: &ConversationId,
    ) -> Result<()> {
        let inbound = &arrival.inbound;
        let content = match &inbound.content {
            Ok(content) => serde_json::to_string(content),
            Err(_) => serde_json::to_string(&Content::Unsupported {
                kind: "malformed".to_owned(),
            }),
        };
        let sender = &inbound.key.sender;
        query(
            "INSERT INTO messages(account_id, key, conv, message_id, sender_pn, sender_lid, from_me,
               push_name, sent_at, content, context, raw, committed_at)
             VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(self.fence.account().as_str())
        .bind(key)
        .bind(conversation.as_str())
        .bind(stored(&arrival.identity.id))
        .bind(address(sender.pn.as_ref()))
        .bind(address(sender.lid.as_ref()))
        .bind(i64::from(inbound.key.from_me))
        .bind(inbound.push_name.as_deref().map(stored))
        .bind(inbound.sent_at_ms)
        .bind(content.expect("content has string keys and finite numbers"))
        .bind(serde_json::to_string(&inbound.context).expect("context has string keys"))
        .bind(inbound.raw.as_slice())
        .bind(self.now)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Adds a job to its lane.
    pub(super) async fn insert_job(
        &mut self,
        tx: &mut Tx,
        conversation: &ConversationId,
        new: NewJob<'_>,
    ) -> Result<JobId> {
        let (job, failed) = (JobId::new(), new.failed);
        query(
            "INSERT INTO jobs(job_id, account_id, conv, ord, kind, key, status, summary, error_reason,
               error_message, created_at, updated_at, finished_at)
             VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12)",
        )
        .bind(job.as_str())
        .bind(self.fence.account().as_str())
        .bind(conversation.as_str())
        .bind(new.order.unwrap_or_else(|| self.fence.next_order()))
        .bind(new.kind)
        .bind(new.key)
        .bind(if failed.is_some() { "failed" } else { "pending" })
        .bind(stored(new.summary))
        .bind(failed.map(|(reason, _)| reason))
        .bind(failed.map(|(_, message)| stored(message)))
        .bind(self.now)
        .bind(failed.map(|_| self.now))
        .execute(tx)
        .await?;
        if failed.is_none() {
            self.ready.insert(conversation.clone());
        }
        Ok(job)
    }

    /// What this transaction has for one conversation is another's now.
    pub(super) fn moved(&mut self, gone: &ConversationId, keep: &ConversationId) {
        for lanes in [&mut self.ready, &mut self.relieved] {
            if lanes.remove(gone) {
                lanes.insert(keep.clone());
            }
        }
        for known in self.conversations.values_mut() {
            if known == gone {
                *known = keep.clone();
            }
        }
    }
}

/// A message may have been committed before it was noted as missing: the two come by different ways.
pub(super) async fn settle_what_arrived(tx: &mut Tx, fence: &Fence) -> Result<()> {
    query(
        "UPDATE missing SET outcome = 'recovered' WHERE account_id = $1 AND outcome IS NULL
         AND EXISTS(SELECT 1 FROM inbox i
                    WHERE i.account_id = $1 AND i.message_id = missing.message_id)",
    )
    .bind(fence.account().as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether any message is waited for: spares the common case a statement for each message.
async fn expects_missing(tx: &mut Tx, fence: &Fence) -> Result<bool> {
    let any: i64 = sqlx::query_scalar(
        "SELECT CASE WHEN EXISTS(SELECT 1 FROM missing WHERE account_id = $1 AND outcome IS NULL)
         THEN 1 ELSE 0 END",
    )
    .bind(fence.account().as_str())
    .fetch_one(tx)
    .await?;
    Ok(any == 1)
}

fn stored_identity(id: &str, row: &AnyRow) -> Result<Identity> {
    let chat = match jid(row, "chat_jid")? {
        None => Chat::Direct(party(row, "chat_pn", "chat_lid")?),
        Some(jid) => match (jid.user(), jid.server()) {
            ("status", _) => Chat::Status,
            (_, "broadcast") => Chat::Broadcast { jid },
            (_, "newsletter") => Chat::Newsletter { jid },
            _ => Chat::Group { jid },
        },
    };
    let hash: String = row.try_get("content_hash")?;
    Ok(Identity {
        id: id.to_owned(),
        chat,
        sender: party(row, "sender_pn", "sender_lid")?,
        from_me: row.try_get::<i64, _>("from_me")? == 1,
        content_hash: ContentHash::try_from(hash)
            .map_err(|error| StoreError::Unusable(format!("in table inbox: {error}")))?,
    })
}
