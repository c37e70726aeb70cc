//! Probes, open to everybody: they tell nothing but up or down.

use std::time::Duration;

use axum::extract::State;

use super::Api;
use super::problem::{Kind, Problem};

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process turns. Says nothing of store or WhatsApp: a restart would mend neither.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Requests can be served: the store answers, and the process is not stopping.
pub async fn ready(State(api): State<Api>) -> Result<&'static str, Problem> {
    if api.stop.is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, "this worker is stopping"));
    }
    match tokio::time::timeout(PATIENCE, api.store.now_ms()).await {
        Ok(answer) => answer.map(|_| "ready\n").map_err(Problem::from),
        Err(_) => Err(Problem::new(
            Kind::Unavailable,
            "the store does not answer: try again",
        )),
    }
}
