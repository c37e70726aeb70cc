//! A message is put into its chat's lane, together with the id under which WhatsApp will know it.

use ring::digest;
use serde::Serialize;
use sqlx::query;

use super::lane;
use super::row::OutboxRow;
use crate::ids::{AccountId, ConversationId, Jid, JobId, OutboxId, UploadId};
use crate::inbound::message::{Chat, Party};
use crate::outbound::message::{Draft, Recipient};
use crate::store::audit;
use crate::store::connections::Tx;
use crate::store::error::sqlstate;
use crate::store::inbound::conversation::{self, ChatNames};
use crate::store::{Result, Store, StoreError, Topic, accounts, contacts, stored};

/// Who wants a message sent.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// An agent completed this job; the message is its reply number `index`, from 0.
    Reply {
        /// The job.
        job: &'a JobId,
        /// Its place among the job's replies.
        index: i64,
    },
    /// A request of the API, which may be repeated when it names a key.
    Api {
        /// The key.
        request: Option<&'a Request>,
    },
    /// A person, at the command line or by the API. It is audited.
    Operator {
        /// Who.
        actor: &'a str,
        /// As for [`Origin::Api`].
        request: Option<&'a Request>,
    },
}

impl Origin<'_> {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Reply { .. } => "reply",
            Self::Api { .. } => "api",
            Self::Operator { .. } => "operator",
        }
    }

    const fn request(&self) -> Option<&Request> {
        match *self {
            Self::Api { request } | Self::Operator { request, .. } => request,
            Self::Reply { .. } => None,
        }
    }
}

/// A request that may be repeated: its `Idempotency-Key`, and what tells it from other requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    key: String,
    hash: String,
}

impl Request {
    /// `body` is what was asked for, as it came: before its media was fetched, for instance.
    pub fn new(key: &str, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a request has string keys");
        Self {
            key: stored(key),
            hash: hex::encode(digest::digest(&digest::SHA256, &body)),
        }
    }
}

/// What became of a message that was handed in.
#[derive(Clone, Debug, PartialEq)]
pub enum Enqueued {
    /// It is in.
    New(OutboxRow),
    /// The same request was made before; this came of it.
    Repeated(OutboxRow),
    /// Another request was made with this key before.
    Conflict,
    /// There is no such account.
    NoAccount,
    /// It names no recipient, or a conversation that is not there.
    NoConversation,
}

impl Store {
    /// What came of an earlier request with the key of `request`; none: there was no such request.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn repeated_request(
        &self,
        account: &AccountId,
        request: &Request,
    ) -> Result<Option<Enqueued>> {
        let known: Option<(String, String)> = sqlx::query_as(KNOWN_REQUEST)
            .bind(account.as_str())
            .bind(&request.key)
            .fetch_optional(&self.readers)
            .await?;
        let Some((id, hash)) = known else {
            return Ok(None);
        };
        if hash != request.hash {
            return Ok(Some(Enqueued::Conflict));
        }
        let row = self.outbox_row(&OutboxId(id)).await?;
        Ok(row.map(|detail| Enqueued::Repeated(detail.row)))
    }

    /// Puts `draft` into the outbox of `account`; [`Draft::to`] says for whom. Whoever holds the
    /// account's lease sends it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: unknown. Repeating it is safe for a request with a key.
    pub async fn enqueue_message(
        &self,
        account: &AccountId,
        draft: &Draft,
        origin: Origin<'_>,
    ) -> Result<Enqueued> {
        match self.try_enqueue(account, draft, origin).await {
            // Somebody made the same request, or opened the same conversation, at the same time.
            Err(StoreError::Rejected(error)) if sqlstate(&error) == Some("23505") => {
                self.try_enqueue(account, draft, origin).await
            }
            done => done,
        }
    }

    async fn try_enqueue(
        &self,
        account: &AccountId,
        draft: &Draft,
        origin: Origin<'_>,
    ) -> Result<Enqueued> {
        let mut tx = self.begin().await?;
        if let Some(request) = origin.request() {
            let known: Option<(String, String)> = sqlx::query_as(KNOWN_REQUEST)
                .bind(account.as_str())
                .bind(&request.key)
                .fetch_optional(&mut tx)
                .await?;
            if let Some((id, hash)) = known {
                if hash != request.hash {
                    return Ok(Enqueued::Conflict);
                }
                return Ok(Enqueued::Repeated(
                    OutboxRow::of(&mut tx, &OutboxId(id)).await?,
                ));
            }
        }
        let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM accounts WHERE account_id = $1")
            .bind(account.as_str())
            .fetch_optional(&mut tx)
            .await?;
        if known.is_none() {
            return Ok(Enqueued::NoAccount);
        }
        let now = tx.now().await?;
        let Some(conv) = resolve(&mut tx, account, draft.to.as_ref(), now).await? else {
            return Ok(Enqueued::NoConversation);
        };
        let id = insert_outgoing(&mut tx, account, &conv, draft, origin, now).await?;
        if let Origin::Operator { actor, .. } = origin {
            let detail = format!("{} in {}", id.as_str(), conv.as_str());
            let line = accounts::entry(account, actor, "outbox.queued", &detail);
            audit::write(&mut tx, line).await?;
        }
        let row = OutboxRow::of(&mut tx, &id).await?;
        self.commit_telling(tx, Some(Topic::Outbox)).await?;
        Ok(Enqueued::New(row))
    }
}

const KNOWN_REQUEST: &str =
    "SELECT outbox_id, request_hash FROM outbox WHERE account_id = $1 AND idempotency_key = $2";

/// The conversation with `to`, which is opened when there is none; `None` without a recipient, or for
/// a conversation that this account does not have.
pub(in crate::store) async fn resolve(
    tx: &mut Tx,
    account: &AccountId,
    to: Option<&Recipient>,
    now: i64,
) -> Result<Option<ConversationId>> {
    let chat = match to {
        None => return Ok(None),
        Some(Recipient::Conversation(conv)) => {
            return current(tx, account, conv).await;
        }
        Some(Recipient::Phone(phone)) => {
            direct(Jid::new(format!("{}@s.whatsapp.net", phone.digits())))
        }
        Some(Recipient::Jid(jid)) if jid.server() == "g.us" => Chat::Group { jid: jid.clone() },
        Some(Recipient::Jid(jid)) => direct(jid.clone()),
    };
    let chat = match chat {
        Chat::Direct(mut person) => {
            contacts::complete(tx, account, &mut person).await?;
            Chat::Direct(person)
        }
        chat => chat,
    };
    let names = ChatNames::of_chat(&chat);
    if let Some(known) = conversation::find(tx, account, &names).await? {
        return current(tx, account, &known).await;
    }
    let opened = conversation::open(tx, account, &chat, &names, now).await?;
    Ok(Some(opened))
}

/// The conversation that this one is now. Until the transaction ends it is not merged with another.
async fn current(
    tx: &mut Tx,
    account: &AccountId,
    conv: &ConversationId,
) -> Result<Option<ConversationId>> {
    let known = tx.sql(
        "SELECT COALESCE(merged_into, conv) FROM conversations WHERE conv = $1 AND account_id = $2
         {FOR KEY SHARE}",
    );
    let known: Option<String> = sqlx::query_scalar(known)
        .bind(stored(conv.as_str()))
        .bind(account.as_str())
        .fetch_optional(tx)
        .await?;
    Ok(known.map(ConversationId))
}

fn direct(jid: Jid) -> Chat {
    Chat::Direct(match jid.server() {
        "lid" => Party {
            pn: None,
            lid: Some(jid),
        },
        _ => Party {
            pn: Some(jid),
            lid: None,
        },
    })
}

/// Puts `draft` at the end of the lane of `conv`, which must be a conversation of `account`. After the
/// commit the caller wakes the holder.
pub(in crate::store) async fn insert_outgoing(
    tx: &mut Tx,
    account: &AccountId,
    conv: &ConversationId,
    draft: &Draft,
    origin: Origin<'_>,
    now: i64,
) -> Result<OutboxId> {
    let id = OutboxId::new();
    let ord = lane::append(tx, account, conv, now).await?;
    let (job, index) = match origin {
        Origin::Reply { job, index } => (Some(job.as_str()), Some(index)),
        Origin::Api { .. } | Origin::Operator { .. } => (None, None),
    };
    let request = origin.request();
    let content = serde_json::to_string(draft).expect("a draft has string keys and finite numbers");
    query(
        "INSERT INTO outbox(outbox_id, account_id, conv, ord, message_id, content, source, job_id,
           reply_index, idempotency_key, request_hash, status, next_attempt_at, created_at, updated_at,
           upload_id)
         VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'pending', $12, $12, $12, $13)",
    )
    .bind(id.as_str())
    .bind(account.as_str())
    .bind(conv.as_str())
    .bind(ord)
    .bind(new_message_id())
    .bind(stored(&content))
    .bind(origin.as_str())
    .bind(job)
    .bind(index)
    .bind(request.map(|request| request.key.as_str()))
    .bind(request.map(|request| request.hash.as_str()))
    .bind(now)
    .bind(draft.content.upload().map(UploadId::as_str))
    .execute(tx)
    .await?;
    Ok(id)
}

/// As WhatsApp Web makes them: `3EB0` and 18 hexadecimal digits.
fn new_message_id() -> String {
    format!("3EB0{}", hex::encode_upper(rand::random::<[u8; 9]>()))
}
