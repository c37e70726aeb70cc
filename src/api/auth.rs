//! Who is let in: an agent that shows `AGENT_SECRET` as a Bearer token, or signs the body with it as
//! Standard Webhooks prescribe. Comparisons take a time that tells nothing of the secret.
//!
//! A signature covers the body alone. So it opens only requests that have one: another route cannot be
//! asked with the signature of an empty body.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::body;
use super::problem::{Kind, Problem};
use crate::clock;
use crate::webhooks::signature::{ID, SIGNATURE, Secret, Signed, TIMESTAMP};

/// A signed request's `webhook-id`, for handlers: it names the request for good.
#[derive(Clone, Debug)]
pub struct SignedId(pub String);

/// Lets a request pass, or answers 401.
///
/// # Errors
/// The answer.
pub async fn check(
    State(secrets): State<Arc<[Secret]>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if secrets.is_empty() {
        return Err(refused(
            "AGENT_SECRET is not set: set it for the worker, and send it as Authorization: Bearer …",
        ));
    }
    if let Some(token) = bearer(request.headers())? {
        if !secrets.iter().any(|secret| secret.is(token)) {
            return Err(refused("the Bearer token is not AGENT_SECRET"));
        }
        return Ok(next.run(request).await);
    }
    let (mut head, body) = request.into_parts();
    let bytes = if head.headers.contains_key(SIGNATURE) {
        body::read(body).await?
    } else {
        Bytes::new()
    };
    let id = signer(&head.headers, &secrets, &bytes)?;
    head.extensions.insert(SignedId(id));
    Ok(next.run(Request::from_parts(head, Body::from(bytes))).await)
}

fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let value = value.as_bytes();
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => Ok(Some(token)),
        _ => Err(refused("write the header as Authorization: Bearer …")),
    }
}

fn signer(headers: &HeaderMap, secrets: &[Secret], body: &[u8]) -> Result<String, Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(timestamp), Some(signatures)) =
        (text(ID), text(TIMESTAMP), text(SIGNATURE))
    else {
        return Err(refused(
            "send AGENT_SECRET as Authorization: Bearer …, or sign the body: headers webhook-id, webhook-timestamp and webhook-signature",
        ));
    };
    if body.is_empty() {
        return Err(refused(
            "a request without a body is not opened by a signature: send Authorization: Bearer …",
        ));
    }
    let signed = Signed {
        id,
        timestamp,
        signatures,
    };
    signed
        .verify(secrets, body, clock::wall_ms() / 1000)
        .map_err(|error| Problem::new(Kind::Unauthorized, error.to_string()))?;
    Ok(id.to_owned())
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Kind::Unauthorized, detail)
}
