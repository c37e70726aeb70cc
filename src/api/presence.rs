//! Signs that somebody is there: "typing…" and blue ticks. The holder of the account's lease shows them
//! when it can; nothing depends on it.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tracing::info;
use utoipa::ToSchema;

use super::body::Json;
use super::path::Path;
use super::problem::Problem;
use super::{Api, conversations};
use crate::ids::JobId;
use crate::store::{Hint, StoreError};

/// How long "typing…" is shown unless it is said; phones show it no longer than that by themselves.
const USUAL_MS: u32 = 10_000;
const LONGEST_MS: u32 = 60_000;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Typing {
    ms: Option<u32>,
}

/// `POST /v1/conversations/{id}/typing`; with `ms` 0 no longer.
pub async fn typing(
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(wanted): Json<Typing>,
) -> Result<StatusCode, Problem> {
    let hint = match wanted.ms.unwrap_or(USUAL_MS) {
        0 => Hint::Paused,
        ms if ms > LONGEST_MS => {
            return Err(Problem::field("ms", format!("write 0 to {LONGEST_MS}")));
        }
        ms => Hint::Typing { ms },
    };
    api.show(id, hint).await
}

/// `POST /v1/conversations/{id}/read`: what came so far was read.
pub async fn read(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    api.show(id, Hint::Read).await
}

impl Api {
    async fn show(&self, id: String, hint: Hint) -> Result<StatusCode, Problem> {
        let found = conversations::find(self, id).await?;
        let (account, conv) = (&found.account_id, &found.conversation_id);
        self.store.hint(account, conv, hint).await?;
        Ok(StatusCode::ACCEPTED)
    }

    pub(super) async fn show_typing(&self, job: &JobId) {
        let hint = Hint::Typing { ms: USUAL_MS };
        self.show_by_the_way(job, hint).await;
    }

    pub(super) async fn show_read(&self, job: &JobId) {
        self.show_by_the_way(job, Hint::Read).await;
    }

    /// What the request was about is done already.
    async fn show_by_the_way(&self, job: &JobId, hint: Hint) {
        let shown: Result<(), StoreError> = async {
            if let Some(found) = self.store.job(job).await? {
                let (account, conv) = (&found.job.account_id, &found.job.conversation_id);
                self.store.hint(account, conv, hint).await?;
            }
            Ok(())
        }
        .await;
        if let Err(error) = shown {
            info!(%error, "[http] A hint was lost");
        }
    }
}
