//! Messages that wait to be sent, and what became of them.

use axum::Json as Answered;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use super::{ACTOR, pages};
use crate::api::body::{Json, Query, number};
use crate::api::messages::{self, Sender};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::{Answer, Api};
use crate::ids::{AccountId, ConversationId, OutboxId};
use crate::store::{OutboxDetail, OutboxFilter, OutboxRow};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Messages {
    account: Option<AccountId>,
    /// A conversation's id.
    conversation: Option<String>,
    /// `pending`, `sending`, `sent`, `failed`, `uncertain` or `cancelled`.
    status: Option<String>,
    /// 1 to 500; 100 unless set.
    #[serde(default, deserialize_with = "number")]
    limit: Option<i64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// `GET /v1/admin/outbox`, newest first.
pub async fn list(
    State(api): State<Api>,
    Query(wanted): Query<Messages>,
) -> Result<Answered<Value>, Problem> {
    let status = wanted.status.map(|text| text.parse()).transpose();
    let filter = OutboxFilter {
        account: wanted.account,
        conversation: wanted.conversation.map(ConversationId),
        status: status.map_err(|why: String| Problem::field("status", why))?,
        limit: pages::limit(wanted.limit)?,
    };
    let cursor = pages::cursor(wanted.cursor)?;
    let page = api.store.page_of_outbox(&filter, cursor.as_ref()).await?;
    Ok(pages::answer("messages", page, |row| json!(row)))
}

/// `GET /v1/admin/outbox/{id}`, with its attempts.
pub async fn show(
    State(api): State<Api>,
    Path(id): Path<OutboxId>,
) -> Result<Answered<OutboxDetail>, Problem> {
    messages::find(&api, &id).await.map(Answered)
}

/// `POST /v1/admin/outbox`: as agents send.
pub async fn send(
    State(api): State<Api>,
    headers: HeaderMap,
    Json(body): Json<Map<String, Value>>,
) -> Result<Answer<OutboxRow>, Problem> {
    let key = messages::key(&headers, None)?;
    messages::accept(&api, key, body, Sender::Operator(ACTOR)).await
}

/// `POST /v1/admin/outbox/{id}/cancel`.
pub async fn cancel(
    State(api): State<Api>,
    Path(id): Path<OutboxId>,
) -> Result<Answered<OutboxDetail>, Problem> {
    messages::take_back(&api, &id, ACTOR).await
}

/// `POST /v1/admin/outbox/{id}/retry`.
pub async fn retry(
    State(api): State<Api>,
    Path(id): Path<OutboxId>,
) -> Result<Answered<OutboxDetail>, Problem> {
    messages::try_anew(&api, &id, ACTOR).await
}
