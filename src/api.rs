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
mod health;
pub mod problem;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use self::problem::{Kind, Problem};
use crate::store::Store;
use crate::webhooks::signature::Secret;

pub use self::server::serve;

/// Names a request in both directions.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What handlers work with.
#[derive(Clone, Debug)]
pub struct Api {
    /// The shared store.
    pub store: Store,
    /// Cancelled when the process stops.
    pub stop: CancellationToken,
}

impl Api {
    /// All routes; those below `/v1` for who knows one of `secrets`.
    pub fn router(self, secrets: &[Secret]) -> Router {
        let secrets: Arc<[Secret]> = secrets.into();
        let agents = Router::new().layer(middleware::from_fn_with_state(secrets, auth::check));
        Router::new()
            .route("/healthz", get(health::live))
            .route("/readyz", get(health::ready))
            .merge(agents)
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .layer(middleware::from_fn(identify))
            .with_state(self)
    }
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
