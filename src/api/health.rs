//! Probes, open to everybody: they tell nothing but up or down. And how each part of the system is, for
//! who may look: `ok`, `degraded` when somebody should look, `down` when it does not work.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::openapi::{Operation, Routes};
use super::path::Path;
use super::problem::{Kind, Problem};
use super::scope::Scope;
use super::{Answer, Api};
use crate::clock::Boot;

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// And before somebody should look.
const SLOW: Duration = Duration::from_millis(500);
/// How old a job may be before somebody should look: twice what an agent's claim holds unless set.
const OLD_JOB_MS: i64 = 600_000;
/// How long a message may wait to be sent: longer than three attempts.
const OLD_MESSAGE_MS: i64 = 120_000;

/// The open routes.
pub(super) fn probes() -> Routes {
    Routes::of(None)
        .get(
            "/healthz",
            Operation::new("The process turns.").media("text/plain"),
            live,
        )
        .get(
            "/readyz",
            Operation::new("Requests can be served.").media("text/plain"),
            ready,
        )
        .get(
            "/openapi.json",
            Operation::new("This document."),
            description,
        )
}

/// The routes for who may look.
pub(super) fn components() -> Routes {
    Routes::of(Some(Scope::Read)).get(
        "/health/{component}",
        Operation::new(
            "How a part is: store, lease, session, queue or outbox; 503 when it is down.",
        ),
        component,
    )
}

/// The process turns. Says nothing of store or WhatsApp: a restart would mend neither.
async fn live() -> &'static str {
    "ok\n"
}

/// Requests can be served: the store answers, and the process is not stopping. Its keys and the store's
/// schema were checked before it began to listen. Whether WhatsApp is connected is not asked: a worker
/// that waits for a lease is ready.
async fn ready(State(api): State<Api>) -> Result<&'static str, Problem> {
    if api.stop.is_cancelled() {
        return Err(Problem::new(Kind::Unavailable, "this worker is stopping"));
    }
    ping(&api).await.map(|_| "ready\n")
}

async fn description() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        super::document(),
    )
}

async fn ping(api: &Api) -> Result<Duration, Problem> {
    let begun = Boot::now();
    match tokio::time::timeout(PATIENCE, api.store.now_ms()).await {
        Ok(answer) => answer
            .map(|_| Boot::now().since(begun))
            .map_err(Problem::from),
        Err(_) => Err(Problem::new(
            Kind::Unavailable,
            "the store does not answer: try again",
        )),
    }
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Down,
    Degraded,
    Ok,
}

impl Health {
    fn answer(self, mut detail: Value) -> Answer<Value> {
        let (status, word) = match self {
            Self::Down => (StatusCode::SERVICE_UNAVAILABLE, "down"),
            Self::Degraded => (StatusCode::OK, "degraded"),
            Self::Ok => (StatusCode::OK, "ok"),
        };
        detail["status"] = word.into();
        (status, axum::Json(detail))
    }

    /// Of `all`, so many are `well`.
    fn of_share(well: usize, all: usize) -> Self {
        match (well, all) {
            (well, all) if well >= all => Self::Ok,
            (0, _) => Self::Down,
            _ => Self::Degraded,
        }
    }

    fn unless(worrying: bool) -> Self {
        if worrying { Self::Degraded } else { Self::Ok }
    }
}

/// `GET /health/{component}`.
async fn component(
    State(api): State<Api>,
    Path(component): Path<String>,
) -> Result<Answer<Value>, Problem> {
    match component.as_str() {
        "store" => store(&api).await,
        "lease" => leases(&api).await,
        "session" => sessions(&api).await,
        "queue" => queue(&api).await,
        "outbox" => outbox(&api).await,
        other => Err(Problem::no_such("component", other)),
    }
}

async fn store(api: &Api) -> Result<Answer<Value>, Problem> {
    let took = match ping(api).await {
        Ok(took) => took,
        Err(_) => return Ok(Health::Down.answer(json!({"latencyMs": null}))),
    };
    let detail = json!({"latencyMs": took.as_millis()});
    Ok(Health::unless(took >= SLOW).answer(detail))
}

/// Every enabled account has a holder.
async fn leases(api: &Api) -> Result<Answer<Value>, Problem> {
    let accounts = api.store.accounts().await?;
    let leases = api.store.leases().await?;
    let enabled = accounts.iter().filter(|account| account.enabled);
    let (held, alone): (Vec<_>, Vec<_>) = enabled.partition(|account| {
        let row = leases.iter().find(|row| row.account == account.id);
        row.is_some_and(|row| !row.is_free())
    });
    let health = Health::of_share(held.len(), held.len() + alone.len());
    let alone: Vec<_> = alone.iter().map(|account| &account.id).collect();
    let workers = api.store.workers().await?.len();
    Ok(health.answer(json!({"held": held.len(), "withoutHolder": alone, "workers": workers})))
}

/// Every enabled account that is linked is connected.
async fn sessions(api: &Api) -> Result<Answer<Value>, Problem> {
    let accounts = api.store.accounts().await?;
    let sessions = api.store.session_statuses().await?;
    let linked = accounts
        .iter()
        .filter(|account| account.enabled && account.linked_at.is_some());
    let (connected, others): (Vec<_>, Vec<_>) = linked.partition(|account| {
        let session = sessions.get(&account.id);
        session.is_some_and(|session| session.state == "connected")
    });
    let health = Health::of_share(connected.len(), connected.len() + others.len());
    let others: Vec<_> = others
        .iter()
        .map(|account| json!({"accountId": account.id, "session": sessions.get(&account.id)}))
        .collect();
    Ok(health.answer(json!({"connected": connected.len(), "others": others})))
}

async fn queue(api: &Api) -> Result<Answer<Value>, Problem> {
    let depths = api.store.queue_depths().await?;
    let paused = api.store.controls().await?.paused;
    let sum = |count: fn(&crate::store::QueueDepth) -> i64| depths.iter().map(count).sum::<i64>();
    let oldest = depths.iter().filter_map(|depth| depth.oldest_age_ms).max();
    let dead = sum(|depth| depth.dead);
    let worrying = paused || dead > 0 || oldest.is_some_and(|age| age > OLD_JOB_MS);
    Ok(Health::unless(worrying).answer(json!({
        "paused": paused,
        "pending": sum(|depth| depth.pending),
        "processing": sum(|depth| depth.processing),
        "dead": dead,
        "oldestAgeMs": oldest,
    })))
}

async fn outbox(api: &Api) -> Result<Answer<Value>, Problem> {
    let depths = api.store.outbox_depths().await?;
    let oldest = depths.iter().map(|depth| depth.oldest_age_ms).max();
    let old = oldest.is_some_and(|age| age > OLD_MESSAGE_MS);
    Ok(Health::unless(old).answer(json!({
        "pending": depths.iter().map(|depth| depth.pending).sum::<i64>(),
        "sending": depths.iter().map(|depth| depth.sending).sum::<i64>(),
        "oldestAgeMs": oldest,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_down_only_when_nothing_of_it_is_well() {
        for (well, all, health) in [
            (0, 0, Health::Ok),
            (2, 2, Health::Ok),
            (1, 2, Health::Degraded),
            (0, 2, Health::Down),
        ] {
            assert_eq!(Health::of_share(well, all), health, "{well} of {all}");
        }
        assert_eq!(
            Health::Down.answer(json!({})).0,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(Health::Degraded.answer(json!({})).1.0["status"], "degraded");
    }
}
