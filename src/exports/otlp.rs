//! Traces by the OpenTelemetry protocol, as JSON over HTTP: one for each message, from its arrival to the
//! replies that were sent.
//!
//! ```text
//! whatsapp.inbound        arrived ── committed as a job
//!   agent.job             claimed ── completed, failed, or ran out       once for each attempt
//!   whatsapp.outbound     begun ── the server's word                     once for each attempt
//! ```
//!
//! Spans are told by the events that end them. A trace's id is the job's, and spans' ids follow from it, so
//! whichever workers and agents take part, all tell of one trace and none hands anything on. What is sent
//! without a job is a trace of its own. A receipt that comes before the server's word ends the span of its
//! attempt; one that comes when the attempt was given up has none. A batch that is sent again repeats ids,
//! which receivers merge.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Response};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::Url;

use super::ANSWER;
use super::answer::{Answer, body, judge};
use super::spool::Batch;
use crate::telemetry::outlets::Record;
use crate::telemetry::scrub::scrub;

/// Characters of a reason that are repeated in the log.
const REASON: usize = 200;

/// Kinds of spans, as the protocol numbers them.
const INTERNAL: u8 = 1;
const PRODUCER: u8 = 4;
const CONSUMER: u8 = 5;

/// The first span of a trace.
const ROOT: &str = "whatsapp.inbound";

/// What an event's other fields are called as attributes.
const ATTRIBUTES: [(&str, &str); 10] = [
    ("accountId", "whatsapp.account"),
    ("conversationId", "whatsapp.conversation"),
    ("channelMessageId", "messaging.message.id"),
    ("jobId", "agent.job"),
    ("outboxId", "whatsapp.outbox"),
    ("attempt", "attempt"),
    ("attemptCount", "attempt"),
    ("replies", "agent.replies"),
    ("status", "agent.job.status"),
    ("worker", "service.instance.id"),
];

/// A receiver of traces.
#[derive(Clone, Debug)]
pub struct Otlp {
    traces: Url,
    service: String,
    /// May hold keys; marked as such, so that they are not printed.
    headers: HeaderMap,
}

impl Otlp {
    /// At `base`, which must be a URL that can have a path; the signal's own path is added to it.
    pub fn new(base: &Url, service: &str, headers: HeaderMap) -> Self {
        let mut traces = base.clone();
        if let Ok(mut path) = traces.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "traces"]);
        }
        Self {
            traces,
            service: service.to_owned(),
            headers,
        }
    }

    /// Whether an event ends a span.
    pub(super) fn wants(record: &Record) -> bool {
        span_of(record.name).is_some()
    }

    pub(super) async fn post(&self, client: &Client, batch: &Batch) -> Answer {
        let spans: Vec<Value> = batch
            .lines
            .split(|&byte| byte == b'\n')
            .filter_map(|line| span(&serde_json::from_slice(line).ok()?))
            .collect();
        if spans.is_empty() {
            return Answer::taken();
        }
        let request = client
            .post(self.traces.clone())
            .timeout(ANSWER)
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(self.request(spans).to_string());
        match request.send().await {
            Ok(response) => answered(response).await,
            Err(error) => error.into(),
        }
    }

    fn request(&self, spans: Vec<Value>) -> Value {
        let resource = attributes([("service.name", &json!(self.service))]);
        let scope = json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
        json!({"resourceSpans": [{
            "resource": {"attributes": resource},
            "scopeSpans": [{"scope": scope, "spans": spans}],
        }]})
    }
}

async fn answered(mut response: Response) -> Answer {
    let cure = "see that OTEL_EXPORTER_OTLP_ENDPOINT is a receiver of OTLP over HTTP, without /v1/traces, that takes JSON, and that OTEL_EXPORTER_OTLP_HEADERS lets in";
    if !response.status().is_success() {
        return judge(&response, cure);
    }
    match body(&mut response).await {
        Ok(told) => read(told.as_deref().unwrap_or_default()),
        Err(error) => error.into(),
    }
}

/// Whoever takes everything may answer nothing.
fn read(told: &[u8]) -> Answer {
    let told: Value = serde_json::from_slice(told).unwrap_or_default();
    let partial = &told["partialSuccess"];
    let refused = &partial["rejectedSpans"];
    // As JSON, 64-bit numbers are texts; some receivers write numbers.
    let refused = refused.as_u64().or_else(|| refused.as_str()?.parse().ok());
    let why = partial["errorMessage"].as_str().unwrap_or_default();
    let why: String = why.chars().take(REASON).collect();
    Answer::Taken {
        refused: refused.unwrap_or(0),
        why: format!(
            "the receiver of traces rejected spans: {}",
            scrub(&why, true)
        ),
    }
}

/// The span that an event ends, and its kind.
fn span_of(event: &str) -> Option<(&'static str, u8)> {
    Some(match event {
        "whatsapp.inbound.queued" => (ROOT, CONSUMER),
        "agent.job.completed" | "agent.job.failed" | "agent.job.retried" => ("agent.job", INTERNAL),
        "whatsapp.outbound.sent" | "whatsapp.outbound.failed" => ("whatsapp.outbound", PRODUCER),
        _ => return None,
    })
}

/// The span of one event; none: it ends no attempt, as a late receipt.
fn span(event: &Value) -> Option<Value> {
    let text = |name: &str| event[name].as_str();
    let (name, kind) = span_of(text("event")?)?;
    let ended: Timestamp = text("_time")?.parse().ok()?;
    let ended = ended.as_nanosecond();
    let took = i128::from(event["durationMs"].as_u64()?) * 1_000_000;
    let job = text("jobId").and_then(trace_id);
    let trace = job.or_else(|| trace_id(text("outboxId")?))?;
    let attempt = event["attempt"].as_i64().or(event["attemptCount"].as_i64());
    let mut span = json!({
        "traceId": trace,
        "spanId": span_id(trace, name, text("outboxId").unwrap_or_default(), attempt.unwrap_or(0)),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": (ended - took).to_string(),
        "endTimeUnixNano": ended.to_string(),
        "attributes": attributes(ATTRIBUTES.map(|(field, name)| (name, &event[field]))),
    });
    if name != ROOT && job.is_some() {
        span["parentSpanId"] = span_id(trace, ROOT, "", 0).into();
    }
    let failed = text("errorCode").or_else(|| text("errorReason"));
    if let Some(failed) = failed {
        span["status"] = json!({"code": 2, "message": failed});
    }
    Some(span)
}

/// The 128 random and timely bits of an id such as `job_…`.
fn trace_id(id: &str) -> Option<&str> {
    let (_, hex) = id.split_once('_')?;
    let fits = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then_some(hex)
}

fn span_id(trace: &str, name: &str, part: &str, attempt: i64) -> String {
    let named = format!("{trace} {name} {part} {attempt}");
    hex::encode(&digest(&SHA256, named.as_bytes()).as_ref()[..8])
}

fn attributes<'a>(fields: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Vec<Value> {
    let known: BTreeMap<&str, Value> = fields
        .into_iter()
        .filter_map(|(name, value)| {
            let value = match value {
                Value::String(text) => json!({"stringValue": text}),
                Value::Number(number) => json!({"intValue": number.to_string()}),
                _ => return None,
            };
            Some((name, value))
        })
        .collect();
    let pairs = known.into_iter();
    pairs
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "job_0199f3c0a1b27cd38e4f5a6b7c8d9e0f";
    const OUT: &str = "out_0199f3c0ffff7cd38e4f5a6b7c8d9e0f";

    fn event(name: &str, more: &Value) -> Value {
        let mut event = json!({
            "_time": "2026-01-02T03:04:05.500Z", "level": "info", "message": "m", "event": name,
            "accountId": "shop", "durationMs": 1500, "id": "evt_1", "worker": "w#1",
        });
        let more = more.as_object().expect("an object").clone();
        event.as_object_mut().expect("an object").extend(more);
        event
    }

    #[test]
    fn a_message_its_job_and_its_reply_are_one_trace() {
        let inbound = event(
            "whatsapp.inbound.queued",
            &json!({"jobId": JOB, "status": "pending"}),
        );
        let job = event(
            "agent.job.completed",
            &json!({"jobId": JOB, "attemptCount": 2}),
        );
        let sent = event(
            "whatsapp.outbound.sent",
            &json!({"jobId": JOB, "outboxId": OUT, "attempt": 1}),
        );
        let [inbound, job, sent] = [inbound, job, sent].map(|event| span(&event).expect("a span"));
        assert_eq!(inbound["traceId"], JOB[4..]);
        assert_eq!(inbound["startTimeUnixNano"], "1767323044000000000");
        assert_eq!(inbound["endTimeUnixNano"], "1767323045500000000");
        assert_eq!(inbound["parentSpanId"], Value::Null);
        for child in [&job, &sent] {
            assert_eq!(child["traceId"], inbound["traceId"]);
            assert_eq!(child["parentSpanId"], inbound["spanId"]);
            assert_ne!(child["spanId"], inbound["spanId"]);
            assert_eq!(child["status"], Value::Null);
        }
        assert_eq!([&inbound["kind"], &job["kind"], &sent["kind"]], [5, 1, 4]);
        let attempt = json!({"key": "attempt", "value": {"intValue": "2"}});
        assert!(
            job["attributes"]
                .as_array()
                .expect("some")
                .contains(&attempt)
        );
    }

    #[test]
    fn each_attempt_is_a_span_and_what_failed_says_why() {
        let attempt = |n: i64| {
            let fields = json!({"jobId": JOB, "attemptCount": n, "errorReason": "agent_error"});
            span(&event("agent.job.retried", &fields)).expect("a span")
        };
        assert_ne!(attempt(1)["spanId"], attempt(2)["spanId"]);
        assert_eq!(
            attempt(1),
            attempt(1),
            "an attempt that is told twice is the same span"
        );
        let status = json!({"code": 2, "message": "agent_error"});
        assert_eq!(attempt(1)["status"], status);
    }

    #[test]
    fn what_is_sent_without_a_job_is_a_trace_of_its_own_and_other_events_are_none() {
        let fields = json!({"jobId": null, "outboxId": OUT, "attempt": 1});
        let sent = span(&event("whatsapp.outbound.sent", &fields)).expect("a span");
        assert_eq!(sent["traceId"], OUT[4..]);
        assert_eq!(sent["parentSpanId"], Value::Null);
        let known_by_a_receipt = json!({"durationMs": null});
        for (name, fields) in [
            ("whatsapp.outbound.sent", known_by_a_receipt),
            ("agent.job.claimed", json!({"jobId": JOB})),
            ("whatsapp.inbound.queued", json!({"jobId": "job_x"})),
        ] {
            assert_eq!(span(&event(name, &fields)), None, "{name}");
        }
    }

    #[test]
    fn spans_that_were_rejected_are_counted() {
        for (told, expected) in [
            (&b"{}"[..], 0),
            (b"", 0),
            (
                br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}"#,
                2,
            ),
            (br#"{"partialSuccess":{"rejectedSpans":3}}"#, 3),
        ] {
            let Answer::Taken { refused, .. } = read(told) else {
                panic!("a 200 is taken");
            };
            assert_eq!(refused, expected);
        }
    }
}
