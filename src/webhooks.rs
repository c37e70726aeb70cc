//! Webhooks: jobs that are pushed to an agent's URL instead of being fetched by it.
//!
//! A webhook is a consumer like any other. Each process that serves agents runs one dispatcher for each
//! webhook; it claims jobs, posts each of them signed, keeps the claim alive meanwhile, and completes
//! or fails it by the answer. So order in a conversation, retries, backoff and dead letters are the
//! queue's, and survive every process. Several webhooks, or a webhook and agents that fetch, share the
//! jobs of an account between them: a job goes to one of them.
//!
//! - A job is delivered at least once: a process that dies between the answer and the commit makes it
//!   come again, with the same `webhook-id`, which is the job's id.
//! - A receiver that fails is asked ever more seldom, one job at a time, so that an outage does not use
//!   up the attempts of all jobs.
//! - Redirects are not followed: what is signed for one host is not handed to another. URLs are the
//!   operator's, private addresses are allowed.

mod answer;
mod consumer;
pub mod dispatcher;
mod file;
pub(crate) mod post;
pub mod signature;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use self::signature::Secret;
use crate::ids::AccountId;

pub use self::consumer::Desk;
pub use self::file::{FileError, read_file};
pub use self::post::Courier;

/// How long a receiver may take unless its webhook says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// What a webhook may say.
pub const TIMEOUTS: std::ops::RangeInclusive<u64> = 1_000..=600_000;
/// Posts of one process that are under way at once, unless the webhook says otherwise.
pub const DEFAULT_CONCURRENCY: u32 = 4;
/// What a webhook may say.
pub const CONCURRENCIES: std::ops::RangeInclusive<u32> = 1..=64;

/// Where jobs are pushed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its name, which is also in `processorId` as `webhook:<name>`.
    pub name: String,
    /// What is set.
    pub target: Target,
    /// Signs; while it is changed, the one before it signs too.
    pub secrets: Vec<Secret>,
}

impl Webhook {
    /// Who works on the jobs that it takes.
    pub fn processor_id(&self) -> String {
        format!("webhook:{}", self.name)
    }
}

/// What an operator sets of a webhook, in the file and by the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Where to.
    #[schema(value_type = String)]
    pub url: HookUrl,
    /// Of which accounts; none: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<AccountId>>,
    /// How long an answer may take.
    pub timeout_ms: u64,
    /// Posts of one process at once.
    pub concurrency: u32,
    /// Whether it takes jobs.
    pub enabled: bool,
}

/// Where a webhook's jobs are posted to: HTTP, with a host and without a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HookUrl(Url);

impl HookUrl {
    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<String> for HookUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let example = "write it like https://agent.example.com/whatsapp";
        let url = Url::parse(&text).map_err(|error| format!("{error}: {example}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(format!("it is neither http:// nor https://: {example}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("requests are signed: leave user and password out".to_owned());
        }
        Ok(Self(url))
    }
}

impl From<HookUrl> for String {
    fn from(url: HookUrl) -> Self {
        url.0.into()
    }
}

/// What is wrong with a webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Invalid {
    /// Which field.
    pub field: &'static str,
    /// And how it would be right.
    pub why: String,
}

/// A webhook's name stands in URLs and in `processorId`.
///
/// # Errors
/// [`Invalid`].
pub fn check_name(name: &str) -> Result<(), Invalid> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        let why = "use 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.'".to_owned();
        Err(Invalid { field: "name", why })
    }
}

impl Target {
    /// # Errors
    /// [`Invalid`] names the first field that cannot be used.
    pub fn check(&self) -> Result<(), Invalid> {
        let wrong = |field, why: String| Err(Invalid { field, why });
        if self.accounts.as_ref().is_some_and(Vec::is_empty) {
            return wrong(
                "accounts",
                "name accounts, or leave it out for all".to_owned(),
            );
        }
        if !TIMEOUTS.contains(&self.timeout_ms) {
            let (least, most) = (TIMEOUTS.start(), TIMEOUTS.end());
            return wrong("timeoutMs", format!("write {least} to {most}"));
        }
        if !CONCURRENCIES.contains(&self.concurrency) {
            let (least, most) = (CONCURRENCIES.start(), CONCURRENCIES.end());
            return wrong("concurrency", format!("write {least} to {most}"));
        }
        Ok(())
    }
}
