//! Messages that nobody asked for by a job: sent by request, looked at, taken back, tried anew.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::auth::SignedId;
use super::body::{Json, parse_part};
use super::path::Path;
use super::problem::{Kind, Problem};
use super::{ACTOR, Answer, Api};
use crate::ids::{AccountId, OutboxId};
use crate::outbound::delivery::Status;
use crate::outbound::message::{Draft, Recipient};
use crate::store::{
    Cancelled, Enqueued, Lookup, Origin, OutboxDetail, OutboxRow, Request, Retried,
};

const KEY: &str = "idempotency-key";
const LONGEST_KEY: usize = 255;

/// How long a connected session may take to say whether a number is on WhatsApp.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(5);

/// What is sent, as the document shows it; it is read as a draft.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
#[schema(rename_all = "camelCase")]
pub(super) struct MessageBody {
    account_id: AccountId,
    /// A phone number with +, an address, or a conversation's id.
    to: String,
    /// `{"type": "text", "body": "hello"}`; the README lists the other types.
    #[schema(value_type = Object, example = json!({"type": "text", "body": "hello"}))]
    content: Value,
    /// `{"messageId"}`.
    #[schema(value_type = Option<Object>)]
    quote: Option<Value>,
    mentions: Option<Vec<String>>,
    typing_ms: Option<u32>,
}

/// `POST /v1/messages`: a draft and `accountId`. With an `Idempotency-Key`, or the `webhook-id` of a
/// signed request, repeating it is answered with the message that came of the first.
pub async fn send(
    State(api): State<Api>,
    headers: HeaderMap,
    signed: Option<Extension<SignedId>>,
    Json(body): Json<Map<String, Value>>,
) -> Result<Answer<OutboxRow>, Problem> {
    let key = key(&headers, signed.as_deref())?;
    accept(&api, key, body, Sender::Agent).await
}

/// Who wants a message to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sender {
    Agent,
    /// Under this name in the audit.
    Operator(&'static str),
}

/// Takes a message into the outbox; what is repeated with the same `key` is answered as before.
pub(super) async fn accept(
    api: &Api,
    key: Option<String>,
    body: Map<String, Value>,
    sender: Sender,
) -> Result<Answer<OutboxRow>, Problem> {
    let request = key.map(|key| Request::new(&key, &body));
    let (account, draft) = read(body)?;
    draft
        .check()
        .map_err(|invalid| Problem::field(invalid.field, invalid.why))?;
    if draft.to.is_none() {
        return Err(Problem::field(
            "to",
            "name a recipient: a phone number with +, a JID, or a conversation's id",
        ));
    }
    // Before its files are fetched once more.
    let before = match &request {
        Some(request) => api.store.repeated_request(&account, request).await?,
        None => None,
    };
    let enqueued = match before {
        Some(before) => before,
        None => {
            check_number(api, &account, draft.to.as_ref()).await?;
            let draft = api.prepare(draft).await?;
            let request = request.as_ref();
            let origin = match sender {
                Sender::Operator(actor) => Origin::Operator { actor, request },
                Sender::Agent => Origin::Api { request },
            };
            api.store.enqueue_message(&account, &draft, origin).await?
        }
    };
    match enqueued {
        Enqueued::New(row) => Ok((StatusCode::ACCEPTED, axum::Json(row))),
        Enqueued::Repeated(row) => Ok((StatusCode::OK, axum::Json(row))),
        Enqueued::Conflict => Err(Problem::new(
            Kind::Conflict,
            "another request was made with this Idempotency-Key",
        )),
        Enqueued::NoAccount => Err(Problem::field(
            "accountId",
            format!("there is no account '{account}'"),
        )),
        Enqueued::NoConversation => Err(Problem::field(
            "to",
            format!("account '{account}' has no such conversation"),
        )),
    }
}

/// A number that is known not to be on WhatsApp is refused. Where nobody can say, it is found out when
/// the message is sent.
async fn check_number(
    api: &Api,
    account: &AccountId,
    to: Option<&Recipient>,
) -> Result<(), Problem> {
    let Some(Recipient::Phone(phone)) = to else {
        return Ok(());
    };
    let status = api.store.session_status(account).await?;
    let wait = match status {
        Some(status) if status.state == "connected" => LOOKUP_PATIENCE,
        _ => Duration::ZERO,
    };
    match api.store.lookup(account, phone, wait).await? {
        Lookup::Known(_) | Lookup::Unknown => Ok(()),
        Lookup::NotOnWhatsApp => Err(Problem::field("to", "this number is not on WhatsApp")),
    }
}

fn read(mut body: Map<String, Value>) -> Result<(AccountId, Draft), Problem> {
    let Some(account) = body.remove("accountId") else {
        return Err(Problem::field("accountId", "missing field `accountId`"));
    };
    let account = parse_part(account, "accountId")?;
    Ok((account, parse_part(Value::Object(body), "")?))
}

pub(super) fn key(
    headers: &HeaderMap,
    signed: Option<&SignedId>,
) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get(KEY) else {
        return Ok(signed.map(|signed| signed.0.clone()));
    };
    let plain = |text: &&str| (1..=LONGEST_KEY).contains(&text.len());
    match key.to_str().ok().filter(plain) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::field(
            "Idempotency-Key",
            format!("write 1 to {LONGEST_KEY} characters of ASCII"),
        )),
    }
}

/// `GET /v1/messages/{id}`.
pub async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<axum::Json<OutboxDetail>, Problem> {
    find(&api, &OutboxId(id)).await.map(axum::Json)
}

/// `POST /v1/messages/{id}/cancel`, while it waits.
pub async fn cancel(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<axum::Json<OutboxDetail>, Problem> {
    take_back(&api, &OutboxId(id), ACTOR).await
}

pub(super) async fn take_back(
    api: &Api,
    id: &OutboxId,
    actor: &str,
) -> Result<axum::Json<OutboxDetail>, Problem> {
    match api.store.cancel_outgoing(id, actor).await? {
        Cancelled::Done => find(api, id).await.map(axum::Json),
        Cancelled::TooLate(status) => Err(too_late("cancelled", status)),
        Cancelled::Unknown => Err(unknown(id)),
    }
}

/// `POST /v1/messages/{id}/retry`, when it was given up or waits for its next attempt.
pub async fn retry(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<axum::Json<OutboxDetail>, Problem> {
    try_anew(&api, &OutboxId(id), ACTOR).await
}

pub(super) async fn try_anew(
    api: &Api,
    id: &OutboxId,
    actor: &str,
) -> Result<axum::Json<OutboxDetail>, Problem> {
    match api.store.retry_outgoing(id, actor).await? {
        Retried::Done => find(api, id).await.map(axum::Json),
        Retried::Needless(status) => Err(too_late("tried anew", status)),
        Retried::Erased => Err(Problem::new(
            Kind::Gone,
            "what the message said is erased, so it cannot be sent",
        )),
        Retried::Unknown => Err(unknown(id)),
    }
}

pub(super) async fn find(api: &Api, id: &OutboxId) -> Result<OutboxDetail, Problem> {
    let found = api.store.outbox_row(id).await?;
    found.ok_or_else(|| unknown(id))
}

fn unknown(id: &OutboxId) -> Problem {
    Problem::no_such("message", id.as_str())
}

fn too_late(what: &str, status: Status) -> Problem {
    let status = status.as_str();
    let detail = format!("the message is {status} and cannot be {what}");
    Problem::new(Kind::Conflict, detail)
}
