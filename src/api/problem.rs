//! Every answer that is no success: `application/problem+json` (RFC 9457) with `type`, `title`,
//! `status`, `detail`, and `field` when one field of the request is to blame.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::{info, warn};

use crate::store::StoreError;

/// What went wrong, by what a client should do about it.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    field: Option<String>,
    /// In seconds, where trying again makes sense.
    retry_after: Option<u64>,
}

/// The closed list of problem types; `type` is `urn:whatsapp-worker:` and its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not JSON, or no HTTP that we understand.
    Malformed,
    /// A field is missing, unknown, of another type, or has a value that cannot be used.
    Invalid,
    /// No secret, a wrong one, or a signature that is not believed.
    Unauthorized,
    /// A token that opens other routes than this one.
    Forbidden,
    /// Too many wrong tokens came from this address.
    TooMany,
    /// No such route, or nothing by that id.
    NotFound,
    /// The route knows other methods.
    Method,
    /// The claim is not valid any more: it ran out, or the job was taken back.
    StaleClaim,
    /// It contradicts what is there.
    Conflict,
    /// It was there and is no more.
    Gone,
    /// The body is too large.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The body is not announced as JSON.
    MediaType,
    /// A server that is needed for this did not serve.
    Upstream,
    /// The store does not answer, or this process stops: worth another attempt.
    Unavailable,
    /// A fault of this program.
    Internal,
}

impl Kind {
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "Malformed request"),
            Self::Invalid => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "A field cannot be used",
            ),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many",
                "Too many failures",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
            ),
            Self::StaleClaim => (
                StatusCode::CONFLICT,
                "stale-claim",
                "The claim is not valid any more",
            ),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "Conflict"),
            Self::Gone => (StatusCode::GONE, "gone", "Gone"),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "too-slow",
                "The body did not arrive in time",
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media-type",
                "Unsupported media type",
            ),
            Self::Upstream => (StatusCode::BAD_GATEWAY, "upstream", "Bad gateway"),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Not available now",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
            ),
        }
    }
}

impl Problem {
    /// A problem, in words that help.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            field: None,
            retry_after: (kind == Kind::Unavailable).then_some(1),
        }
    }

    /// One field is to blame.
    pub fn field(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(Kind::Invalid, detail)
        }
    }

    /// Too many failures: worth another attempt after `wait`.
    pub fn too_many(wait: Duration, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            retry_after: Some(wait.as_secs().max(1)),
            ..Self::new(Kind::TooMany, detail)
        }
    }

    /// The same about a part of the request, whose fields are called by `name`.
    pub fn within(mut self, name: impl Fn(&str) -> String) -> Self {
        self.field = self.field.map(|field| name(&field));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Nothing called `id`.
    pub fn no_such(what: &str, id: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} {id:?}"))
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.kind.parts();
        let body = Body {
            r#type: format!("urn:whatsapp-worker:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if self.kind == Kind::Unauthorized {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The one place where the store's failures become statuses. What the store says is for the log: it
/// may name hosts and statements.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Fenced(_) => {
                info!(%error, "[http] The store did not answer a request");
                Self::new(Kind::Unavailable, "the store does not answer: try again")
            }
            error if error.is_about_text() => Self::new(
                Kind::Malformed,
                "a text holds the character NUL, which the store cannot keep",
            ),
            StoreError::Rejected(_) | StoreError::Unusable(_) => {
                warn!(%error, "[http] The store refused a request");
                Self::new(
                    Kind::Internal,
                    "the store refuses this: the worker's log says why",
                )
            }
        }
    }
}
