//! What the store knows of an account's auth state, and what may be asked of its holder. The keys
//! themselves are looked at by `whatsapp-worker auth status`, on the machine that has them.

use axum::Json as Answered;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::ACTOR;
use super::accounts::must_exist;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::{Answer, Api};
use crate::ids::{AccountId, mask};
use crate::store::{AuthMedium, AuthOrder, SessionStatus};

/// `GET /v1/admin/accounts/{account}/auth`.
pub async fn show(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answered<AuthStanding>, Problem> {
    look(&api, &account).await.map(Answered)
}

/// `POST /v1/admin/accounts/{account}/auth/clear`.
pub async fn clear(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answer<AuthStanding>, Problem> {
    order(&api, &account, AuthOrder::Clear).await
}

/// `POST /v1/admin/accounts/{account}/auth/accept-rollback`.
pub async fn accept_rollback(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answer<AuthStanding>, Problem> {
    order(&api, &account, AuthOrder::AcceptRollback).await
}

async fn order(
    api: &Api,
    account: &AccountId,
    order: AuthOrder,
) -> Result<Answer<AuthStanding>, Problem> {
    if !api.store.order_auth(account, order, ACTOR).await? {
        return Err(Problem::no_such("account", account.as_str()));
    }
    let now = look(api, account).await?;
    Ok((StatusCode::ACCEPTED, Answered(now)))
}

async fn look(api: &Api, id: &AccountId) -> Result<AuthStanding, Problem> {
    let account = must_exist(api, id).await?;
    let ordered = api.store.auth_order(id).await?;
    let mark = api.store.auth_mark(id).await?;
    Ok(AuthStanding {
        account_id: id.clone(),
        linked: account.linked_at.is_some(),
        linked_at: account.linked_at,
        number: account.linked.as_ref().map(|jid| mask(jid.user())),
        medium: account.auth_medium.map(AuthMedium::as_str),
        installation: account.auth_home,
        writes: mark.as_ref().map(|mark| mark.writes),
        lineage: mark.map(|mark| mark.lineage),
        ordered: ordered.map(|asked| Ordered {
            order: match asked.order {
                AuthOrder::Clear => "clear",
                AuthOrder::AcceptRollback => "accept-rollback",
            },
            actor: asked.actor,
        }),
        session: api.store.session_status(id).await?,
    })
}

/// What the store knows of an account's auth state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthStanding {
    account_id: AccountId,
    linked: bool,
    /// Store's clock.
    linked_at: Option<i64>,
    /// Masked.
    number: Option<String>,
    /// `local` or `remote`.
    medium: Option<&'static str>,
    /// Whose disk has it, when it is local.
    installation: Option<String>,
    /// Of the state that was seen last.
    lineage: Option<String>,
    /// How many writes that one had taken.
    writes: Option<u64>,
    ordered: Option<Ordered>,
    session: Option<SessionStatus>,
}

/// What its next holder is to do with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ordered {
    /// `clear` or `accept-rollback`.
    order: &'static str,
    actor: String,
}
