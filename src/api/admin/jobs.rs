//! The agent queue, and what was given up.

use axum::Json as Answered;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::accounts::{Listing, must_exist};
use super::{ACTOR, pages};
use crate::api::Api;
use crate::api::body::{Json, Query, number};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::ids::{AccountId, ConversationId, JobId};
use crate::store::{DeadFilter, JobDetail, JobFilter, JobSelection, Outcome};

const REASON_CHARS: usize = 64;
const MESSAGE_CHARS: usize = 4_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Jobs {
    account: Option<AccountId>,
    /// `pending`, `processing`, `completed` or `failed`.
    status: Option<String>,
    /// 1 to 500; 100 unless set.
    #[serde(default, deserialize_with = "number")]
    limit: Option<i64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Dead {
    account: Option<AccountId>,
    /// The code that they failed with.
    reason: Option<String>,
    /// 1 to 500; 100 unless set.
    #[serde(default, deserialize_with = "number")]
    limit: Option<i64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Which dead letters: all of them, or those that fit everything that is said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    #[serde(default)]
    all: bool,
    account: Option<AccountId>,
    reason: Option<String>,
    kind: Option<String>,
}

impl TryFrom<Selection> for JobSelection {
    type Error = Problem;
    fn try_from(wanted: Selection) -> Result<Self, Problem> {
        let narrowed = wanted.account.is_some() || wanted.reason.is_some() || wanted.kind.is_some();
        match (wanted.all, narrowed) {
            (true, false) => Ok(Self::All),
            (false, true) => Ok(Self::Where {
                account: wanted.account,
                reason: wanted.reason,
                kind: wanted.kind,
            }),
            _ => Err(Problem::field(
                "all",
                "write either `\"all\": true`, or account, reason or kind",
            )),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FailBody {
    /// Why, as a code; `manual_fail` unless set.
    reason: Option<String>,
    /// Why, in words.
    message: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriorityBody {
    /// -1 after others, 0 as others, 1 before others.
    #[schema(minimum = -1, maximum = 1)]
    priority: i64,
}

/// How many dead letters are tried again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retried {
    retried: u64,
}

/// How many dead letters are off the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Discarded {
    discarded: u64,
}

/// A conversation's priority.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prioritised {
    conversation_id: ConversationId,
    priority: i64,
}

/// `GET /v1/admin/jobs`, newest first.
pub async fn list(
    State(api): State<Api>,
    Query(wanted): Query<Jobs>,
) -> Result<Answered<Value>, Problem> {
    let status = wanted.status.map(|text| text.parse()).transpose();
    let filter = JobFilter {
        account: wanted.account,
        status: status.map_err(|why: String| Problem::field("status", why))?,
        limit: pages::limit(wanted.limit)?,
    };
    let cursor = pages::cursor(wanted.cursor)?;
    let page = api.store.page_of_jobs(&filter, cursor.as_ref()).await?;
    Ok(pages::answer("jobs", page, |job| json!(job)))
}

/// `GET /v1/admin/jobs/{id}`, with its message.
pub async fn show(
    State(api): State<Api>,
    Path(id): Path<JobId>,
) -> Result<Answered<JobDetail>, Problem> {
    find(&api, &id).await.map(Answered)
}

/// `GET /v1/admin/queues`.
pub async fn queues(
    State(api): State<Api>,
    Query(listing): Query<Listing>,
) -> Result<Answered<Value>, Problem> {
    let bounds = listing.bounds()?;
    let depths = api.store.queue_depths().await?;
    let id = |depth: &crate::store::QueueDepth| depth.account_id.as_str().to_owned();
    let rows: Vec<_> = depths
        .into_iter()
        .map(|depth| (id(&depth), depth))
        .collect();
    let show = |(_, depth): &(String, _)| json!(depth);
    Ok(pages::of_all("queues", rows, bounds, |(id, _)| id, show))
}

/// `GET /v1/admin/dead-letters`, newest first.
pub async fn dead(
    State(api): State<Api>,
    Query(wanted): Query<Dead>,
) -> Result<Answered<Value>, Problem> {
    let filter = DeadFilter {
        account: wanted.account,
        reason: wanted.reason,
        limit: pages::limit(wanted.limit)?,
    };
    let cursor = pages::cursor(wanted.cursor)?;
    let page = api.store.dead_letters(&filter, cursor.as_ref()).await?;
    Ok(pages::answer("jobs", page, |job| json!(job)))
}

/// `POST /v1/admin/dead-letters/retry`: each at the end of its conversation.
pub async fn retry_dead(
    State(api): State<Api>,
    Json(wanted): Json<Selection>,
) -> Result<Answered<Retried>, Problem> {
    check(&api, &wanted).await?;
    let done = api.store.retry_jobs(&wanted.try_into()?, ACTOR).await?;
    Ok(Answered(Retried { retried: done }))
}

/// `POST /v1/admin/dead-letters/discard`.
pub async fn discard_dead(
    State(api): State<Api>,
    Json(wanted): Json<Selection>,
) -> Result<Answered<Discarded>, Problem> {
    check(&api, &wanted).await?;
    let done = api.store.discard_jobs(&wanted.try_into()?, ACTOR).await?;
    Ok(Answered(Discarded { discarded: done }))
}

async fn check(api: &Api, wanted: &Selection) -> Result<(), Problem> {
    if let Some(account) = &wanted.account {
        must_exist(api, account).await?;
    }
    Ok(())
}

/// `POST /v1/admin/jobs/{id}/retry`.
pub async fn retry(
    State(api): State<Api>,
    Path(id): Path<JobId>,
) -> Result<Answered<JobDetail>, Problem> {
    let outcome = api.store.retry_job(&id, ACTOR).await?;
    after(&api, &id, outcome, "retried").await
}

/// `POST /v1/admin/jobs/{id}/fail`.
pub async fn fail(
    State(api): State<Api>,
    Path(id): Path<JobId>,
    Json(why): Json<FailBody>,
) -> Result<Answered<JobDetail>, Problem> {
    let reason = why.reason.as_deref().unwrap_or("manual_fail");
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if !(1..=REASON_CHARS).contains(&reason.len()) || !reason.bytes().all(plain) {
        let rule = "write a code of 1 to 64 of a-z, A-Z, 0-9, '_', '-' and '.'";
        return Err(Problem::field("reason", rule));
    }
    let words = why.message.as_deref();
    if words.is_some_and(|words| words.chars().count() > MESSAGE_CHARS) {
        let rule = format!("at most {MESSAGE_CHARS} characters");
        return Err(Problem::field("message", rule));
    }
    let failed = api.store.fail_job_by_hand(&id, (reason, words), ACTOR);
    after(&api, &id, failed.await?, "failed").await
}

/// `POST /v1/admin/jobs/{id}/cancel`.
pub async fn cancel(
    State(api): State<Api>,
    Path(id): Path<JobId>,
) -> Result<Answered<JobDetail>, Problem> {
    let outcome = api.store.cancel_job(&id, ACTOR).await?;
    after(&api, &id, outcome, "cancelled").await
}

/// `POST /v1/admin/jobs/{id}/discard`.
pub async fn discard(
    State(api): State<Api>,
    Path(id): Path<JobId>,
) -> Result<Answered<JobDetail>, Problem> {
    let outcome = api.store.discard_job(&id, ACTOR).await?;
    after(&api, &id, outcome, "discarded").await
}

/// `PUT /v1/admin/conversations/{id}/priority`.
pub async fn prioritise(
    State(api): State<Api>,
    Path(conversation): Path<ConversationId>,
    Json(wanted): Json<PriorityBody>,
) -> Result<Answered<Prioritised>, Problem> {
    if !(-1..=1).contains(&wanted.priority) {
        return Err(Problem::field("priority", "write -1, 0 or 1"));
    }
    let set = api
        .store
        .set_lane_priority(&conversation, wanted.priority, ACTOR)
        .await?;
    if !set {
        return Err(Problem::no_such(
            "conversation with jobs",
            conversation.as_str(),
        ));
    }
    Ok(Answered(Prioritised {
        conversation_id: conversation,
        priority: wanted.priority,
    }))
}

async fn find(api: &Api, id: &JobId) -> Result<JobDetail, Problem> {
    let found = api.store.job(id).await?;
    found.ok_or_else(|| Problem::no_such("job", id.as_str()))
}

async fn after(
    api: &Api,
    id: &JobId,
    outcome: Outcome,
    what: &str,
) -> Result<Answered<JobDetail>, Problem> {
    match outcome {
        Outcome::Done => find(api, id).await.map(Answered),
        Outcome::Missing => Err(Problem::no_such("job", id.as_str())),
        Outcome::Unfit(status) => {
            let status = status.as_str();
            let detail = format!("the job is {status} and cannot be {what}");
            Err(Problem::new(Kind::Conflict, detail))
        }
    }
}
