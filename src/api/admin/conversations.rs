//! Who was talked with, numbers masked; and the audit of who did what.

use axum::Json as Answered;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

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
) -> Result<Answered<Value>, Problem> {
    let erased = api.store.purge_conversation(&id, ACTOR).await?;
    let messages = erased.ok_or_else(|| Problem::no_such("conversation", id.as_str()))?;
    Ok(Answered(json!({ "messages": messages })))
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
    json!({
        "conversationId": talk.id,
        "accountId": talk.account,
        "kind": talk.kind,
        "with": with,
        "priority": talk.priority,
        "lastMessageAt": talk.last_message_at,
    })
}
