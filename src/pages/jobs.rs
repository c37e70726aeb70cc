//! The agent queue: dead letters first, then whatever is asked for.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Pages;
use super::acts::told;
use super::fleet::Done;
use super::frame::{Frame, rendered};
use super::trouble::Trouble;
use super::visit::Visitor;
use super::words::Now;
use crate::ids::{AccountId, JobId};
use crate::store::{DeadFilter, Job, JobDetail, JobFilter, JobStatus, PageCursor};

/// Rows of a page.
const ROWS: i64 = 50;

/// Which part of a list is wanted, as the address says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    pub account: String,
    pub status: String,
    pub cursor: String,
    pub done: String,
}

impl Wanted {
    /// Only this account's.
    ///
    /// # Errors
    /// [`Trouble::Missing`]: there can be no such account.
    pub fn account(&self) -> Result<Option<AccountId>, Trouble> {
        let text = self.account.trim();
        let parsed = (!text.is_empty()).then(|| text.parse());
        let parsed = parsed.transpose();
        parsed.map_err(|_| Trouble::Missing(format!("There is no account {text:?}.")))
    }

    /// Where the page before ended.
    ///
    /// # Errors
    /// [`Trouble::Form`]: it is no cursor.
    pub fn cursor(&self) -> Result<Option<PageCursor>, Trouble> {
        let parsed = (!self.cursor.is_empty()).then(|| self.cursor.parse());
        let parsed = parsed.transpose();
        parsed.map_err(|_| Trouble::Form("This is no place in a list."))
    }
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct List<'a> {
    wanted: &'a Wanted,
    jobs: &'a [Job],
    next: Option<PageCursor>,
    now: Now,
    /// With it, dead letters have buttons.
    seal: Option<&'a str>,
}

impl List<'_> {
    fn of(&self, status: &str) -> &'static str {
        let current = match self.wanted.status.as_str() {
            "" => "dead",
            status => status,
        };
        if current == status { "page" } else { "false" }
    }
}

/// The list.
pub async fn list(
    State(pages): State<Pages>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Trouble> {
    let (account, cursor) = (wanted.account()?, wanted.cursor()?);
    let page = match wanted.status.as_str() {
        "" | "dead" => {
            let filter = DeadFilter {
                account,
                reason: None,
                limit: ROWS,
            };
            pages.store.dead_letters(&filter, cursor.as_ref()).await?
        }
        status => {
            let status: Option<JobStatus> = match status {
                "all" => None,
                status => Some(
                    status
                        .parse()
                        .map_err(|_| Trouble::Form("Jobs have no such status."))?,
                ),
            };
            let filter = JobFilter {
                account,
                status,
                limit: ROWS,
            };
            pages.store.page_of_jobs(&filter, cursor.as_ref()).await?
        }
    };
    let now = pages.store.now_ms().await?;
    let list = List {
        wanted: &wanted,
        jobs: &page.rows,
        next: page.next,
        now: Now(now),
        seal: visitor.may_operate().then_some(visitor.seal.as_str()),
    };
    let frame = Frame {
        title: "Jobs",
        place: "jobs",
        visitor: Some(&visitor),
        now,
        done: told(&wanted.done),
        rest: rendered(&list),
        ..Frame::default()
    };
    Ok(frame.into_response())
}

#[derive(Template)]
#[template(path = "job.html")]
struct View<'a> {
    job: &'a Job,
    /// What people wrote, for those who may read it.
    content: Option<String>,
    from: Option<String>,
    result: Option<String>,
    now: Now,
    seal: Option<&'a str>,
}

/// One job.
pub async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(done): Query<Done>,
) -> Result<Response, Trouble> {
    let found = pages.store.job(&JobId(id.clone())).await?;
    let detail: JobDetail =
        found.ok_or_else(|| Trouble::Missing(format!("There is no job {id}.")))?;
    let now = pages.store.now_ms().await?;
    let may = visitor.may_operate();
    let view = View {
        content: may.then(|| said(&detail.content)),
        from: detail.push_name.filter(|_| may),
        result: detail.result.filter(|_| may).map(|result| pretty(&result)),
        job: &detail.job,
        now: Now(now),
        seal: may.then_some(visitor.seal.as_str()),
    };
    let frame = Frame {
        title: "Job",
        place: "jobs",
        visitor: Some(&visitor),
        now,
        done: told(&done.done),
        rest: rendered(&view),
        ..Frame::default()
    };
    Ok(frame.into_response())
}

/// The text of a message, or all of what is no text.
pub fn said(content: &serde_json::Value) -> String {
    match content["body"].as_str() {
        Some(body) => body.to_owned(),
        None => pretty(content),
    }
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}")
}
