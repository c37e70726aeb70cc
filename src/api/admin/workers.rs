//! The processes that operate accounts.

use axum::Json as Answered;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::accounts::Listing;
use super::{ACTOR, pages};
use crate::api::body::Query;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::{Answer, Api};
use crate::fleet::handing;
use crate::store::WorkerRow;

/// `GET /v1/admin/workers`.
pub async fn list(
    State(api): State<Api>,
    Query(listing): Query<Listing>,
) -> Result<Answered<Value>, Problem> {
    let bounds = listing.bounds()?;
    let leases = api.store.leases().await?;
    let workers = api.store.workers().await?;
    let owner = |worker: &WorkerRow| worker.told.owner.as_str().to_owned();
    let rows: Vec<_> = workers.into_iter().map(|row| (owner(&row), row)).collect();
    let show = |(_, worker): &(String, WorkerRow)| {
        let told = &worker.told;
        let held = leases
            .iter()
            .filter(|row| row.holder() == Some(&told.owner));
        json!({
            "ownerId": told.owner.as_str(),
            "held": held.count(),
            "capacity": told.capacity,
            "accounts": told.accounts,
            "draining": worker.is_draining(),
            "drainAsked": worker.drain_asked,
            "beatAgeMs": worker.beat_age_ms,
            "startedAt": worker.started_at,
            "version": told.version,
            "installation": told.installation,
        })
    };
    Ok(pages::of_all("workers", rows, bounds, |(id, _)| id, show))
}

/// `POST /v1/admin/workers/{worker}/drain`.
pub async fn drain(
    State(api): State<Api>,
    Path(worker): Path<String>,
) -> Result<Answer<Value>, Problem> {
    let draining = handing::drain(&api.store, &worker, ACTOR).await?;
    let answer = json!({
        "ownerId": draining.owner.as_str(),
        "leaving": draining.leaving,
        "staying": draining.staying,
    });
    Ok((StatusCode::ACCEPTED, Answered(answer)))
}

/// `POST /v1/admin/workers/{worker}/undrain`.
pub async fn undrain(
    State(api): State<Api>,
    Path(worker): Path<String>,
) -> Result<Answer<Value>, Problem> {
    let owner = handing::undrain(&api.store, &worker, ACTOR).await?;
    let answer = json!({"ownerId": owner.as_str()});
    Ok((StatusCode::ACCEPTED, Answered(answer)))
}
