//! Work for agents: claim, keep, complete, give back.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::Json;
use super::path::Path;
use super::problem::{Kind, Problem};
use super::{Api, present};
use crate::ids::{AccountId, ClaimToken, JobId, OutboxId};
use crate::outbound::message::Draft;
use crate::store::{Claim, ClaimRequest, Completed, Completion, Failed, Failure};

/// Jobs of one claim, each of another conversation.
const LIMITS: std::ops::RangeInclusive<u64> = 1..=100;
/// How long a claim may wait for work: proxies cut silent requests after a minute and more.
const WAITS_MS: std::ops::RangeInclusive<u64> = 0..=55_000;
/// How long a claim may hold without a heartbeat.
const LOCKS_MS: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;
/// How long an agent may put a job off.
const DELAYS_MS: std::ops::RangeInclusive<u64> = 0..=86_400_000;
/// Replies to one job.
const MOST_REPLIES: usize = 100;
const PROCESSOR_CHARS: usize = 128;
const MESSAGE_CHARS: usize = 4_000;

/// `POST /v1/jobs/claim`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimBody {
    accounts: Option<Vec<AccountId>>,
    limit: Option<u64>,
    wait_ms: Option<u64>,
    lock_ms: Option<u64>,
    processor_id: Option<String>,
}

/// Work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Claimed {
    /// Each of another conversation; files are links.
    #[schema(value_type = Vec<Claim>)]
    jobs: Vec<Value>,
}

/// Answers with jobs as soon as there are some, and with none after `waitMs`.
pub async fn claim(
    State(api): State<Api>,
    Json(body): Json<ClaimBody>,
) -> Result<axum::Json<Claimed>, Problem> {
    let limit = within("limit", body.limit, LIMITS)?.unwrap_or(1);
    let wait = within("waitMs", body.wait_ms, WAITS_MS)?.unwrap_or(0);
    let processor_id = body.processor_id.unwrap_or_else(|| "http".to_owned());
    if !(1..=PROCESSOR_CHARS).contains(&processor_id.chars().count()) {
        let why = format!("write 1 to {PROCESSOR_CHARS} characters");
        return Err(Problem::field("processorId", why));
    }
    if let Some(accounts) = &body.accounts {
        check_accounts(&api, accounts).await?;
    }
    let request = ClaimRequest {
        accounts: body.accounts,
        processor_id,
        limit: usize::try_from(limit).unwrap_or(1),
        lock: lock(body.lock_ms)?.unwrap_or(api.queue.lock()),
    };
    let wait = Duration::from_millis(wait);
    let claims = api.queue.claim(&request, wait, &api.stop).await?;
    let jobs: Vec<Value> = claims.iter().map(present::claim).collect();
    Ok(axum::Json(Claimed { jobs }))
}

/// Who waits for an account that does not exist waits for ever.
pub(super) async fn check_accounts(api: &Api, accounts: &[AccountId]) -> Result<(), Problem> {
    if accounts.is_empty() {
        return Err(Problem::field(
            "accounts",
            "name accounts, or leave it out for all",
        ));
    }
    let known = api.store.accounts().await?;
    match accounts
        .iter()
        .position(|wanted| !known.iter().any(|account| account.id == *wanted))
    {
        None => Ok(()),
        Some(index) => Err(Problem::field(
            format!("accounts[{index}]"),
            format!("there is no account '{}'", accounts[index]),
        )),
    }
}

/// `POST /v1/jobs/{id}/heartbeat`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeartbeatBody {
    #[schema(value_type = String)]
    claim_token: ClaimToken,
    lock_ms: Option<u64>,
    #[serde(default)]
    typing: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    locked_until: i64,
}

/// Keeps the claim, and lets the other side see "typing…" if that is wanted.
pub async fn heartbeat(
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<HeartbeatBody>,
) -> Result<axum::Json<Kept>, Problem> {
    let (id, lock) = (JobId(id), lock(body.lock_ms)?);
    let kept = api.queue.heartbeat(&id, &body.claim_token, lock).await?;
    let Some(locked_until) = kept else {
        return Err(stale(&api, &id).await);
    };
    if body.typing {
        api.show_typing(&id).await;
    }
    Ok(axum::Json(Kept { locked_until }))
}

/// `POST /v1/jobs/{id}/complete`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompleteBody {
    #[schema(value_type = String)]
    claim_token: ClaimToken,
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// Drafts, as in `POST /v1/messages` without `accountId`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    replies: Vec<Draft>,
    #[serde(default)]
    mark_read: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// The replies' ids, in order: `GET /v1/messages/{id}`.
    message_ids: Vec<OutboxId>,
    /// It was done before, by the same claim.
    again: bool,
}

/// Completes the job and puts the replies into the outbox, both or neither.
pub async fn complete(
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<CompleteBody>,
) -> Result<axum::Json<Done>, Problem> {
    let id = JobId(id);
    if body.replies.len() > MOST_REPLIES {
        let why = format!(
            "{} of them; the limit is {MOST_REPLIES}",
            body.replies.len()
        );
        return Err(Problem::field("replies", why));
    }
    let mut replies = Vec::with_capacity(body.replies.len());
    for (index, draft) in body.replies.into_iter().enumerate() {
        let at = |field: &str| format!("replies[{index}].{field}");
        draft
            .check()
            .map_err(|invalid| Problem::field(at(&invalid.field), invalid.why))?;
        let draft = api.prepare(draft).await;
        replies.push(draft.map_err(|problem| problem.within(at))?);
    }
    let completion = Completion {
        result: body.result,
        replies,
    };
    let completed = api
        .queue
        .complete(&id, &body.claim_token, &completion)
        .await?;
    match completed {
        Completed::Done {
            messages, again, ..
        } => {
            if body.mark_read {
                api.show_read(&id).await;
            }
            Ok(axum::Json(Done {
                message_ids: messages,
                again,
            }))
        }
        Completed::Invalid { reply, field, why } => {
            Err(Problem::field(format!("replies[{reply}].{field}"), why))
        }
        Completed::Stale => Err(stale(&api, &id).await),
    }
}

/// `POST /v1/jobs/{id}/fail`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailBody {
    #[schema(value_type = String)]
    claim_token: ClaimToken,
    error_reason: String,
    error_message: Option<String>,
    #[serde(default = "yes")]
    retryable: bool,
    retry_after_ms: Option<u64>,
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GivenBack {
    /// `pending`, or `failed`: a dead letter.
    status: &'static str,
    /// Which attempt failed, from 1.
    attempt: i64,
    /// When it may be claimed again, store's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<i64>,
}

/// Gives the job back: for another attempt, or for good.
pub async fn fail(
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(body): Json<FailBody>,
) -> Result<axum::Json<GivenBack>, Problem> {
    let id = JobId(id);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if !(1..=64).contains(&body.error_reason.len()) || !body.error_reason.bytes().all(plain) {
        return Err(Problem::field(
            "errorReason",
            "write a code of 1 to 64 of a-z, A-Z, 0-9, '_', '-' and '.', e.g. agent_error; words go into errorMessage",
        ));
    }
    let chars = body.error_message.as_deref().unwrap_or_default().chars();
    if chars.count() > MESSAGE_CHARS {
        let why = format!("at most {MESSAGE_CHARS} characters");
        return Err(Problem::field("errorMessage", why));
    }
    let delay = within("retryAfterMs", body.retry_after_ms, DELAYS_MS)?;
    let failure = Failure {
        reason: body.error_reason,
        message: body.error_message,
        retryable: body.retryable,
        retry_after: delay.map(Duration::from_millis),
    };
    let failed = api.queue.fail(&id, &body.claim_token, &failure).await?;
    match failed {
        Failed::Retried { at, work, .. } => Ok(axum::Json(GivenBack {
            status: "pending",
            attempt: work.attempt,
            retry_at: Some(at),
        })),
        Failed::Dead { work, .. } => Ok(axum::Json(GivenBack {
            status: "failed",
            attempt: work.attempt,
            retry_at: None,
        })),
        Failed::Stale => Err(stale(&api, &id).await),
    }
}

/// A claim that is not valid, told apart from a job that is not there.
async fn stale(api: &Api, id: &JobId) -> Problem {
    match api.store.job(id).await {
        Ok(Some(_)) => Problem::new(
            Kind::StaleClaim,
            "the claim ran out or was taken back: nothing was changed, drop this job",
        ),
        Ok(None) => Problem::no_such("job", id.as_str()),
        Err(error) => error.into(),
    }
}

fn lock(wanted: Option<u64>) -> Result<Option<Duration>, Problem> {
    Ok(within("lockMs", wanted, LOCKS_MS)?.map(Duration::from_millis))
}

fn within(
    field: &'static str,
    value: Option<u64>,
    allowed: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, Problem> {
    match value {
        Some(value) if !allowed.contains(&value) => {
            let (least, most) = (allowed.start(), allowed.end());
            Err(Problem::field(field, format!("write {least} to {most}")))
        }
        value => Ok(value),
    }
}
