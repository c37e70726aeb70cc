//! The numbers that are operated, and the switch above all of them.

use std::collections::HashMap;

use axum::Json as Answered;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::leases::LeaseView;
use super::{ACTOR, pages};
use crate::api::body::{Json, Query, number};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::{Answer, Api};
use crate::ids::{AccountId, mask};
use crate::store::{Account, Controls, LeaseRow, QueueDepth, SessionStatus};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// 1 to 500; 100 unless set.
    #[serde(default, deserialize_with = "number")]
    limit: Option<i64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

impl Listing {
    /// What [`pages::of_all`] wants.
    pub(super) fn bounds(&self) -> Result<(i64, Option<&str>), Problem> {
        Ok((pages::limit(self.limit)?, self.cursor.as_deref()))
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAccount {
    account_id: AccountId,
}

/// An account with all that belongs to it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    account_id: AccountId,
    enabled: bool,
    /// No work for agents, and nothing is sent.
    paused: bool,
    pause_reason: Option<String>,
    /// Its number, masked, while it is linked.
    number: Option<String>,
    /// When it was linked, store's clock.
    linked_at: Option<i64>,
    lease: Option<LeaseView>,
    session: Option<SessionStatus>,
    queue: Option<QueueDepth>,
}

/// `GET /v1/admin/accounts`.
pub async fn list(
    State(api): State<Api>,
    Query(listing): Query<Listing>,
) -> Result<Answered<Value>, Problem> {
    let bounds = listing.bounds()?;
    let store = &api.store;
    let leases: HashMap<_, _> = store
        .leases()
        .await?
        .into_iter()
        .map(|row| (row.account.clone(), row))
        .collect();
    let sessions = store.session_statuses().await?;
    let queues = store.queue_depths().await?;
    let accounts = store.accounts().await?;
    let answer = pages::of_all(
        "accounts",
        accounts,
        bounds,
        |account| account.id.as_str(),
        |account| {
            let queue = queues.iter().find(|queue| queue.account_id == account.id);
            let (lease, session) = (leases.get(&account.id), sessions.get(&account.id));
            json!(shown(account, lease, session, queue))
        },
    );
    Ok(answer)
}

/// `GET /v1/admin/accounts/{account}`.
pub async fn show(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answered<AccountView>, Problem> {
    look(&api, &account).await.map(Answered)
}

/// `POST /v1/admin/accounts`.
pub async fn add(
    State(api): State<Api>,
    Json(wanted): Json<NewAccount>,
) -> Result<Answer<AccountView>, Problem> {
    let added = api.store.add_account(&wanted.account_id, ACTOR).await?;
    let status = if added {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Answered(look(&api, &wanted.account_id).await?)))
}

/// `POST /v1/admin/accounts/{account}/enable`.
pub async fn enable(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answered<AccountView>, Problem> {
    must_exist(&api, &account).await?;
    api.store.set_enabled(&account, true, ACTOR).await?;
    look(&api, &account).await.map(Answered)
}

/// `POST /v1/admin/accounts/{account}/disable`.
pub async fn disable(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answered<AccountView>, Problem> {
    must_exist(&api, &account).await?;
    api.store.set_enabled(&account, false, ACTOR).await?;
    look(&api, &account).await.map(Answered)
}

/// `POST /v1/admin/accounts/{account}/pause`.
pub async fn pause(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answered<AccountView>, Problem> {
    must_exist(&api, &account).await?;
    api.store.set_paused(&account, true, ACTOR).await?;
    look(&api, &account).await.map(Answered)
}

/// `POST /v1/admin/accounts/{account}/resume`.
pub async fn resume(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answered<AccountView>, Problem> {
    must_exist(&api, &account).await?;
    api.store.set_paused(&account, false, ACTOR).await?;
    look(&api, &account).await.map(Answered)
}

/// `GET /v1/admin/controls`: the switch above all accounts.
pub async fn controls(State(api): State<Api>) -> Result<Answered<Controls>, Problem> {
    Ok(Answered(api.store.controls().await?))
}

/// `POST /v1/admin/pause`.
pub async fn pause_all(State(api): State<Api>) -> Result<Answered<Controls>, Problem> {
    api.store.pause_everything(true, ACTOR).await?;
    controls(State(api)).await
}

/// `POST /v1/admin/resume`.
pub async fn resume_all(State(api): State<Api>) -> Result<Answered<Controls>, Problem> {
    api.store.pause_everything(false, ACTOR).await?;
    controls(State(api)).await
}

pub(super) async fn must_exist(api: &Api, account: &AccountId) -> Result<Account, Problem> {
    let found = api.store.account(account).await?;
    found.ok_or_else(|| Problem::no_such("account", account.as_str()))
}

pub(super) async fn look(api: &Api, id: &AccountId) -> Result<AccountView, Problem> {
    let account = must_exist(api, id).await?;
    let lease = api.store.lease(id).await?;
    let session = api.store.session_status(id).await?;
    let queues = api.store.queue_depths().await?;
    let queue = queues.iter().find(|queue| queue.account_id == *id);
    Ok(shown(&account, lease.as_ref(), session.as_ref(), queue))
}

fn shown(
    account: &Account,
    lease: Option<&LeaseRow>,
    session: Option<&SessionStatus>,
    queue: Option<&QueueDepth>,
) -> AccountView {
    let number = account.linked_at.and(account.linked.as_ref());
    AccountView {
        account_id: account.id.clone(),
        enabled: account.enabled,
        paused: account.paused,
        pause_reason: account.pause_reason.clone(),
        number: number.map(|jid| mask(jid.user())),
        linked_at: account.linked_at,
        lease: lease.map(LeaseView::of),
        session: session.cloned(),
        queue: queue.cloned(),
    }
}
