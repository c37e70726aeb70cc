//! How a part of the system is, as the API tells it.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Answer;
use crate::ids::AccountId;
use crate::store::SessionStatus;

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It does not work.
    Down,
    /// Somebody should look.
    Degraded,
    /// It works.
    Ok,
}

/// How a part is, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HealthReport {
    pub status: Health,
    #[serde(flatten)]
    pub part: Part,
}

/// What is to be seen of a part.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Part {
    #[serde(rename_all = "camelCase")]
    Store {
        /// None: it did not answer.
        #[schema(required)]
        latency_ms: Option<u64>,
    },
    #[serde(rename_all = "camelCase")]
    Lease {
        /// Enabled accounts that have a holder.
        held: usize,
        without_holder: Vec<AccountId>,
        /// Living workers.
        workers: usize,
    },
    Session {
        /// Enabled and linked accounts that are connected.
        connected: usize,
        others: Vec<Unconnected>,
    },
    #[serde(rename_all = "camelCase")]
    Queue {
        paused: bool,
        pending: i64,
        processing: i64,
        dead: i64,
        /// Of what is to be done.
        #[schema(required)]
        oldest_age_ms: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    Outbox {
        pending: i64,
        sending: i64,
        #[schema(required)]
        oldest_age_ms: Option<i64>,
    },
}

/// A linked account that is not connected.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unconnected {
    pub account_id: AccountId,
    /// What its last worker told of it.
    pub session: Option<SessionStatus>,
}

impl Health {
    /// With what is to be seen: 503 when it is down.
    pub(super) fn of(self, part: Part) -> Answer<HealthReport> {
        let status = match self {
            Self::Down => StatusCode::SERVICE_UNAVAILABLE,
            Self::Degraded | Self::Ok => StatusCode::OK,
        };
        (status, axum::Json(HealthReport { status: self, part }))
    }

    /// Of `all`, so many are `well`.
    pub(super) fn of_share(well: usize, all: usize) -> Self {
        match (well, all) {
            (well, all) if well >= all => Self::Ok,
            (0, _) => Self::Down,
            _ => Self::Degraded,
        }
    }

    pub(super) fn unless(worrying: bool) -> Self {
        if worrying { Self::Degraded } else { Self::Ok }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_down_only_when_nothing_of_it_is_well() {
        for (well, all, health) in [
            (0, 0, Health::Ok),
            (2, 2, Health::Ok),
            (1, 2, Health::Degraded),
            (0, 2, Health::Down),
        ] {
            assert_eq!(Health::of_share(well, all), health, "{well} of {all}");
        }
        let part = || Part::Store { latency_ms: None };
        let (status, told) = Health::Down.of(part());
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let told = serde_json::to_value(told.0).expect("JSON");
        assert_eq!(
            told,
            serde_json::json!({"status": "down", "latencyMs": null})
        );
        let (status, told) = Health::Degraded.of(part());
        assert_eq!((status, told.status), (StatusCode::OK, Health::Degraded));
    }
}
