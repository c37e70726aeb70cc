//! Signing in. The cookie is `expiry.nonce.seal`: sealed with a key that is derived from the token that
//! was shown, so every worker with this token takes it, none keeps anything, and it is void when the
//! token changes.

use askama::Template;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use rand::RngExt as _;
use ring::hmac;
use serde::Deserialize;

use super::Pages;
use super::form::Fields;
use super::frame::{plain, rendered};
use crate::api::{Doors, Peer, Scope};
use crate::clock::{self, Boot};
use crate::webhooks::signature::Secret;

const COOKIE: &str = "whatsapp_worker_visit";

/// How long a visit lasts.
const HOURS: i64 = 12;

/// Whoever is signed in.
#[derive(Debug)]
pub struct Visitor {
    /// What the token lets them do.
    pub scope: Scope,
    /// What forms of this visit carry.
    pub seal: String,
    /// When the visit ends, Unix milliseconds.
    pub until: i64,
    /// What `seal` is a tag of, and by which key.
    sealed: (String, hmac::Key),
}

impl Visitor {
    /// Whether buttons are shown.
    pub fn may_operate(&self) -> bool {
        self.scope == Scope::Operate
    }

    /// Whether a form was made for this visit.
    pub fn sealed(&self, seal: &str) -> bool {
        let (told, key) = &self.sealed;
        hex::decode(seal).is_ok_and(|tag| hmac::verify(key, told.as_bytes(), &tag).is_ok())
    }

    fn of(cookie: &str, doors: &Doors, now: i64) -> Option<Self> {
        let (told, tag) = cookie.rsplit_once('.')?;
        let tag = hex::decode(tag).ok()?;
        let until: i64 = told.split_once('.')?.0.parse().ok()?;
        if now >= until {
            return None;
        }
        doors.of_people().find_map(|(scope, token)| {
            let fits = hmac::verify(&key(token, "visit"), told.as_bytes(), &tag).is_ok();
            fits.then(|| {
                let form = key(token, "form");
                Self {
                    scope,
                    seal: sealed(&form, told),
                    until,
                    sealed: (told.to_owned(), form),
                }
            })
        })
    }
}

/// A new visit's cookie.
fn made(token: &Secret, now: i64) -> String {
    let nonce: [u8; 16] = rand::rng().random();
    let until = now + HOURS * 3_600_000;
    let told = format!("{until}.{}", hex::encode(nonce));
    let tag = sealed(&key(token, "visit"), &told);
    format!("{told}.{tag}")
}

/// A key of its own for each purpose, so that nothing that one of them sealed is taken for another's.
fn key(token: &Secret, purpose: &str) -> hmac::Key {
    let root = hmac::Key::new(hmac::HMAC_SHA256, token.reveal().as_bytes());
    let derived = hmac::sign(&root, format!("whatsapp-worker pages {purpose}").as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
}

fn sealed(key: &hmac::Key, text: &str) -> String {
    hex::encode(hmac::sign(key, text.as_bytes()))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).into_iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

impl FromRequestParts<Pages> for Visitor {
    type Rejection = Response;

    /// Whoever is not signed in is asked to.
    async fn from_request_parts(head: &mut Parts, pages: &Pages) -> Result<Self, Response> {
        let visitor = cookie(&head.headers)
            .and_then(|cookie| Self::of(cookie, &pages.doors, clock::wall_ms()));
        visitor.ok_or_else(|| {
            let path = head.uri.path().trim_end_matches("/live");
            let to =
                percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
            Redirect::to(&format!("/ui/login?to={to}")).into_response()
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    to: String,
}

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    to: &'a str,
    /// Why not, after an attempt.
    wrong: Option<String>,
    /// No token opens these pages.
    shut: bool,
}

fn asked(pages: &Pages, status: StatusCode, to: &str, wrong: Option<String>) -> Response {
    let shut = pages.doors.of_people().next().is_none();
    let form = rendered(&Login { to, wrong, shut });
    plain(status, "Sign in", None, form)
}

/// The page for signing in.
pub async fn ask(State(pages): State<Pages>, Query(wanted): Query<Wanted>) -> Response {
    asked(&pages, StatusCode::OK, &wanted.to, None)
}

/// Somebody shows a token.
pub async fn enter(State(pages): State<Pages>, request: Request) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let proto = request.headers().get("x-forwarded-proto");
    let secure = proto.is_some_and(|proto| proto == "https");
    let fields = match Fields::read(request).await {
        Ok(fields) => fields,
        Err(trouble) => return trouble.into_response(),
    };
    let shown = fields.get("token").as_bytes();
    // Each token is compared, whichever fits.
    let fits =
        |found: Option<Secret>, token: &Secret| found.or(token.is(shown).then(|| token.clone()));
    let all = pages.doors.of_people();
    let found = all.fold(None, |found, (_, token)| fits(found, token));
    let Some(token) = found else {
        let (status, why) = match pages.failures.note(peer, Boot::now()) {
            None => (
                StatusCode::UNAUTHORIZED,
                "This is none of this worker's tokens.".to_owned(),
            ),
            Some(wait) => (
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "Too many wrong tokens from this address: wait {} s.",
                    wait.as_secs().max(1)
                ),
            ),
        };
        return asked(&pages, status, fields.get("to"), Some(why));
    };
    let value = made(&token, clock::wall_ms());
    let kept = HOURS * 3600;
    let secure = if secure { "; Secure" } else { "" };
    let set =
        format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={kept}{secure}");
    ([(header::SET_COOKIE, set)], see(local(fields.get("to")))).into_response()
}

/// Ends the visit in this browser.
pub async fn leave(_sent: Leaving) -> Response {
    let set = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    ([(header::SET_COOKIE, set)], see("/ui/login")).into_response()
}

/// Anybody may leave; only from our pages, or others could end visits.
#[derive(Debug)]
pub struct Leaving;

impl axum::extract::FromRequest<Pages> for Leaving {
    type Rejection = Response;

    async fn from_request(request: Request, _: &Pages) -> Result<Self, Response> {
        let fields = Fields::read(request).await;
        fields.map(|_| Self).map_err(IntoResponse::into_response)
    }
}

/// After a form, the browser looks at `to`.
pub fn see(to: &str) -> Redirect {
    Redirect::to(to)
}

/// A place of ours to go to after signing in.
fn local(to: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.');
    if to.starts_with("/ui") && to.bytes().all(plain) {
        to
    } else {
        "/ui"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    fn doors(operator: &str, reader: &str) -> Doors {
        let secret = |text| vec![Secret::parse(text).expect("long enough")];
        Doors::new(
            &secret("agent-0123456789ab"),
            &secret(reader),
            &secret(operator),
        )
    }

    #[test]
    fn a_cookie_opens_what_its_token_opens_until_it_ends_or_the_token_changes() {
        let ours = doors("operator-01234567", "reader-0123456789");
        let scope = |cookie: &str, doors: &Doors, now| {
            Visitor::of(cookie, doors, now).map(|visitor| visitor.scope)
        };
        for (token, expected) in [
            ("operator-01234567", Some(Scope::Operate)),
            ("reader-0123456789", Some(Scope::Read)),
            ("agent-0123456789ab", None),
        ] {
            let cookie = made(&Secret::parse(token).expect("long"), NOW);
            assert_eq!(scope(&cookie, &ours, NOW), expected);
            assert_eq!(scope(&cookie, &ours, NOW + 12 * 3_600_000 - 1), expected);
            assert_eq!(scope(&cookie, &ours, NOW + 12 * 3_600_000), None);
            let others = doors("operator-changed1", "reader-changed123");
            assert_eq!(scope(&cookie, &others, NOW), None);
            let longer = cookie.replacen("1790", "1999", 1);
            assert_eq!(scope(&longer, &ours, NOW), None);
        }
        for odd in ["", ".", "..", "x.y.z", "1999999999999.00.00"] {
            assert_eq!(scope(odd, &ours, NOW), None, "{odd}");
        }
    }

    #[test]
    fn a_form_is_sealed_for_its_visit_alone() {
        let ours = doors("operator-01234567", "reader-0123456789");
        let token = Secret::parse("operator-01234567").expect("long");
        let visit = || Visitor::of(&made(&token, NOW), &ours, NOW).expect("let in");
        let (one, other) = (visit(), visit());
        assert!(one.sealed(&one.seal));
        assert!(!one.sealed(&other.seal) && !one.sealed(""));
    }

    #[test]
    fn signing_in_leads_nowhere_else() {
        for (to, expected) in [
            ("/ui/accounts/default", "/ui/accounts/default"),
            ("//evil.example/ui", "/ui"),
            ("https://evil.example", "/ui"),
            ("/ui\r\nx: y", "/ui"),
            ("", "/ui"),
        ] {
            assert_eq!(local(to), expected);
        }
    }
}
