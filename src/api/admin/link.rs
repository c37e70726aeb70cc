//! Linking an account. The code is a credential, so it is not in the answer to a list or a log: who asks
//! for it gets a link that shows the code of the moment, once, for a minute.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ACTOR;
use super::accounts::must_exist;
use crate::api::body::{Json, Query};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::api::{Answer, Api};
use crate::ids::{AccountId, Phone};
use crate::session::qr::LinkQr;
use crate::store::{LinkCode, LinkCodeKind, SessionStatus};

/// How long the holder makes codes after each request for one.
const WATCHING: Duration = Duration::from_secs(90);
/// How long a link works.
const LASTS: Duration = Duration::from_secs(60);
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

/// Where the code of the moment is shown, once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    account_id: AccountId,
    /// A path of this API; it needs no token.
    link: String,
    #[schema(value_type = u64)]
    link_lasts_ms: u128,
    /// None: the account's holder is asked for one.
    code: Option<CodeView>,
    session: Option<SessionStatus>,
}

/// What is known of a code but the code.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodeView {
    /// `qr` or `pairing`.
    kind: &'static str,
    #[schema(value_type = u64)]
    remaining_ms: u128,
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
) -> Result<Answer<Asked>, Problem> {
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
    let ticket = store.issue_ticket(&account, LASTS).await?;
    let answer = Asked {
        link: format!("/v1/link/{ticket}"),
        link_lasts_ms: LASTS.as_millis(),
        code: code.map(|code| CodeView {
            kind: match code.kind {
                LinkCodeKind::Qr => "qr",
                LinkCodeKind::Pairing => "pairing",
            },
            remaining_ms: code.remaining.as_millis(),
        }),
        session: store.session_status(&account).await?,
        account_id: account,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}

/// `GET /v1/link/{ticket}`: the code, once. Asked too early it is 409, and the link still works.
pub async fn show(
    State(api): State<Api>,
    Path(ticket): Path<String>,
    Query(form): Query<Form>,
) -> Result<Response, Problem> {
    let used = || Problem::new(Kind::NotFound, "this link was used, ran out, or never was");
    let account = api.store.ticket(&ticket).await?.ok_or_else(used)?;
    let code = api.store.link_code(&account).await?;
    let code = code.ok_or_else(|| {
        let detail = "there is no code yet: try again in a second";
        Problem::new(Kind::Conflict, detail)
    })?;
    let (media, bytes) = picture(&code, form.form.as_deref())?;
    if !api.store.use_ticket(&ticket).await? {
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
