//! Axiom's ingestion of JSON lines: `POST /v1/datasets/{dataset}/ingest`. An event's time is its field
//! `_time`, in RFC 3339.
//!
//! A 200 tells how many events were `ingested` and how many `failed`; the rest of a batch is taken all the
//! same, so those that failed are lost and not sent again.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response};
use serde::Deserialize;
use url::Url;

use super::ANSWER;
use super::answer::{Answer, body, judge};
use super::spool::Batch;
use crate::telemetry::scrub::scrub;
use crate::webhooks::signature::Secret;

/// Characters of a reason that are repeated in the log.
const REASON: usize = 200;

/// A dataset, and what opens it.
#[derive(Clone, Debug)]
pub struct Axiom {
    ingest: Url,
    token: Secret,
}

#[derive(Deserialize)]
struct Told {
    ingested: u64,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    error: String,
}

impl Axiom {
    /// Of the dataset called `dataset` at `base`, which must be a URL that can have a path.
    pub fn new(base: &Url, dataset: &str, token: Secret) -> Self {
        let mut ingest = base.clone();
        if let Ok(mut path) = ingest.path_segments_mut() {
            path.pop_if_empty()
                .extend(["v1", "datasets", dataset, "ingest"]);
        }
        Self { ingest, token }
    }

    pub(super) async fn post(&self, client: &Client, batch: &Batch) -> Answer {
        let request = client
            .post(self.ingest.clone())
            .timeout(ANSWER)
            .bearer_auth(self.token.reveal())
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(batch.lines.clone());
        match request.send().await {
            Ok(response) => answered(response, batch.count()).await,
            Err(error) => error.into(),
        }
    }
}

async fn answered(mut response: Response, sent: u64) -> Answer {
    let cure = match response.status().as_u16() {
        401 | 403 => "AXIOM_TOKEN must be a token of Axiom that may ingest into AXIOM_DATASET",
        404 => "AXIOM_DATASET must be the name of a dataset that exists",
        _ => "see that AXIOM_URL is the URL of Axiom's API",
    };
    if !response.status().is_success() {
        return judge(&response, cure);
    }
    match body(&mut response).await {
        Ok(Some(told)) => read(&told, sent),
        Ok(None) => not_axiom(),
        Err(error) => error.into(),
    }
}

fn read(body: &[u8], sent: u64) -> Answer {
    let Ok(told) = serde_json::from_slice::<Told>(body) else {
        return not_axiom();
    };
    // Whatever is not ingested failed, whether it is listed or not.
    let first = told.failures.first().map_or("", |failure| &failure.error);
    let first: String = first.chars().take(REASON).collect();
    Answer::Taken {
        refused: sent.saturating_sub(told.ingested),
        why: format!("Axiom did not ingest them: {}", scrub(&first, true)),
    }
}

fn not_axiom() -> Answer {
    let why = "the answer is not Axiom's: see that AXIOM_URL is the URL of Axiom's API".to_owned();
    Answer::Refused { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_failed_within_a_200_are_seen() {
        let all = br#"{"ingested":3,"failed":0,"failures":[],"processedBytes":9}"#;
        assert!(matches!(read(all, 3), Answer::Taken { refused: 0, .. }));
        let some =
            br#"{"ingested":1,"failed":2,"failures":[{"timestamp":"t","error":"4915112345678 is no time"}]}"#;
        let Answer::Taken { refused: 2, why } = read(some, 3) else {
            panic!("two failed");
        };
        assert_eq!(why, "Axiom did not ingest them: …78 is no time");
        assert!(matches!(read(b"<html>", 3), Answer::Refused { .. }));
        assert!(matches!(read(b"{}", 3), Answer::Refused { .. }));
    }

    #[test]
    fn the_url_may_have_a_path_and_the_token_is_never_printed() {
        let token = Secret::parse("xaat-0123456789abcdef").expect("long enough");
        for (base, expected) in [
            (
                "https://a.example",
                "https://a.example/v1/datasets/logs/ingest",
            ),
            (
                "https://a.example/x/",
                "https://a.example/x/v1/datasets/logs/ingest",
            ),
        ] {
            let axiom = Axiom::new(&Url::parse(base).expect("a URL"), "logs", token.clone());
            assert_eq!(axiom.ingest.as_str(), expected);
            assert!(!format!("{axiom:?}").contains("0123456789"));
        }
    }
}
