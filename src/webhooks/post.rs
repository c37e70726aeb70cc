//! One signed request to a receiver, and what came back.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Response, redirect};
use rustls::ClientConfig;
use serde::Serialize;

use super::Webhook;
use super::answer::{Verdict, judge};
use super::signature::{ID, SIGNATURE, TIMESTAMP};
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
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .no_proxy()
            .build()?;
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
        let seconds = now / 1000;
        let signatures: Vec<String> = webhook
            .secrets
            .iter()
            .map(|secret| secret.sign(id, seconds, &body))
            .collect();
        let request = self
            .client
            .post(webhook.target.url.url().clone())
            .timeout(Duration::from_millis(webhook.target.timeout_ms))
            .header(USER_AGENT, PRODUCT)
            .header(CONTENT_TYPE, "application/json")
            .header(ID, id)
            .header(TIMESTAMP, seconds)
            .header(SIGNATURE, signatures.join(" "))
            .body(body);
        match request.send().await {
            Ok(response) => answered(response).await,
            Err(error) => no_answer(&error),
        }
    }
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
    if error.is_timeout() {
        let message = "the receiver did not answer in time".to_owned();
        return Verdict::later("webhook_timeout", message, None);
    }
    let what = if error.is_connect() {
        "no connection to the receiver"
    } else {
        "the connection to the receiver broke"
    };
    // The deepest cause says most, and the URL, which may hold a token, is in none of them but the first.
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Verdict::later("webhook_unreachable", format!("{what}: {cause}"), None)
}
