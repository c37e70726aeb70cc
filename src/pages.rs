//! Pages for people: what is wrong, and the button that mends it. Made by the server, and whole without
//! script; with it, the live parts of a page follow the store by themselves.
//!
//! - [`visit`]: signing in with `ADMIN_API_TOKEN` or `ADMIN_READ_TOKEN`, and what posts must show
//! - [`verdict`]: what is wrong with an account, pure
//! - [`fleet`], [`account`], [`jobs`], [`outbox`]: one page each; [`acts`]: what their buttons do
//! - [`live`]: a page's live part as a stream; [`frame`]: what all pages have around them
//!
//! Nothing is loaded from elsewhere, nothing is kept by browsers or proxies, and no script runs but our
//! one file: the headers say so (see [`guarded`]). Who may only look sees no buttons, no codes that link,
//! and nothing that people wrote. Every act is audited as done by `admin`.
//!
//! Failures: a store that does not answer is a page that says so, status 503, and nothing is half done.

mod account;
mod acts;
mod assets;
mod fleet;
mod form;
mod frame;
mod jobs;
mod live;
mod outbox;
mod trouble;
mod verdict;
mod visit;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api::{Doors, Failures};
use crate::store::{Lookout, Store};

/// Live parts that are followed at once; whoever comes later reads the page as it was made.
const MOST_STREAMS: usize = 64;

/// Who did it, in the audit.
const ACTOR: &str = "admin";

/// What handlers work with.
#[derive(Clone, Debug)]
pub struct Pages {
    store: Store,
    lookout: Lookout,
    doors: Doors,
    failures: Arc<Failures>,
    seats: Arc<Semaphore>,
    /// Cancelled when the process stops: streams end.
    stop: CancellationToken,
}

impl Pages {
    /// Pages about what is in `store`, counted by `lookout`, for whom `doors` let in, until `stop`.
    pub fn new(store: Store, lookout: Lookout, doors: Doors, stop: CancellationToken) -> Self {
        Self {
            store,
            lookout,
            doors,
            failures: Arc::default(),
            seats: Arc::new(Semaphore::new(MOST_STREAMS)),
            stop,
        }
    }

    /// `/`, and all routes below `/ui`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(home))
            .route("/ui", get(fleet::page))
            .route("/ui/live", get(fleet::live))
            .route("/ui/login", get(visit::ask).post(visit::enter))
            .route("/ui/logout", post(visit::leave))
            .route("/ui/all", post(acts::on_all))
            .route(
                "/ui/accounts/{id}",
                get(account::page).post(acts::on_account),
            )
            .route("/ui/accounts/{id}/live", get(account::live))
            .route("/ui/jobs", get(jobs::list))
            .route("/ui/jobs/{id}", get(jobs::page).post(acts::on_job))
            .route("/ui/outbox", get(outbox::list))
            .route("/ui/outbox/{id}", get(outbox::page).post(acts::on_message))
            .route("/ui/assets/{name}", get(assets::serve))
            .layer(middleware::from_fn(guarded))
            .with_state(self)
    }
}

async fn home() -> Redirect {
    Redirect::to("/ui")
}

/// What browsers are told about every page. `same-origin` and not less: without a referrer, forms would
/// be sent from the origin `null`.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
