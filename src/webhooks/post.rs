//! One signed request to a receiver, and what came back.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, redirect};
use rustls::ClientConfig;
use serde::Serialize;

use super::Webhook;
use super::answer::{Verdict, judge};
use super::signature::{ID, SIGNATURE, Secret, TIMESTAMP};
use crate::clock;

/// More than any replies need: texts are limited to 64 KiB.
const MOST_BYTES: usize = 1 << 20;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

const PRODUCT: &str = concat!("whatsapp-worker/", env!("CARGO_PKG_VERSION"));

/// What receivers get.
#[derive(Serialize)]
struct Message<'a, T> {
    r#type: &'a str,
    /// RFC 3339, of this attempt.
    timestamp: String,
    data: &'a T,
}

/// Posts for all webhooks of a process. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Courier {
    client: Client,
}

impl Courier {
    /// `tls` says which servers are believed.
    ///
    /// # Errors
    /// TLS cannot be used.
    pub fn new(tls: ClientConfig) -> reqwest::Result<Self> {
        let client = client(tls)?;
        Ok(Self { client })
    }

    /// Posts `data` as a message of `kind` called `id`. Cancel safe, but the receiver may have got it.
    pub async fn post(
        &self,
        webhook: &Webhook,
        kind: &str,
        id: &str,
        data: &impl Serialize,
    ) -> Verdict {
        let now = clock::wall_ms();
        let message = Message {
            r#type: kind,
            timestamp: clock::rfc3339(now),
            data,
        };
        let body = serde_json::to_vec(&message).expect("a message has string keys");
        let request = self
            .client
            .post(webhook.target.url.url().clone())
            .timeout(Duration::from_millis(webhook.target.timeout_ms));
        let request = signed(request, &webhook.secrets, id, now / 1000, body);
        match request.send().await {
            Ok(response) => answered(response).await,
            Err(error) => no_answer(&error),
        }
    }
}

/// A client that follows no redirects: what is meant for one host is not handed to another.
pub(crate) fn client(tls: ClientConfig) -> reqwest::Result<Client> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .user_agent(PRODUCT)
        .no_proxy()
        .build()
}

/// `request` with `body`, a JSON text, called `id` and signed by each of `secrets` at `seconds` of Unix
/// time.
pub(crate) fn signed(
    request: RequestBuilder,
    secrets: &[Secret],
    id: &str,
    seconds: i64,
    body: Vec<u8>,
) -> RequestBuilder {
    let signatures = secrets.iter().map(|secret| secret.sign(id, seconds, &body));
    let signatures: Vec<String> = signatures.collect();
    request
        .header(CONTENT_TYPE, "application/json")
        .header(ID, id)
        .header(TIMESTAMP, seconds)
        .header(SIGNATURE, signatures.join(" "))
        .body(body)
}

async fn answered(mut response: Response) -> Verdict {
    let status = response.status().as_u16();
    let wait = response.headers().get(RETRY_AFTER).cloned();
    let wait = wait.as_ref().and_then(|value| value.to_str().ok());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MOST_BYTES => {
                let message = format!("the answer is larger than {MOST_BYTES} bytes");
                return Verdict::never("webhook_bad_answer", message);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return judge(status, wait, &body),
            Err(error) => return no_answer(&error),
        }
    }
}

fn no_answer(error: &reqwest::Error) -> Verdict {
    let kind = if error.is_timeout() {
        "webhook_timeout"
    } else {
        "webhook_unreachable"
    };
    Verdict::later(kind, reason(error), None)
}

/// Why there was no answer, without the URL, which may hold a token.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the receiver did not answer in time".to_owned();
    }
    let what = if error.is_connect() {
        "no connection to the receiver"
    } else {
        "the connection to the receiver broke"
    };
    // The deepest cause says most, and the URL is in none of them but the first.
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("{what}: {cause}")
}
