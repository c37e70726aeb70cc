//! Who operates which account, and giving it to somebody else. What is asked is done by workers: the
//! answer is 202, and the lease tells how it goes.

use axum::Json as Answered;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::accounts::Listing;
use super::{ACTOR, pages};
use crate::api::body::{Json, Query};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::api::{Answer, Api};
use crate::fleet::handing::{self, Refusal};
use crate::ids::AccountId;
use crate::store::{AuditRow, LeaseRow, SessionStatus};

/// How many of the last transitions are shown.
const TRANSITIONS: i64 = 20;

/// The one place where refusals about leases become statuses.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing(text) => Self::new(Kind::NotFound, text),
            Refusal::Taker(text) => Self::new(Kind::Conflict, text),
            Refusal::Silent(text) => Self::new(
                Kind::Conflict,
                format!("{text}; `\"force\": true` takes it away now"),
            ),
            Refusal::Store(error) => error.into(),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    /// Take the lease away at once, from a holder that cannot release it by itself.
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferBody {
    /// The worker: its `WORKER_ID`, or the owner as the list of workers shows it.
    to: String,
}

/// `GET /v1/admin/leases`.
pub async fn list(
    State(api): State<Api>,
    Query(listing): Query<Listing>,
) -> Result<Answered<Value>, Problem> {
    let bounds = listing.bounds()?;
    let rows = api.store.leases().await?;
    let id = |row: &LeaseRow| row.account.as_str().to_owned();
    let rows: Vec<(String, LeaseRow)> = rows.into_iter().map(|row| (id(&row), row)).collect();
    let show = |(_, row): &(String, LeaseRow)| json!(LeaseView::of(row));
    Ok(pages::of_all("leases", rows, bounds, |(id, _)| id, show))
}

/// `GET /v1/admin/leases/{account}`, with its session and its last transitions.
pub async fn show(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answered<LeaseDetail>, Problem> {
    look(&api, &account).await.map(Answered)
}

/// `POST /v1/admin/leases/{account}/release`.
pub async fn release(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
    Json(wanted): Json<ReleaseBody>,
) -> Result<Answer<LeaseDetail>, Problem> {
    if wanted.force {
        handing::take_away(&api.store, &account, ACTOR).await?;
    } else {
        handing::release(&api.store, &account, ACTOR).await?;
    }
    let now = look(&api, &account).await?;
    Ok((StatusCode::ACCEPTED, Answered(now)))
}

/// `POST /v1/admin/leases/{account}/transfer`.
pub async fn transfer(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
    Json(wanted): Json<TransferBody>,
) -> Result<Answer<LeaseDetail>, Problem> {
    handing::transfer(&api.store, &account, &wanted.to, ACTOR).await?;
    let now = look(&api, &account).await?;
    Ok((StatusCode::ACCEPTED, Answered(now)))
}

async fn look(api: &Api, account: &AccountId) -> Result<LeaseDetail, Problem> {
    let (row, _) = handing::look(&api.store, account).await?;
    Ok(LeaseDetail {
        lease: LeaseView::of(&row),
        session: api.store.session_status(account).await?,
        transitions: api.store.audit(account, TRANSITIONS).await?,
    })
}

/// A lease as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseView {
    account_id: AccountId,
    /// Who holds it.
    owner_id: Option<String>,
    /// Grows with each acquisition.
    epoch: i64,
    /// Grows with each heartbeat.
    beat: i64,
    /// Store's clock.
    expires_at: i64,
    remaining_ms: i64,
    /// Who is to have it next.
    successor: Option<String>,
}

impl LeaseView {
    pub(super) fn of(row: &LeaseRow) -> Self {
        Self {
            account_id: row.account.clone(),
            owner_id: row.holder().map(|owner| owner.as_str().to_owned()),
            epoch: row.epoch.0,
            beat: row.beat,
            expires_at: row.expires_at,
            remaining_ms: row.remaining_ms.max(0),
            successor: row.successor.clone(),
        }
    }
}

/// A lease with its session and its last transitions.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeaseDetail {
    #[serde(flatten)]
    lease: LeaseView,
    session: Option<SessionStatus>,
    transitions: Vec<AuditRow>,
}
