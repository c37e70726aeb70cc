//! Probes, open to everybody: they tell nothing but up or down. And how each part of the system is, for
//! who may look: `ok`, `degraded` when somebody should look, `down` when it does not work.

mod report;

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::openapi::{Operation, Routes};
use super::path::Path;
use super::problem::{Kind, Problem};
use super::scope::Scope;
use super::{Answer, Api};
use crate::clock::Boot;
use report::{Health, HealthReport, Part, Unconnected};

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
        Operation::new("How a part is: store, lease, session, queue or outbox.")
            .answers::<HealthReport>()
            .answers_too(503, "It is down, or the store does not answer."),
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

/// `GET /health/{component}`.
async fn component(
    State(api): State<Api>,
    Path(component): Path<String>,
) -> Result<Answer<HealthReport>, Problem> {
    match component.as_str() {
        "store" => store(&api).await,
        "lease" => leases(&api).await,
        "session" => sessions(&api).await,
        "queue" => queue(&api).await,
        "outbox" => outbox(&api).await,
        other => Err(Problem::no_such("component", other)),
    }
}

async fn store(api: &Api) -> Result<Answer<HealthReport>, Problem> {
    let took = ping(api).await.ok();
    let health = match took {
        Some(took) => Health::unless(took >= SLOW),
        None => Health::Down,
    };
    let latency_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    Ok(health.of(Part::Store { latency_ms }))
}

/// Every enabled account has a holder.
async fn leases(api: &Api) -> Result<Answer<HealthReport>, Problem> {
    let accounts = api.store.accounts().await?;
    let leases = api.store.leases().await?;
    let enabled = accounts.iter().filter(|account| account.enabled);
    let (held, alone): (Vec<_>, Vec<_>) = enabled.partition(|account| {
        let row = leases.iter().find(|row| row.account == account.id);
        row.is_some_and(|row| !row.is_free())
    });
    let health = Health::of_share(held.len(), held.len() + alone.len());
    Ok(health.of(Part::Lease {
        held: held.len(),
        without_holder: alone.iter().map(|account| account.id.clone()).collect(),
        workers: api.store.workers().await?.len(),
    }))
}

/// Every enabled account that is linked is connected.
async fn sessions(api: &Api) -> Result<Answer<HealthReport>, Problem> {
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
    let others = others.iter().map(|account| Unconnected {
        account_id: account.id.clone(),
        session: sessions.get(&account.id).cloned(),
    });
    Ok(health.of(Part::Session {
        connected: connected.len(),
        others: others.collect(),
    }))
}

async fn queue(api: &Api) -> Result<Answer<HealthReport>, Problem> {
    let depths = api.store.queue_depths().await?;
    let paused = api.store.controls().await?.paused;
    let sum = |count: fn(&crate::store::QueueDepth) -> i64| depths.iter().map(count).sum::<i64>();
    let oldest = depths.iter().filter_map(|depth| depth.oldest_age_ms).max();
    let dead = sum(|depth| depth.dead);
    let worrying = paused || dead > 0 || oldest.is_some_and(|age| age > OLD_JOB_MS);
    Ok(Health::unless(worrying).of(Part::Queue {
        paused,
        pending: sum(|depth| depth.pending),
        processing: sum(|depth| depth.processing),
        dead,
        oldest_age_ms: oldest,
    }))
}

async fn outbox(api: &Api) -> Result<Answer<HealthReport>, Problem> {
    let depths = api.store.outbox_depths().await?;
    let oldest = depths.iter().map(|depth| depth.oldest_age_ms).max();
    let old = oldest.is_some_and(|age| age > OLD_MESSAGE_MS);
    Ok(Health::unless(old).of(Part::Outbox {
        pending: depths.iter().map(|depth| depth.pending).sum(),
        sending: depths.iter().map(|depth| depth.sending).sum(),
        oldest_age_ms: oldest,
    }))
}
