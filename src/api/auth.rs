//! Who is let in: who shows a token whose scope suffices, as `x-admin-token` or as a Bearer token, and
//! an agent that signs the body with `AGENT_SECRET` as Standard Webhooks prescribe. Comparisons take a
//! time that tells nothing of the secret. An address that fails often is answered 429 instead of 401;
//! right tokens are let in all the same.
//!
//! A signature covers the body alone. So it opens only requests that have one: another route cannot be
//! asked with the signature of an empty body.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::body;
use super::failures::Failures;
use super::problem::{Kind, Problem};
use super::scope::{Doors, Scope};
use crate::clock::{self, Boot};
use crate::webhooks::signature::{ID, SIGNATURE, Signed, TIMESTAMP};

/// Shows a token too; wins over `Authorization`, which a proxy may need for itself.
const ADMIN_TOKEN: &str = "x-admin-token";

/// A signed request's `webhook-id`, for handlers: it names the request for good.
#[derive(Clone, Debug)]
pub struct SignedId(pub String);

/// Where a request came from: its connection's other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// What guards routes of one scope.
#[derive(Clone, Debug)]
pub struct Guard {
    doors: Doors,
    needed: Scope,
    failures: Arc<Failures>,
}

impl Guard {
    /// Lets in who [`Scope::covers`] `needed`. All guards of a process count the same `failures`.
    pub fn new(doors: Doors, needed: Scope, failures: Arc<Failures>) -> Self {
        Self {
            doors,
            needed,
            failures,
        }
    }

    fn admit(&self, token: &[u8]) -> Result<(), Problem> {
        match self.doors.scope_of(token) {
            Some(scope) if scope.covers(self.needed) => Ok(()),
            Some(_) => Err(Problem::new(
                Kind::Forbidden,
                match self.needed {
                    Scope::Operate => "this token may not change anything: use ADMIN_API_TOKEN",
                    Scope::Read => {
                        "this token is for agents' routes: use ADMIN_API_TOKEN or ADMIN_READ_TOKEN"
                    }
                    Scope::Agent => {
                        "this token is for looking: use AGENT_SECRET or ADMIN_API_TOKEN"
                    }
                },
            )),
            None if self.doors.are_shut() => Err(self.locked()),
            None => Err(refused("this token is none of this worker's")),
        }
    }

    /// A request that shows no token.
    fn locked(&self) -> Problem {
        refused(match (self.doors.are_shut(), self.needed) {
            (true, _) => {
                "no token is set: set AGENT_SECRET or ADMIN_API_TOKEN for the worker, and send it as Authorization: Bearer …"
            }
            (false, Scope::Agent) => {
                "send AGENT_SECRET as Authorization: Bearer …, or sign the body: headers webhook-id, webhook-timestamp and webhook-signature"
            }
            (false, _) => {
                "send ADMIN_API_TOKEN or ADMIN_READ_TOKEN as x-admin-token, or as Authorization: Bearer …"
            }
        })
    }
}

/// Lets a request pass, or answers 401, 403 or 429.
///
/// # Errors
/// The answer.
pub async fn check(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    match let_in(&guard, request).await {
        Ok(request) => Ok(next.run(request).await),
        Err(problem) if problem.kind() == Kind::Unauthorized => {
            Err(match guard.failures.note(peer, Boot::now()) {
                None => problem,
                Some(wait) => Problem::too_many(
                    wait,
                    "too many requests from this address showed a wrong token, or none",
                ),
            })
        }
        Err(problem) => Err(problem),
    }
}

async fn let_in(guard: &Guard, request: Request) -> Result<Request, Problem> {
    if let Some(token) = token(request.headers())? {
        guard.admit(token)?;
        return Ok(request);
    }
    if guard.needed != Scope::Agent || !request.headers().contains_key(SIGNATURE) {
        return Err(guard.locked());
    }
    if !is_said_by_its_body(&request) {
        return Err(refused(
            "a signature opens /v1/messages and what is below /v1/jobs: send Authorization: Bearer … here",
        ));
    }
    let (mut head, body) = request.into_parts();
    let bytes = body::read(body).await?;
    let id = signer(&head.headers, guard, &bytes)?;
    head.extensions.insert(SignedId(id));
    Ok(Request::from_parts(head, Body::from(bytes)))
}

/// Whether the body alone says what is wanted. A signature does not cover the path: a request that was
/// heard must not open another route that reads no body.
fn is_said_by_its_body(request: &Request) -> bool {
    let path = request.uri().path();
    request.method() == Method::POST && (path == "/v1/messages" || path.starts_with("/v1/jobs/"))
}

fn token(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    if let Some(token) = headers.get(ADMIN_TOKEN) {
        return Ok(Some(token.as_bytes()));
    }
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let value = value.as_bytes();
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => Ok(Some(token)),
        _ => Err(refused("write the header as Authorization: Bearer …")),
    }
}

fn signer(headers: &HeaderMap, guard: &Guard, body: &[u8]) -> Result<String, Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(timestamp), Some(signatures)) =
        (text(ID), text(TIMESTAMP), text(SIGNATURE))
    else {
        return Err(guard.locked());
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
        .verify(guard.doors.of_agents(), body, clock::wall_ms() / 1000)
        .map_err(|error| Problem::new(Kind::Unauthorized, error.to_string()))?;
    Ok(id.to_owned())
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(Kind::Unauthorized, detail)
}
