//! HTTP for agents in any language: take work, answer it, write by oneself, look back, get files; and
//! for operators ([`admin`]), who see and steer everything.
//!
//! Every route below `/v1` wants a token of its scope (see [`auth`]); the probes want nothing. All routes
//! are described as they are added ([`openapi`]), which `/openapi.json` tells. What goes wrong
//! is a [`problem`], and every answer carries `X-Request-Id`. Any process with the role `agent` or `all`
//! serves all accounts of the store: what is asked for is done in the store, and whoever holds an
//! account's lease sends.
//!
//! Failures: a store that does not answer is 503, and nothing is half done, since each request is one
//! transaction. On a stop, requests that wait for work are answered at once, with none.

mod admin;
mod agents;
mod auth;
mod body;
mod conversations;
mod failures;
mod files;
mod health;
mod jobs;
mod media;
mod messages;
mod openapi;
mod path;
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
use tokio_util::sync::CancellationToken;

use self::auth::Guard;
use self::media::Files;
use self::openapi::Description;
use self::problem::{Kind, Problem};
use crate::jobs::Queue;
use crate::outbound::media::Accepting;
use crate::session::media::MediaStore;
use crate::store::Store;
use crate::webhooks::{Desk, Webhook};

pub use self::auth::Peer;
pub use self::failures::Failures;
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

    /// All routes, each for whom `doors` let in; agents' only with `agents`.
    pub fn router(self, doors: &Doors, agents: bool) -> Router {
        let failures = Arc::new(Failures::default());
        let behind = |scope, routes: Router<Self>| {
            let guard = Guard::new(doors.clone(), scope, Arc::clone(&failures));
            routes.layer(middleware::from_fn_with_state(guard, auth::check))
        };
        let mut told = Description::default();
        let mut routes = behind(
            Scope::Read,
            admin::looks().merge(health::components()).split(&mut told),
        )
        .merge(behind(Scope::Operate, admin::acts().split(&mut told)))
        .merge(admin::open().merge(health::probes()).split(&mut told));
        if agents {
            routes = routes.merge(behind(Scope::Agent, agents::routes().split(&mut told)));
        }
        finished(routes).with_state(self)
    }
}

/// The description of all routes, as OpenAPI 3.1.
pub fn document() -> String {
    let mut told = Description::default();
    for routes in [
        agents::routes(),
        admin::looks(),
        health::components(),
        admin::acts(),
        admin::open(),
        health::probes(),
    ] {
        // Nobody is served here.
        drop(routes.split(&mut told));
    }
    let text = told.document().to_pretty_json();
    text.expect("the document has string keys") + "\n"
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

#[cfg(test)]
mod tests {
    /// With `WORKER_TEST_WRITE` set, writes it instead.
    #[test]
    fn the_description_that_is_checked_in_is_that_of_the_routes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let document = super::document();
        if std::env::var_os("WORKER_TEST_WRITE").is_some() {
            std::fs::write(path, &document).expect("written");
        }
        let known = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            known == document,
            "docs/openapi.json is out of date: run this test with WORKER_TEST_WRITE=1"
        );
        assert!(document.contains(r#""openapi": "3.1.0""#));
    }
}
