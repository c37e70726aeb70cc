//! What a receiver's answer means for its job. Pure.
//!
//! | answer | job |
//! |---|---|
//! | 2xx | completed, with the `replies` and the `result` of a JSON body |
//! | 2xx, and the `replies` cannot be read | dead letter `webhook_bad_answer`: posting it again would repeat the agent's work |
//! | 400, 405, 406, 409, 410, 411, 413, 414, 415, 422 … | dead letter `webhook_refused`: the receiver does not want this job |
//! | 401, 403, 404, 408, 425, 429, 5xx | again later; a `Retry-After` is kept to |
//! | 3xx | again later: redirects are not followed |
//! | none in time, or no connection | again later |
//!
//! "Again later" is the queue's backoff, up to `AGENT_MAX_RETRIES`, then a dead letter with the last reason.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::outbound::message::Draft;
use crate::store::{Completion, Failure};

/// A receiver may not put a job off for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What is to be done with the job.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is done.
    Complete(Completion),
    /// It is given back.
    Fail {
        /// To the queue.
        failure: Failure,
        /// Whether the receiver, not the job, is the likely reason: it is asked more seldom.
        down: bool,
    },
}

impl Verdict {
    /// The job is posted again later; the receiver is likely to be the reason.
    pub fn later(reason: &str, message: String, retry_after: Option<Duration>) -> Self {
        Self::Fail {
            failure: Failure {
                reason: reason.to_owned(),
                message: Some(message),
                retryable: true,
                retry_after,
            },
            down: true,
        }
    }

    /// The job is a dead letter.
    pub fn never(reason: &str, message: String) -> Self {
        Self::Fail {
            failure: Failure {
                reason: reason.to_owned(),
                message: Some(message),
                retryable: false,
                retry_after: None,
            },
            down: false,
        }
    }
}

/// Other fields are the receiver's own.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    replies: Vec<Draft>,
    #[serde(default)]
    result: Option<Value>,
}

/// Judges an answer by its status, its header `Retry-After` and its body.
pub fn judge(status: u16, retry_after: Option<&str>, body: &[u8]) -> Verdict {
    let said = format!("the receiver answered {status}");
    match status {
        200..=299 => read(body),
        401 | 403 | 404 | 408 | 425 | 429 | 500..=599 => {
            let seconds = retry_after.and_then(|text| text.trim().parse().ok());
            let wait = seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
            Verdict::later("webhook_failed", said, wait)
        }
        300..=399 => {
            let message = format!("{said}: redirects are not followed, set the URL it points to");
            Verdict::later("webhook_redirected", message, None)
        }
        _ => Verdict::never("webhook_refused", said),
    }
}

fn read(body: &[u8]) -> Verdict {
    // `OK`, an empty body or a list say nothing to us.
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Verdict::Complete(Completion::default());
    };
    match serde_path_to_error::deserialize::<_, Told>(Value::Object(fields)) {
        Ok(Told { replies, result }) => Verdict::Complete(Completion { result, replies }),
        Err(error) => {
            // Without the parser's text: it may quote what the agent wrote.
            let message = format!("the answer's {} cannot be read", error.path());
            Verdict::never("webhook_bad_answer", message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(verdict: Verdict) -> (String, bool, Option<Duration>) {
        match verdict {
            Verdict::Complete(_) => ("completed".to_owned(), false, None),
            Verdict::Fail { failure, down } => {
                assert_eq!(failure.retryable, down);
                (failure.reason, down, failure.retry_after)
            }
        }
    }

    #[test]
    fn each_status_has_its_meaning() {
        for (status, expected, again) in [
            (200, "completed", false),
            (204, "completed", false),
            (302, "webhook_redirected", true),
            (308, "webhook_redirected", true),
            (400, "webhook_refused", false),
            (401, "webhook_failed", true),
            (404, "webhook_failed", true),
            (410, "webhook_refused", false),
            (422, "webhook_refused", false),
            (429, "webhook_failed", true),
            (500, "webhook_failed", true),
            (503, "webhook_failed", true),
        ] {
            let got = reason(judge(status, None, b""));
            assert_eq!(got, (expected.to_owned(), again, None), "{status}");
        }
    }

    #[test]
    fn a_wait_that_the_receiver_asks_for_is_kept_to_within_a_day() {
        let wait = |text| reason(judge(503, Some(text), b"")).2;
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("9999999"), Some(LONGEST_WAIT));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn replies_and_result_are_taken_from_a_json_body_and_other_fields_left() {
        let body =
            br#"{"replies":[{"content":{"type":"text","body":"hi"}}],"result":{"n":1},"id":7}"#;
        let expected = Completion {
            result: Some(serde_json::json!({"n": 1})),
            replies: vec![Draft::text("hi")],
        };
        assert_eq!(judge(200, None, body), Verdict::Complete(expected));
        for nothing in [&b"OK"[..], b"", b"[1]", b"{\"ok\":true}"] {
            let nothing = judge(200, None, nothing);
            assert_eq!(nothing, Verdict::Complete(Completion::default()));
        }
    }

    #[test]
    fn replies_that_cannot_be_read_are_named_and_not_asked_for_again() {
        let body =
            br#"{"replies":[{"content":{"type":"text","body":"secret words"}},{"contnt":1}]}"#;
        let Verdict::Fail { failure, down } = judge(200, None, body) else {
            panic!("they cannot be read");
        };
        assert!(!down && !failure.retryable);
        assert_eq!(failure.reason, "webhook_bad_answer");
        let message = failure.message.expect("it says where");
        assert_eq!(message, "the answer's replies[1].contnt cannot be read");
    }
}
