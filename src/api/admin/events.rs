//! What the workers told lately.

use axum::Json as Answered;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::pages;
use crate::api::Api;
use crate::api::body::{Query, number};
use crate::api::problem::Problem;
use crate::ids::AccountId;
use crate::store::{EventFilter, StoredEvent};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Events {
    account: Option<AccountId>,
    /// Only events whose name begins so, e.g. `whatsapp.lease.`.
    event: Option<String>,
    /// Written then or later: Unix time in milliseconds.
    #[serde(default, deserialize_with = "number")]
    since: Option<i64>,
    /// 1 to 500; 100 unless set.
    #[serde(default, deserialize_with = "number")]
    limit: Option<i64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// `GET /v1/admin/events`, newest first.
pub async fn list(
    State(api): State<Api>,
    Query(wanted): Query<Events>,
) -> Result<Answered<Value>, Problem> {
    let (limit, cursor) = (pages::limit(wanted.limit)?, pages::cursor(wanted.cursor)?);
    let filter = EventFilter {
        account: wanted.account,
        prefix: wanted.event,
        since: wanted.since,
    };
    let page = api.store.page_of_events(&filter, limit, cursor.as_ref());
    Ok(pages::answer("events", page.await?, shown))
}

/// As it was told, with when it was written.
fn shown(event: StoredEvent) -> Value {
    let mut told: Value = serde_json::from_str(&event.body).unwrap_or_default();
    if let Some(fields) = told.as_object_mut() {
        fields.insert("storedAt".to_owned(), json!(event.at));
    }
    told
}

/// An event: what all of them tell, and more by its name.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its shape is told")]
pub struct ToldEvent {
    id: String,
    /// When it happened, by RFC 3339.
    #[schema(rename = "_time")]
    time: String,
    /// E.g. `whatsapp.lease.acquire.success`.
    event: String,
    level: Level,
    /// For people.
    message: String,
    /// Who told it, once it had a name.
    worker: Option<String>,
    /// When it was written, Unix time in milliseconds.
    stored_at: i64,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its shape is told")]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}
