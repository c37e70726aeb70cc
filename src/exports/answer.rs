//! What a sink's answer means for the batch.
//!
//! | answer | batch |
//! |---|---|
//! | 2xx | taken, but for events that the body refuses |
//! | 408, 425, 429, 5xx; none in time, no connection | again after a growing pause, or the `Retry-After` |
//! | any other | again each minute: somebody must correct a setting |

use std::time::Duration;

use reqwest::Response;
use reqwest::header::RETRY_AFTER;

use crate::webhooks::post::reason;

/// A sink may not put us off for longer.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It arrived.
    Taken {
        /// Events of it that were not wanted, and why.
        refused: u64,
        /// The first one's reason.
        why: String,
    },
    /// The sink does not work right now.
    Later {
        /// When it wants to be asked again.
        after: Option<Duration>,
        /// In words.
        why: String,
    },
    /// The sink works, and does not want this from us.
    Refused {
        /// What, and what to do about it.
        why: String,
    },
}

impl Answer {
    /// All of it arrived.
    pub(super) const fn taken() -> Self {
        Self::Taken {
            refused: 0,
            why: String::new(),
        }
    }
}

/// More than an answer needs that names each failed event.
const MOST_BYTES: usize = 1 << 20;

/// The whole of an answer; none: it is larger than any answer to us.
///
/// # Errors
/// It broke off.
pub(super) async fn body(response: &mut Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

impl From<reqwest::Error> for Answer {
    /// There was none.
    fn from(error: reqwest::Error) -> Self {
        Self::Later {
            after: None,
            why: reason(&error),
        }
    }
}

/// Judges what came before the body; `cure` is what to look at when it is refused.
pub(super) fn judge(response: &Response, cure: &str) -> Answer {
    let after = response.headers().get(RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok());
    judge_status(response.status().as_u16(), after, cure)
}

fn judge_status(status: u16, retry_after: Option<&str>, cure: &str) -> Answer {
    let said = format!("the answer is {status}");
    match status {
        200..=299 => Answer::taken(),
        408 | 425 | 429 | 500..=599 => {
            let seconds = retry_after.and_then(|text| text.trim().parse().ok());
            let after = seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
            Answer::Later { after, why: said }
        }
        300..=399 => Answer::Refused {
            why: format!("{said}, and redirects are not followed: {cure}"),
        },
        _ => Answer::Refused {
            why: format!("{said}: {cure}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_meaning() {
        for (status, meaning) in [
            (200, "taken"),
            (204, "taken"),
            (307, "refused"),
            (400, "refused"),
            (401, "refused"),
            (403, "refused"),
            (404, "refused"),
            (408, "later"),
            (413, "refused"),
            (429, "later"),
            (500, "later"),
            (503, "later"),
        ] {
            let got = match judge_status(status, None, "look there") {
                Answer::Taken { refused: 0, .. } => "taken",
                Answer::Taken { .. } => "in part",
                Answer::Later { after: None, .. } => "later",
                Answer::Later { .. } => "at a time",
                Answer::Refused { why } => {
                    assert!(why.contains(&status.to_string()) && why.contains("look there"));
                    "refused"
                }
            };
            assert_eq!(got, meaning, "{status}");
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_to_within_a_quarter_of_an_hour() {
        let after = |text| match judge_status(429, Some(text), "") {
            Answer::Later { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("999999"), Some(LONGEST_WAIT));
        assert_eq!(after("soon"), None);
    }
}
