//! Every answer that is not the page that was asked for.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::{info, warn};

use super::frame::{plain, rendered};
use crate::fleet::handing::Refusal;
use crate::store::StoreError;

/// Why there is no such page, or why something was not done.
#[derive(Debug)]
pub enum Trouble {
    /// There is no such thing.
    Missing(String),
    /// It cannot be done as things stand.
    Refused(String),
    /// The request did not come from our page, or the one who sent it may not do this.
    Forbidden(&'static str),
    /// The form cannot be read.
    Form(&'static str),
    /// The store.
    Store(StoreError),
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct View<'a> {
    title: &'a str,
    detail: &'a str,
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, title, detail) = match &self {
            Self::Missing(detail) => (StatusCode::NOT_FOUND, "Not found", detail.as_str()),
            Self::Refused(detail) => (StatusCode::CONFLICT, "Not done", detail.as_str()),
            Self::Forbidden(detail) => (StatusCode::FORBIDDEN, "Not allowed", *detail),
            Self::Form(detail) => (StatusCode::BAD_REQUEST, "Not understood", *detail),
            // What the store says is for the log: it may name hosts and statements.
            Self::Store(error @ (StoreError::Unavailable(_) | StoreError::Fenced(_))) => {
                info!(%error, "[http] The store did not answer a page");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The store does not answer",
                    "No worker can receive or send without it. Look at it first: `whatsapp-worker doctor`. Then load this page again.",
                )
            }
            Self::Store(error) if error.is_about_text() => (
                StatusCode::BAD_REQUEST,
                "Not understood",
                "The address holds the character NUL, which no id has.",
            ),
            Self::Store(error @ (StoreError::Rejected(_) | StoreError::Unusable(_))) => {
                warn!(%error, "[http] The store refused a page");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The store refuses this",
                    "The worker's log says why.",
                )
            }
        };
        plain(status, title, None, rendered(&View { title, detail }))
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing(detail) => Self::Missing(detail),
            Refusal::Taker(detail) | Refusal::Silent(detail) => Self::Refused(detail),
            Refusal::Store(error) => Self::Store(error),
        }
    }
}
