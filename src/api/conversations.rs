//! What was said before, and signs that somebody is there.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{Query, number};
use super::path::Path;
use super::problem::Problem;
use super::{Api, present};
use crate::ids::ConversationId;
use crate::store::{Counterpart, Cursor, Turn};

const MOST: i64 = 200;
const USUAL: i64 = 50;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// `before` of the page before.
    before: Option<String>,
    /// 1 to 200; 50 unless set.
    #[serde(default, deserialize_with = "number")]
    limit: Option<i64>,
}

/// `GET /v1/conversations/{id}/messages`: both ways, the newest first; `before` of an answer asks for
/// the page before it.
pub async fn messages(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<axum::Json<History>, Problem> {
    let conversation = find(&api, id).await?;
    let limit = page.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::field("limit", format!("write 1 to {MOST}")));
    }
    let before = page.before.map(|text| text.parse::<Cursor>());
    let before = before
        .transpose()
        .map_err(|why| Problem::field("before", why))?;
    let turns = api
        .store
        .conversation_messages(&conversation.conversation_id, before.as_ref(), limit)
        .await?;
    let full = i64::try_from(turns.len()).is_ok_and(|count| count == limit);
    let next = turns
        .last()
        .filter(|_| full)
        .map(|turn| turn.cursor.to_string());
    let account = &conversation.account_id;
    let messages: Vec<Value> = turns
        .iter()
        .map(|turn| present::turn(account, turn))
        .collect();
    Ok(axum::Json(History {
        conversation,
        messages,
        before: next,
    }))
}

/// What was said in a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub struct History {
    conversation: Counterpart,
    /// The newest first; files are links.
    #[schema(value_type = Vec<Turn>)]
    messages: Vec<Value>,
    /// Ask with it for what was said before; none: this was the first.
    before: Option<String>,
}

pub(super) async fn find(api: &Api, id: String) -> Result<Counterpart, Problem> {
    let id = ConversationId(id);
    let found = api.store.counterpart(&id).await?;
    found.ok_or_else(|| Problem::no_such("conversation", id.as_str()))
}
