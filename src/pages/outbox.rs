//! What waits to be sent, and what became of it, attempt by attempt.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};

use super::Pages;
use super::acts::told;
use super::fleet::Done;
use super::frame::{Frame, rendered};
use super::jobs::{Wanted, said};
use super::trouble::Trouble;
use super::visit::Visitor;
use super::words::Now;
use crate::ids::OutboxId;
use crate::outbound::delivery::Status;
use crate::store::{OutboxDetail, OutboxFilter, OutboxRow, PageCursor};

/// Rows of a page.
const ROWS: i64 = 50;

#[derive(Template)]
#[template(path = "outbox.html")]
struct List<'a> {
    wanted: &'a Wanted,
    rows: &'a [OutboxRow],
    next: Option<PageCursor>,
    now: Now,
}

impl List<'_> {
    fn of(&self, status: &str) -> &'static str {
        let wanted = match self.wanted.status.as_str() {
            "" => "all",
            status => status,
        };
        if wanted == status { "page" } else { "false" }
    }
}

/// The list.
pub async fn list(
    State(pages): State<Pages>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Trouble> {
    let status: Option<Status> = match wanted.status.as_str() {
        "" | "all" => None,
        status => Some(
            status
                .parse()
                .map_err(|_| Trouble::Form("Messages have no such status."))?,
        ),
    };
    let filter = OutboxFilter {
        account: wanted.account()?,
        conversation: None,
        status,
        limit: ROWS,
    };
    let cursor = wanted.cursor()?;
    let page = pages.store.page_of_outbox(&filter, cursor.as_ref()).await?;
    let now = pages.store.now_ms().await?;
    let list = List {
        wanted: &wanted,
        rows: &page.rows,
        next: page.next,
        now: Now(now),
    };
    let frame = Frame {
        title: "Outbox",
        place: "outbox",
        visitor: Some(&visitor),
        now,
        rest: rendered(&list),
        ..Frame::default()
    };
    Ok(frame.into_response())
}

#[derive(Template)]
#[template(path = "message.html")]
struct View<'a> {
    detail: &'a OutboxDetail,
    /// What it says, for those who may read it.
    content: Option<String>,
    now: Now,
    seal: Option<&'a str>,
}

/// One message.
pub async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(done): Query<Done>,
) -> Result<Response, Trouble> {
    let found = pages.store.outbox_row(&OutboxId(id.clone())).await?;
    let detail = found.ok_or_else(|| Trouble::Missing(format!("There is no message {id}.")))?;
    let now = pages.store.now_ms().await?;
    let may = visitor.may_operate();
    let content = detail.row.content.as_ref().filter(|_| may);
    let view = View {
        content: content.map(|draft| said(&draft["content"])),
        detail: &detail,
        now: Now(now),
        seal: may.then_some(visitor.seal.as_str()),
    };
    let frame = Frame {
        title: "Message",
        place: "outbox",
        visitor: Some(&visitor),
        now,
        done: told(&done.done),
        rest: rendered(&view),
        ..Frame::default()
    };
    Ok(frame.into_response())
}
