//! Linking an account. The code is a credential, so it is not in the answer to a list or a log: who asks
//! for it gets a link that shows the code of the moment, once, for a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::ACTOR;
use super::accounts::must_exist;
use crate::api::body::{Json, Query};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::api::{Answer, Api};
use crate::clock::Boot;
use crate::ids::{AccountId, ClaimToken, Phone};
use crate::session::qr::LinkQr;
use crate::store::{LinkCode, LinkCodeKind};

/// How long the holder makes codes after each request for one.
const WATCHING: Duration = Duration::from_secs(90);
/// How long a link works.
const LASTS: Duration = Duration::from_secs(60);
/// Links that are open at once; the oldest gives way.
const MOST: usize = 256;

/// Links that were not used yet.
#[derive(Clone, Debug, Default)]
pub struct Tickets(Arc<Mutex<HashMap<String, (AccountId, Boot)>>>);

impl Tickets {
    fn issue(&self, account: AccountId, now: Boot) -> String {
        let mut open = self.0.lock().expect("nothing panics while it is held");
        open.retain(|_, (_, until)| *until > now);
        if open.len() >= MOST {
            let oldest = open.iter().min_by_key(|(_, (_, until))| *until);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                open.remove(&name);
            }
        }
        let ticket = ClaimToken::random().as_str().to_owned();
        open.insert(ticket.clone(), (account, now.plus(LASTS)));
        ticket
    }

    /// Whose it is, while it can be used.
    fn look(&self, ticket: &str, now: Boot) -> Option<AccountId> {
        let open = self.0.lock().expect("nothing panics while it is held");
        let (account, until) = open.get(ticket)?;
        (*until > now).then(|| account.clone())
    }

    /// `true` for exactly one caller.
    fn take(&self, ticket: &str) -> bool {
        let mut open = self.0.lock().expect("nothing panics while it is held");
        open.remove(ticket).is_some()
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkBody {
    /// Ask for an 8-character code to type on this phone, instead of a QR code.
    phone: Option<String>,
    /// A phone with another number than the account's last one is welcome.
    #[serde(default)]
    replace_number: bool,
    /// Give up a link whose auth state is lost, and link anew.
    #[serde(default)]
    again: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Form {
    /// `svg` (unless set) or `png` for a QR code, `text` for what is behind it and for pairing codes.
    #[serde(rename = "as")]
    form: Option<String>,
}

/// `POST /v1/admin/accounts/{account}/link`. Repeat it while somebody looks: codes change.
pub async fn ask(
    State(api): State<Api>,
    Path(account): Path<AccountId>,
    Json(wanted): Json<LinkBody>,
) -> Result<Answer<Value>, Problem> {
    let phone = wanted.phone.map(|text| {
        let why = "write it with its country code, e.g. +49 151 2345678";
        Phone::parse(&text).ok_or_else(|| Problem::field("phone", why))
    });
    let phone = phone.transpose()?;
    let known = must_exist(&api, &account).await?;
    if wanted.again {
        api.store.forget_link(&account, ACTOR).await?;
    } else if known.linked_at.is_some() {
        let detail = "the account is linked; `\"again\": true` gives that link up";
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let (store, replace) = (&api.store, wanted.replace_number);
    store
        .wish_to_link(&account, phone.as_ref(), replace, WATCHING)
        .await?;
    let code = store.link_code(&account).await?;
    let ticket = api.tickets.issue(account.clone(), Boot::now());
    let answer = json!({
        "accountId": account,
        "link": format!("/v1/link/{ticket}"),
        "linkLastsMs": LASTS.as_millis(),
        "code": code.map(|code| json!({
            "kind": match code.kind { LinkCodeKind::Qr => "qr", LinkCodeKind::Pairing => "pairing" },
            "remainingMs": code.remaining.as_millis(),
        })),
        "session": store.session_status(&account).await?,
    });
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}

/// `GET /v1/link/{ticket}`: the code, once. Asked too early it is 409, and the link still works.
pub async fn show(
    State(api): State<Api>,
    Path(ticket): Path<String>,
    Query(form): Query<Form>,
) -> Result<Response, Problem> {
    let used = || Problem::new(Kind::NotFound, "this link was used, ran out, or never was");
    let account = api.tickets.look(&ticket, Boot::now()).ok_or_else(used)?;
    let code = api.store.link_code(&account).await?;
    let code = code.ok_or_else(|| {
        let detail = "there is no code yet: try again in a second";
        Problem::new(Kind::Conflict, detail)
    })?;
    let (media, bytes) = picture(&code, form.form.as_deref())?;
    if !api.tickets.take(&ticket) {
        return Err(used());
    }
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    let secret = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, secret);
    let alone = HeaderValue::from_static("no-referrer");
    headers.insert(header::REFERRER_POLICY, alone);
    Ok(response)
}

fn picture(code: &LinkCode, form: Option<&str>) -> Result<(&'static str, Vec<u8>), Problem> {
    let text = ("text/plain; charset=utf-8", code.code.clone().into_bytes());
    let broken = |_| Problem::new(Kind::Internal, "the code cannot be drawn");
    match (code.kind, form) {
        (_, Some("text")) | (LinkCodeKind::Pairing, None) => Ok(text),
        (LinkCodeKind::Qr, None | Some("svg")) => {
            let svg = LinkQr::new(&code.code).map_err(broken)?.svg();
            Ok(("image/svg+xml", svg.into_bytes()))
        }
        (LinkCodeKind::Qr, Some("png")) => {
            let png = LinkQr::new(&code.code).and_then(|qr| qr.png());
            Ok(("image/png", png.map_err(broken)?))
        }
        (LinkCodeKind::Pairing, Some("svg" | "png")) => {
            Err(Problem::field("as", "a pairing code is text"))
        }
        _ => Err(Problem::field("as", "write svg, png or text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once_and_for_its_time() {
        let (tickets, now) = (Tickets::default(), Boot::now());
        let account: AccountId = "shop".parse().expect("valid");
        let ticket = tickets.issue(account.clone(), now);
        assert_eq!(tickets.look(&ticket, now), Some(account.clone()));
        assert!(tickets.take(&ticket) && !tickets.take(&ticket));
        assert_eq!(tickets.look(&ticket, now), None);
        let late = tickets.issue(account.clone(), now);
        assert_eq!(tickets.look(&late, now.plus(LASTS)), None);
        for _ in 0..MOST + 5 {
            tickets.issue(account.clone(), now);
        }
        assert_eq!(tickets.0.lock().expect("whole").len(), MOST);
    }
}
