//! What the store knows of an account's auth state, and what may be asked of its holder. The keys
//! themselves are looked at by `whatsapp-worker auth status`, on the machine that has them.

use axum::Json as Answered;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::ACTOR;
use super::accounts::must_exist;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::api::{Answer, Api};
use crate::ids::{AccountId, mask};
use crate::store::{AuthMedium, AuthOrder};

/// `GET /v1/admin/accounts/{account}/auth`.
pub async fn show(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answered<Value>, Problem> {
    look(&api, &account).await.map(Answered)
}

/// `POST /v1/admin/accounts/{account}/auth/clear`.
pub async fn clear(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answer<Value>, Problem> {
    order(&api, &account, AuthOrder::Clear).await
}

/// `POST /v1/admin/accounts/{account}/auth/accept-rollback`.
pub async fn accept_rollback(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
) -> Result<Answer<Value>, Problem> {
    order(&api, &account, AuthOrder::AcceptRollback).await
}

async fn order(api: &Api, account: &AccountId, order: AuthOrder) -> Result<Answer<Value>, Problem> {
    if !api.store.order_auth(account, order, ACTOR).await? {
        return Err(Problem::no_such("account", account.as_str()));
    }
    let now = look(api, account).await?;
    Ok((StatusCode::ACCEPTED, Answered(now)))
}

async fn look(api: &Api, id: &AccountId) -> Result<Value, Problem> {
    let account = must_exist(api, id).await?;
    let ordered = api.store.auth_order(id).await?;
    let mark = api.store.auth_mark(id).await?;
    let number = account.linked.as_ref().map(|jid| mask(jid.user()));
    Ok(json!({
        "accountId": id,
        "linked": account.linked_at.is_some(),
        "linkedAt": account.linked_at,
        "number": number,
        "medium": account.auth_medium.map(AuthMedium::as_str),
        "installation": account.auth_home,
        "lineage": mark.as_ref().map(|mark| &mark.lineage),
        "writes": mark.as_ref().map(|mark| mark.writes),
        "ordered": ordered.map(|asked| json!({
            "order": match asked.order {
                AuthOrder::Clear => "clear",
                AuthOrder::AcceptRollback => "accept-rollback",
            },
            "actor": asked.actor,
        })),
        "session": api.store.session_status(id).await?,
    }))
}
