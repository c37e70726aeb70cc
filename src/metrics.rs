//! `/metrics` in Prometheus' text format, on a listener of its own.
//!
//! Three parts: what this process counted ([`crate::telemetry::meters`]), what the store holds
//! ([`Lookout`]), and how the process is ([`process`]). The store is read at a scrape, at most once in a
//! second and for no longer than [`PATIENCE`]: one that does not answer is `wa_store_up 0`, and the
//! rest is told all the same.
//!
//! Every process tells the queues of all accounts, and only its own leases and sessions: sum what is
//! counted, take the greatest of what is read.

mod process;
mod reading;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::ids::OwnerId;
use crate::store::Lookout;
use crate::telemetry::meters;

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is scraped.
#[derive(Clone, Debug)]
pub struct Metrics {
    lookout: Lookout,
    owner: OwnerId,
}

impl Metrics {
    /// Of this process, which holds leases as `owner`.
    pub fn new(lookout: Lookout, owner: OwnerId) -> Self {
        Self { lookout, owner }
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
        let census = tokio::time::timeout(PATIENCE, self.lookout.census()).await;
        let census = census.ok().and_then(Result::ok);
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
