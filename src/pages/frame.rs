//! What all pages have around them, and how a page is put together.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::visit::Visitor;

/// A page. Its parts are HTML that other templates made.
#[derive(Debug, Default, Template)]
#[template(path = "frame.html")]
pub struct Frame<'a> {
    pub title: &'a str,
    /// Which entry of the navigation it belongs to.
    pub place: &'a str,
    /// Who looks; nobody: the page for signing in.
    pub visitor: Option<&'a Visitor>,
    /// The store's clock, for the script.
    pub now: i64,
    /// What was done just now, in words.
    pub done: Option<&'a str>,
    /// Where the live part is followed.
    pub follow: Option<String>,
    pub live: String,
    pub rest: String,
}

impl IntoResponse for Frame<'_> {
    fn into_response(self) -> Response {
        Html(rendered(&self)).into_response()
    }
}

/// A page without a live part.
pub fn plain(status: StatusCode, title: &str, visitor: Option<&Visitor>, rest: String) -> Response {
    let frame = Frame {
        title,
        visitor,
        rest,
        ..Frame::default()
    };
    (status, frame).into_response()
}

/// Our templates write into a text, and have nothing else that could fail.
pub fn rendered(template: &impl Template) -> String {
    template.render().expect("a String takes everything")
}
