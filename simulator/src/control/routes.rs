//! One function per request; see the table in [`super`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::Jid;

use super::content::{ContentRequest, Malformed};
use crate::people::PeopleError;
use crate::{Faults, GroupAddressing, PairingError, Person, SendError, Simulator, StreamError};

/// The largest request, which may carry a file in base64.
const MAX_REQUEST_BYTES: usize = 64 << 20;

type Sim = State<Arc<Simulator>>;
type Answer = Result<Json<Value>, Refusal>;

/// Why a request is refused; each variant is one status.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    Conflict(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::BadRequest(rejection.body_text())
    }
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        match error {
            SendError::UnknownRecipient => Self::NotFound("recipient"),
            SendError::UnknownMessage => Self::NotFound("message"),
            SendError::Phone(PeopleError::UnknownMessage) => Self::NotFound("message to edit"),
            SendError::Refused(_) | SendError::Phone(_) => Self::Conflict(error.to_string()),
        }
    }
}

impl From<PairingError> for Refusal {
    fn from(error: PairingError) -> Self {
        match error {
            PairingError::UnknownCode => Self::NotFound("code"),
            PairingError::OtherIdentity
            | PairingError::Left
            | PairingError::Refused(_)
            | PairingError::Phone(_) => Self::Conflict(error.to_string()),
        }
    }
}

pub(super) fn router(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/", get(about))
        .route("/people", get(people).post(add_person))
        .route("/people/{phone}/scan", post(scan))
        .route("/people/{phone}/code", post(enter_code))
        .route("/people/{phone}/send", post(send))
        .route("/people/{phone}/resend", post(resend))
        .route("/people/{phone}/read", post(read))
        .route("/people/{phone}/received", get(received))
        .route("/people/{phone}/accepted", get(accepted))
        .route("/people/{phone}/disconnect", post(disconnect))
        .route("/people/{phone}/stream-error", post(stream_error))
        .route("/people/{phone}/companions/{device}", delete(unlink))
        .route("/groups", post(create_group))
        .route("/receipts/{id}", get(receipts))
        .route("/lint", get(lint))
        .route("/unknown-iqs", get(unknown_iqs))
        .route("/faults", get(faults).put(set_faults))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(simulator)
}

async fn about(State(sim): Sim) -> Json<Value> {
    Json(json!({
        "url": sim.url(),
        "media_host": sim.media_host(),
        "ca_pem": sim.ca_pem(),
        "root_public_key": hex::encode(sim.root_public_key()),
        "seed": sim.seed(),
        "clients": sim.clients(),
    }))
}

fn describe(sim: &Simulator, person: &Person) -> Value {
    let companions = person.companions().into_iter().map(|device| {
        json!({
            "device": device,
            "online": sim.is_online(person, device),
            "queued": sim.queue_len(person, device),
        })
    });
    json!({
        "name": person.name(),
        "phone": person.phone_number(),
        "jid": person.jid().to_string(),
        "lid": person.lid().to_string(),
        "companions": companions.collect::<Vec<_>>(),
    })
}

fn find(sim: &Simulator, phone: &str) -> Result<Person, Refusal> {
    sim.person(phone).ok_or(Refusal::NotFound("person"))
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

async fn add_person(State(sim): Sim, body: Result<Json<Name>, JsonRejection>) -> Answer {
    let person = sim.add_person(&body?.name);
    Ok(Json(describe(&sim, &person)))
}

async fn people(State(sim): Sim) -> Json<Value> {
    let people = sim.people();
    Json(people.iter().map(|person| describe(&sim, person)).collect())
}

#[derive(Deserialize)]
struct Qr {
    qr: String,
}

async fn scan(
    State(sim): Sim,
    Path(phone): Path<String>,
    body: Result<Json<Qr>, JsonRejection>,
) -> Answer {
    let device = find(&sim, &phone)?.scan_qr(&body?.qr).await?;
    Ok(Json(json!({ "device": device })))
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

async fn enter_code(
    State(sim): Sim,
    Path(phone): Path<String>,
    body: Result<Json<Code>, JsonRejection>,
) -> Answer {
    let device = find(&sim, &phone)?.enter_code(&body?.code).await?;
    Ok(Json(json!({ "device": device })))
}

#[derive(Deserialize)]
struct SendRequest {
    to: String,
    content: ContentRequest,
    id: Option<String>,
}

async fn send(
    State(sim): Sim,
    Path(phone): Path<String>,
    body: Result<Json<SendRequest>, JsonRejection>,
) -> Answer {
    let Json(SendRequest { to, content, id }) = body?;
    let to: Jid = match sim.person(&to) {
        Some(person) => person.jid(),
        None => to
            .parse()
            .map_err(|_| Refusal::BadRequest("`to` is neither a JID nor a phone number".into()))?,
    };
    let person = find(&sim, &phone)?;
    let content = content.parse()?;
    let id = match id {
        Some(id) => person.send_with_id(&id, &to, &content)?,
        None => person.send(&to, &content)?,
    };
    Ok(Json(json!({ "id": id })))
}

#[derive(Deserialize)]
struct MessageId {
    id: String,
}

async fn resend(
    State(sim): Sim,
    Path(phone): Path<String>,
    body: Result<Json<MessageId>, JsonRejection>,
) -> Answer {
    find(&sim, &phone)?.resend(&body?.id)?;
    Ok(Json(json!({})))
}

async fn read(
    State(sim): Sim,
    Path(phone): Path<String>,
    body: Result<Json<MessageId>, JsonRejection>,
) -> Answer {
    find(&sim, &phone)?.read(&body?.id);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Filter {
    id: Option<String>,
    #[serde(default)]
    wait_ms: u64,
}

async fn received(
    State(sim): Sim,
    Path(phone): Path<String>,
    Query(filter): Query<Filter>,
) -> Answer {
    let person = find(&sim, &phone)?;
    let mut deliveries = person.received();
    if let Some(id) = &filter.id {
        let patience = Duration::from_millis(filter.wait_ms);
        let found = person
            .wait_for(patience, |delivery| delivery.id == *id)
            .await;
        deliveries = found.into_iter().collect();
    }
    Ok(Json(json!(deliveries)))
}

async fn accepted(State(sim): Sim, Path(phone): Path<String>) -> Answer {
    let person = find(&sim, &phone)?;
    Ok(Json(json!({
        "to": sim.accepted_for(&person),
        "from": sim.accepted_from(&person),
    })))
}

async fn disconnect(State(sim): Sim, Path(phone): Path<String>) -> Answer {
    let connections = sim.disconnect(&find(&sim, &phone)?);
    Ok(Json(json!({ "connections": connections })))
}

#[derive(Deserialize)]
struct ErrorRequest {
    error: StreamError,
}

async fn stream_error(
    State(sim): Sim,
    Path(phone): Path<String>,
    body: Result<Json<ErrorRequest>, JsonRejection>,
) -> Answer {
    let connections = sim.stream_error(&find(&sim, &phone)?, body?.error);
    Ok(Json(json!({ "connections": connections })))
}

async fn unlink(State(sim): Sim, Path((phone, device)): Path<(String, u16)>) -> Answer {
    if !find(&sim, &phone)?.unlink(device) {
        return Err(Refusal::NotFound("companion"));
    }
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct GroupRequest {
    subject: String,
    creator: String,
    members: Vec<String>,
    #[serde(default)]
    addressing: GroupAddressing,
}

async fn create_group(State(sim): Sim, body: Result<Json<GroupRequest>, JsonRejection>) -> Answer {
    let Json(request) = body?;
    let creator = find(&sim, &request.creator)?;
    let members = request.members.iter().map(|phone| find(&sim, phone));
    let members = members.collect::<Result<Vec<_>, _>>()?;
    let members: Vec<&Person> = members.iter().collect();
    let jid = sim.create_group(&request.subject, &creator, &members, request.addressing);
    Ok(Json(json!({ "jid": jid.to_string() })))
}

async fn receipts(State(sim): Sim, Path(id): Path<String>) -> Json<Value> {
    Json(json!(sim.receipts(&id)))
}

async fn lint(State(sim): Sim) -> Json<Value> {
    Json(json!(sim.lint()))
}

async fn unknown_iqs(State(sim): Sim) -> Json<Value> {
    Json(json!(sim.unknown_iqs()))
}

async fn faults(State(sim): Sim) -> Json<Faults> {
    Json(sim.faults())
}

async fn set_faults(State(sim): Sim, body: Result<Json<Faults>, JsonRejection>) -> Answer {
    let Json(faults) = body?;
    sim.set_faults(faults);
    Ok(Json(json!(sim.faults())))
}
