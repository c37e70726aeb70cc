//! Forms that our pages sent: small, in time, from this origin, with the visitor's own seal.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::Pages;
use super::trouble::Trouble;
use super::visit::Visitor;
use crate::api::Scope;

/// More than any of our forms has.
const LARGEST: usize = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// A form's fields.
#[derive(Debug)]
pub struct Fields(HashMap<String, String>);

impl Fields {
    /// A field; empty when it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    /// Of a request from our own pages, whoever sent it.
    ///
    /// # Errors
    /// [`Trouble::Forbidden`] for one from elsewhere, [`Trouble::Form`].
    pub async fn read(request: Request) -> Result<Self, Trouble> {
        if !is_from_here(request.headers()) {
            return Err(Trouble::Forbidden(
                "This was not sent by a page of this worker. Behind a proxy: it must leave the Host header as it is.",
            ));
        }
        let reading = axum::body::to_bytes(request.into_body(), LARGEST);
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(body)) => Ok(Self(
                url::form_urlencoded::parse(&body).into_owned().collect(),
            )),
            _ => Err(Trouble::Form(
                "The form is too large, or did not arrive in time.",
            )),
        }
    }
}

/// What an operator sent.
#[derive(Debug)]
pub struct Sent(pub Fields);

impl FromRequest<Pages> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, pages: &Pages) -> Result<Self, Response> {
        let (mut head, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut head, pages).await?;
        let fields = Fields::read(Request::from_parts(head, body)).await;
        let fields = fields.map_err(IntoResponse::into_response)?;
        if visitor.scope != Scope::Operate {
            let why =
                "ADMIN_READ_TOKEN lets you look. To change anything, sign in with ADMIN_API_TOKEN.";
            return Err(Trouble::Forbidden(why).into_response());
        }
        if !visitor.sealed(fields.get("seal")) {
            let why = "The page was made for another visit: load it again, then send it again.";
            return Err(Trouble::Forbidden(why).into_response());
        }
        Ok(Self(fields))
    }
}

/// Whether a browser says that one of our own pages sent this. Browsers that do not know
/// `Sec-Fetch-Site` send `Origin` with every form.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = text(header::HOST.as_str());
    let origin = text(header::ORIGIN.as_str()).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| host == Some(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_may_send_forms() {
        for (sent, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (
                &[("sec-fetch-site", "none"), ("origin", "http://w:1")],
                false,
            ),
            (&[("origin", "http://w:1")], true),
            (&[("origin", "https://w:1")], true),
            (&[("origin", "http://w:2")], false),
            (&[("origin", "null")], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("host", "w:1".parse().expect("a value"));
            for (name, value) in sent {
                headers.insert(*name, value.parse().expect("a value"));
            }
            assert_eq!(is_from_here(&headers), expected, "{sent:?}");
        }
    }
}
