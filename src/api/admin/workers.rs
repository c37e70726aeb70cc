//! The processes that operate accounts.

use axum::Json as Answered;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::accounts::Listing;
use super::{ACTOR, pages};
use crate::api::body::Query;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::{Answer, Api};
use crate::fleet::handing;
use crate::ids::AccountId;
use crate::store::WorkerRow;

/// A living worker.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerView {
    owner_id: String,
    /// How many leases it holds.
    held: usize,
    /// How many it takes at most.
    capacity: i64,
    /// Which accounts it operates, as configured.
    accounts: String,
    /// It gives its accounts away.
    draining: bool,
    /// It was asked to.
    drain_asked: bool,
    beat_age_ms: i64,
    /// Store's clock.
    started_at: i64,
    version: String,
    installation: String,
}

/// What becomes of a drained worker's accounts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drained {
    owner_id: String,
    /// Those that another worker can take.
    leaving: Vec<AccountId>,
    /// Those that nobody else can take now.
    staying: Vec<AccountId>,
}

/// A worker that takes accounts again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Undrained {
    owner_id: String,
}

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
        json!(WorkerView {
            owner_id: told.owner.to_string(),
            held: held.count(),
            capacity: told.capacity,
            accounts: told.accounts.clone(),
            draining: worker.is_draining(),
            drain_asked: worker.drain_asked,
            beat_age_ms: worker.beat_age_ms,
            started_at: worker.started_at,
            version: told.version.clone(),
            installation: told.installation.clone(),
        })
    };
    Ok(pages::of_all("workers", rows, bounds, |(id, _)| id, show))
}

/// `POST /v1/admin/workers/{worker}/drain`.
pub async fn drain(
    State(api): State<Api>,
    Path(worker): Path<String>,
) -> Result<Answer<Drained>, Problem> {
    let draining = handing::drain(&api.store, &worker, ACTOR).await?;
    let answer = Drained {
        owner_id: draining.owner.to_string(),
        leaving: draining.leaving,
        staying: draining.staying,
    };
    Ok((StatusCode::ACCEPTED, Answered(answer)))
}

/// `POST /v1/admin/workers/{worker}/undrain`.
pub async fn undrain(
    State(api): State<Api>,
    Path(worker): Path<String>,
) -> Result<Answer<Undrained>, Problem> {
    let owner = handing::undrain(&api.store, &worker, ACTOR).await?;
    let answer = Undrained {
        owner_id: owner.to_string(),
    };
    Ok((StatusCode::ACCEPTED, Answered(answer)))
}
