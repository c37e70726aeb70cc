//! Somebody's URL: a batch is one message of Standard Webhooks, signed as job webhooks are. Its body is
//! `{"type": "events", "timestamp": …, "data": [event, …]}`; its `webhook-id` is the same for each attempt.

use reqwest::Client;

use super::ANSWER;
use super::answer::{Answer, judge};
use super::spool::Batch;
use crate::clock;
use crate::webhooks::HookUrl;
use crate::webhooks::post::signed;
use crate::webhooks::signature::Secret;

/// Where to, and what signs. While the secret is changed, the one before it signs too.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Where to.
    pub url: HookUrl,
    /// One at least.
    pub secrets: Vec<Secret>,
}

impl Hook {
    pub(super) async fn post(&self, client: &Client, batch: &Batch) -> Answer {
        let now = clock::wall_ms();
        let request = client.post(self.url.url().clone()).timeout(ANSWER);
        let body = body(&clock::rfc3339(now), batch);
        let request = signed(request, &self.secrets, &batch.id, now / 1000, body);
        match request.send().await {
            Ok(response) => judge(
                &response,
                "see that EVENTS_WEBHOOK_URL is the receiver's URL and that it knows EVENTS_WEBHOOK_SECRET",
            ),
            Err(error) => error.into(),
        }
    }
}

/// Each line of a batch is JSON already.
fn body(timestamp: &str, batch: &Batch) -> Vec<u8> {
    let mut body = format!(r#"{{"type":"events","timestamp":"{timestamp}","data":["#).into_bytes();
    let lines = batch.lines.strip_suffix(b"\n").unwrap_or(&batch.lines);
    body.extend(
        lines
            .iter()
            .map(|&byte| if byte == b'\n' { b',' } else { byte }),
    );
    body.extend_from_slice(b"]}");
    body
}
