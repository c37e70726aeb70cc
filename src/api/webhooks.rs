//! Webhooks, made and changed while workers run. Those of `WEBHOOKS_FILE` are shown, and changed there.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Json;
use super::jobs::check_accounts;
use super::path::Path;
use super::problem::{Kind, Problem};
use super::{ACTOR, Answer, Api};
use crate::ids::AccountId;
use crate::store::StoredWebhook;
use crate::webhooks::signature::Secret;
use crate::webhooks::{
    DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT, HookUrl, Invalid, Target, Webhook, check_name,
};

/// How long the secret before a new one signs too.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::field(invalid.field, invalid.why)
    }
}

/// What is set of a webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    name: Option<String>,
    #[schema(value_type = String)]
    url: HookUrl,
    accounts: Option<Vec<AccountId>>,
    timeout_ms: Option<u64>,
    concurrency: Option<u32>,
    enabled: Option<bool>,
    secret: Option<String>,
}

impl Wanted {
    async fn target(self, api: &Api) -> Result<Target, Problem> {
        let usual = u64::try_from(DEFAULT_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
        let target = Target {
            url: self.url,
            accounts: self.accounts,
            timeout_ms: self.timeout_ms.unwrap_or(usual),
            concurrency: self.concurrency.unwrap_or(DEFAULT_CONCURRENCY),
            enabled: self.enabled.unwrap_or(true),
        };
        target.check()?;
        if let Some(accounts) = &target.accounts {
            check_accounts(api, accounts).await?;
        }
        Ok(target)
    }
}

/// `GET /v1/webhooks`, without secrets.
pub async fn list(State(api): State<Api>) -> Result<axum::Json<Webhooks>, Problem> {
    let stored = api.store.webhooks().await?;
    let listed = api.listed.iter();
    let webhooks = stored
        .iter()
        .filter(|stored| !api.is_listed(&stored.webhook.name))
        .map(shown)
        .chain(listed.map(|webhook| base(webhook, "file")))
        .collect();
    Ok(axum::Json(Webhooks { webhooks }))
}

/// `GET /v1/webhooks/{name}`, without its secret.
pub async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<axum::Json<WebhookView>, Problem> {
    if let Some(webhook) = api.listed.iter().find(|webhook| webhook.name == name) {
        return Ok(axum::Json(base(webhook, "file")));
    }
    Ok(axum::Json(shown(&find(&api, &name).await?)))
}

/// `POST /v1/webhooks`. The answer, and no later one, has the secret.
pub async fn add(
    State(api): State<Api>,
    Json(mut wanted): Json<Wanted>,
) -> Result<Answer<WebhookView>, Problem> {
    let name = wanted.name.take();
    let name = name.ok_or_else(|| Problem::field("name", "missing field `name`"))?;
    check_name(&name)?;
    let secret = secret(wanted.secret.take())?;
    let target = wanted.target(&api).await?;
    if api.is_listed(&name)
        || !api
            .store
            .add_webhook(&name, &target, &secret, ACTOR)
            .await?
    {
        let detail = format!("there is a webhook {name:?} already");
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let mut answer = shown(&find(&api, &name).await?);
    answer.secret = Some(secret.reveal().to_owned());
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// `PUT /v1/webhooks/{name}`: what is left out gets its default; the secret stays.
pub async fn change(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<axum::Json<WebhookView>, Problem> {
    api.refuse_listed(&name)?;
    if wanted.name.as_ref().is_some_and(|other| *other != name) {
        return Err(Problem::field("name", "a webhook keeps its name"));
    }
    if wanted.secret.is_some() {
        let path = format!("use POST /v1/webhooks/{name}/rotate");
        return Err(Problem::field("secret", path));
    }
    let target = wanted.target(&api).await?;
    if !api.store.change_webhook(&name, &target, ACTOR).await? {
        return Err(unknown(&name));
    }
    Ok(axum::Json(shown(&find(&api, &name).await?)))
}

/// A secret of one's own, if it is not to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    secret: Option<String>,
}

/// `POST /v1/webhooks/{name}/rotate`: a new secret signs; the one before it too, for a day.
pub async fn rotate(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(wanted): Json<Rotation>,
) -> Result<axum::Json<WebhookView>, Problem> {
    api.refuse_listed(&name)?;
    let secret = secret(wanted.secret)?;
    if !api
        .store
        .rotate_webhook(&name, &secret, OVERLAP, ACTOR)
        .await?
    {
        return Err(unknown(&name));
    }
    let mut answer = shown(&find(&api, &name).await?);
    answer.secret = Some(secret.reveal().to_owned());
    Ok(axum::Json(answer))
}

/// `DELETE /v1/webhooks/{name}`. What it was given is settled; what waits stays in the queue.
pub async fn remove(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    api.refuse_listed(&name)?;
    if api.store.remove_webhook(&name, ACTOR).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown(&name))
    }
}

impl Api {
    fn is_listed(&self, name: &str) -> bool {
        self.listed.iter().any(|webhook| webhook.name == name)
    }

    fn refuse_listed(&self, name: &str) -> Result<(), Problem> {
        if self.is_listed(name) {
            let detail = format!("webhook {name:?} is in WEBHOOKS_FILE: change it there");
            return Err(Problem::new(Kind::Conflict, detail));
        }
        Ok(())
    }
}

fn secret(text: Option<String>) -> Result<Secret, Problem> {
    match text {
        None => Ok(Secret::random()),
        Some(text) => {
            Secret::parse(&text).map_err(|error| Problem::field("secret", error.to_string()))
        }
    }
}

async fn find(api: &Api, name: &str) -> Result<StoredWebhook, Problem> {
    let found = api.store.webhook(name).await?;
    found.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Problem {
    Problem::no_such("webhook", name)
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookView {
    name: String,
    #[serde(flatten)]
    target: Target,
    /// `file`, or `api` when it can be changed here.
    source: &'static str,
    #[serde(flatten)]
    stored: Option<Stored>,
    /// Told when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// What a webhook of the API has more than one of the file.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// Until when the secret before this one signs too, store's clock.
    previous_secret_until: Option<i64>,
    /// Store's clock.
    created_at: i64,
    /// Store's clock.
    updated_at: i64,
}

/// All webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Webhooks {
    webhooks: Vec<WebhookView>,
}

fn shown(stored: &StoredWebhook) -> WebhookView {
    WebhookView {
        stored: Some(Stored {
            previous_secret_until: stored.previous_until,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        }),
        ..base(&stored.webhook, "api")
    }
}

fn base(webhook: &Webhook, source: &'static str) -> WebhookView {
    WebhookView {
        name: webhook.name.clone(),
        target: webhook.target.clone(),
        source,
        stored: None,
        secret: None,
    }
}
