//! HTTP for agents in any language: take work, answer it, write by oneself, look back, get files.
//!
//! Every route below `/v1` wants `AGENT_SECRET` (see [`auth`]); the probes want nothing. What goes wrong
//! is a [`problem`], and every answer carries `X-Request-Id`. Any process with the role `agent` or `all`
//! serves all accounts of the store: what is asked for is done in the store, and whoever holds an
//! account's lease sends.
//!
//! Failures: a store that does not answer is 503, and nothing is half done, since each request is one
//! transaction. On a stop, requests that wait for work are answered at once, with none.

mod auth;
mod body;
mod conversations;
mod failures;
mod files;
mod health;
mod jobs;
mod media;
mod messages;
mod presence;
pub mod present;
pub mod problem;
mod scope;
mod server;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use self::auth::Guard;
use self::media::Files;
use self::problem::{Kind, Problem};
use crate::jobs::Queue;
use crate::outbound::media::Accepting;
use crate::session::media::MediaStore;
use crate::store::Store;
use crate::webhooks::{Desk, Webhook};

pub use self::scope::{Doors, Scope};
pub use self::server::Server;

/// Names a request in both directions.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who did it, in the audit.
const ACTOR: &str = "api";

/// A success that is not plain 200.
type Answer<T> = (StatusCode, axum::Json<T>);

/// What handlers work with.
#[derive(Clone, Debug)]
pub struct Api {
    store: Store,
    queue: Queue,
    accepting: Accepting,
    files: Files,
    /// The webhooks of this process's file.
    listed: Arc<[Webhook]>,
    /// Cancelled when the process stops.
    stop: CancellationToken,
}

impl Api {
    /// Serves what is on `desk` until `stop`. Files come out of `media`; `listed` are the webhooks that
    /// are not the store's.
    pub fn new(
        desk: &Desk,
        media: MediaStore,
        listed: &[Webhook],
        stop: CancellationToken,
    ) -> Self {
        Self {
            store: desk.store.clone(),
            queue: desk.queue.clone(),
            accepting: desk.accepting.clone(),
            files: Files::new(media),
            listed: listed.into(),
            stop,
        }
    }

    /// All routes, each for whom `doors` let in.
    pub fn router(self, doors: &Doors) -> Router {
        let guard = Guard::new(doors.clone(), Scope::Agent, Arc::default());
        let agents = Router::new()
            .route("/v1/jobs/claim", post(jobs::claim))
            .route("/v1/jobs/{id}/heartbeat", post(jobs::heartbeat))
            .route("/v1/jobs/{id}/complete", post(jobs::complete))
            .route("/v1/jobs/{id}/fail", post(jobs::fail))
            .route("/v1/messages", post(messages::send))
            .route("/v1/messages/{id}", get(messages::show))
            .route("/v1/messages/{id}/cancel", post(messages::cancel))
            .route("/v1/messages/{id}/retry", post(messages::retry))
            .route("/v1/uploads", post(files::upload))
            .route("/v1/media/{account}/{key}", get(media::download))
            .route(
                "/v1/conversations/{id}/messages",
                get(conversations::messages),
            )
            .route("/v1/conversations/{id}/typing", post(presence::typing))
            .route("/v1/conversations/{id}/read", post(presence::read))
            .route("/v1/webhooks", get(webhooks::list).post(webhooks::add))
            .route(
                "/v1/webhooks/{name}",
                get(webhooks::show)
                    .put(webhooks::change)
                    .delete(webhooks::remove),
            )
            .route("/v1/webhooks/{name}/rotate", post(webhooks::rotate))
            .layer(middleware::from_fn_with_state(guard, auth::check));
        finished(agents.merge(probes())).with_state(self)
    }

    /// The probes alone, for a process that does not serve agents.
    pub fn probes(self) -> Router {
        finished(probes()).with_state(self)
    }
}

fn probes() -> Router<Api> {
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
}

fn finished(routes: Router<Api>) -> Router<Api> {
    routes
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(identify))
}

async fn no_route(request: Request) -> Problem {
    let path = request.uri().path();
    Problem::new(Kind::NotFound, format!("there is no route {path}"))
}

async fn no_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(Kind::Method, format!("{path} does not know {method}"))
}

/// Gives the answer the request's id, or a new one when it has none that can be repeated in a log.
async fn identify(request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).filter(|id| {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        (1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain)
    });
    let id = given.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&uuid::Uuid::now_v7().simple().to_string()).expect("it is hex")
    });
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}
