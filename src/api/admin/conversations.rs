//! Who was talked with, numbers masked; and the audit of who did what.

use axum::Json as Answered;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{ACTOR, pages};
use crate::api::Api;
use crate::api::body::{Query, number};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::ids::{AccountId, ConversationId, mask};
use crate::store::Conversation;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Lines {
    account: Option<AccountId>,
    /// 1 to 500; 100 unless set.
    #[serde(default, deserialize_with = "number")]
    limit: Option<i64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// `GET /v1/admin/conversations`, the one with the newest message first.
pub async fn list(
    State(api): State<Api>,
    Query(wanted): Query<Lines>,
) -> Result<Answered<Value>, Problem> {
    let (limit, cursor) = (pages::limit(wanted.limit)?, pages::cursor(wanted.cursor)?);
    let account = wanted.account.as_ref();
    let page = api
        .store
        .page_of_conversations(account, limit, cursor.as_ref())
        .await?;
    Ok(pages::answer("conversations", page, shown))
}

/// `DELETE /v1/admin/conversations/{id}`: erases it, and who it was with, for good.
pub async fn purge(
    State(api): State<Api>,
    Path(id): Path<ConversationId>,
) -> Result<Answered<Erased>, Problem> {
    let erased = api.store.purge_conversation(&id, ACTOR).await?;
    let messages = erased.ok_or_else(|| Problem::no_such("conversation", id.as_str()))?;
    Ok(Answered(Erased { messages }))
}

/// `GET /v1/admin/audit`, newest first.
pub async fn audit(
    State(api): State<Api>,
    Query(wanted): Query<Lines>,
) -> Result<Answered<Value>, Problem> {
    let (limit, cursor) = (pages::limit(wanted.limit)?, pages::cursor(wanted.cursor)?);
    let account = wanted.account.as_ref();
    let page = api
        .store
        .page_of_audit(account, limit, cursor.as_ref())
        .await?;
    Ok(pages::answer("audit", page, |line| json!(line)))
}

fn shown(talk: Conversation) -> Value {
    let with = talk
        .address
        .map(|jid| format!("{}@{}", mask(jid.user()), jid.server()));
    json!(ConversationView {
        conversation_id: talk.id,
        account_id: talk.account,
        kind: talk.kind,
        with,
        priority: talk.priority,
        last_message_at: talk.last_message_at,
    })
}

/// A conversation, without what is said in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationView {
    conversation_id: ConversationId,
    account_id: AccountId,
    /// `direct`, `group`, `status`, `broadcast` or `newsletter`.
    kind: String,
    /// The other side's address, masked.
    with: Option<String>,
    /// -1 after others, 0 as others, 1 before others; none: it had no jobs.
    priority: Option<i64>,
    /// Store's clock.
    last_message_at: i64,
}

/// What was erased.
#[derive(Debug, Serialize, ToSchema)]
pub struct Erased {
    messages: u64,
}
