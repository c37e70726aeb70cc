//! `/metrics` in Prometheus' text format, on a listener of its own.
//!
//! Three parts: what this process counted ([`crate::telemetry::meters`]), what the store holds
//! ([`Census`]), and how the process is ([`process`]). The store is read at a scrape, at most once in
//! [`FRESH`] and for no longer than [`PATIENCE`]: one that does not answer is `wa_store_up 0`, and the
//! rest is told all the same.
//!
//! Every process tells the queues of all accounts, and only its own leases and sessions: sum what is
//! counted, take the greatest of what is read.

mod process;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::Mutex;

use crate::clock::Boot;
use crate::ids::OwnerId;
use crate::store::{Census, Store};
use crate::telemetry::meters;

/// How old what is told of the store may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The store, and when it was looked at.
type Seen = (Boot, Arc<Census>);

/// What is scraped.
#[derive(Clone, Debug)]
pub struct Metrics {
    store: Store,
    owner: OwnerId,
    last: Arc<Mutex<Option<Seen>>>,
}

impl Metrics {
    /// Of this process, which holds leases as `owner`.
    pub fn new(store: Store, owner: OwnerId) -> Self {
        Self {
            store,
            owner,
            last: Arc::default(),
        }
    }

    /// The route.
    pub fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(scrape))
            .with_state(self)
    }

    /// Everything, in the text format. Scrapes at the same time read the store once.
    pub async fn text(&self) -> String {
        let mut text = String::new();
        meters::write(&mut text);
        let mut last = self.last.lock().await;
        let fresh = last
            .as_ref()
            .filter(|(at, _)| Boot::now().since(*at) < FRESH);
        let census = match fresh {
            Some((_, census)) => Some(census.clone()),
            None => match tokio::time::timeout(PATIENCE, self.store.census()).await {
                Ok(Ok(census)) => {
                    let census = Arc::new(census);
                    *last = Some((Boot::now(), census.clone()));
                    Some(census)
                }
                Ok(Err(_)) | Err(_) => None,
            },
        };
        drop(last);
        reading::write(&mut text, census.as_deref(), &self.owner);
        process::write(&mut text);
        text.push_str("# EOF\n");
        text
    }
}

async fn scrape(State(metrics): State<Metrics>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.text().await)
}
