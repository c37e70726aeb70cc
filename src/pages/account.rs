//! One account: what is wrong, the code that links it, its lease, its auth state, what happened to it,
//! and what can be done.

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};

use super::Pages;
use super::acts::told;
use super::fleet::Done;
use super::frame::{Frame, rendered};
use super::live::{Live, follow};
use super::trouble::Trouble;
use super::verdict::{Verdict, judge};
use super::visit::Visitor;
use super::words::Now;
use crate::ids::{AccountId, Phone, mask};
use crate::session::qr::LinkQr;
use crate::store::{
    Account, AuditRow, LeaseRow, LinkCodeKind, QueueDepth, SessionStatus, Store, StoreError,
};

/// How long the holder believes that somebody looks, after each look.
pub const WATCHING: Duration = Duration::from_secs(10);

/// Lines of the account's history.
const LINES: i64 = 30;

/// A code, as it is shown.
#[derive(PartialEq)]
pub enum Code {
    /// An SVG picture.
    Picture(String),
    /// Two halves to type.
    Typed(String, String),
    /// Asked for, and not there yet.
    Awaited,
}

/// What the page shows.
#[derive(PartialEq)]
pub struct Seen {
    pub account: Account,
    pub number: Option<String>,
    pub verdict: Verdict,
    pub session: Option<SessionStatus>,
    pub held: Option<Held>,
    pub successor: Option<String>,
    pub queue: Option<Depth>,
    pub outbox: i64,
    pub order: Option<&'static str>,
    pub code: Option<Code>,
    pub history: Vec<AuditRow>,
}

/// Who holds the lease.
#[derive(PartialEq)]
pub struct Held {
    pub owner: String,
    pub epoch: i64,
    pub until: i64,
}

/// The queue, without what changes by itself.
#[derive(PartialEq)]
pub struct Depth {
    pub pending: i64,
    pub processing: i64,
    pub dead: i64,
}

#[derive(Template)]
#[template(path = "account.html")]
struct View<'a> {
    seen: &'a Seen,
    now: Now,
}

impl Live for Seen {
    type Of = AccountId;
    const EVERY: Duration = Duration::from_secs(1);

    async fn look(pages: &Pages, id: &AccountId, operator: bool) -> Result<Self, Trouble> {
        let store = &pages.store;
        let account = known(store, id).await?;
        let lease = store.lease(id).await?;
        let session = store.session_status(id).await?;
        let census = pages.lookout.census().await?;
        let queue = census.queues.iter().find(|depth| depth.account_id == *id);
        let outbox = census.outboxes.iter().find(|depth| depth.account_id == *id);
        let code = match (&session, operator) {
            (Some(session), true) if awaits_link(session) => Some(code(store, id).await?),
            _ => None,
        };
        let order = store.auth_order(id).await?.map(|asked| match asked.order {
            crate::store::AuthOrder::Clear => "to clear it",
            crate::store::AuthOrder::AcceptRollback => "to accept an older copy",
        });
        let held = lease.as_ref().filter(|row| !row.is_free());
        Ok(Self {
            verdict: judge(&account, lease.as_ref(), session.as_ref(), queue),
            number: account
                .linked_at
                .and(account.linked.as_ref())
                .map(|jid| mask(jid.user())),
            held: held.map(Held::of),
            successor: lease.as_ref().and_then(|row| row.successor.clone()),
            queue: queue.map(Depth::of),
            outbox: outbox.map_or(0, |depth| depth.pending + depth.sending),
            history: store.audit(id, LINES).await?,
            account,
            session,
            order,
            code,
        })
    }

    fn html(&self, now: i64) -> String {
        rendered(&View {
            seen: self,
            now: Now(now),
        })
    }
}

impl Held {
    fn of(row: &LeaseRow) -> Self {
        Self {
            owner: row.owner.to_string(),
            epoch: row.epoch.0,
            until: row.expires_at,
        }
    }
}

impl Depth {
    fn of(depth: &QueueDepth) -> Self {
        Self {
            pending: depth.pending,
            processing: depth.processing,
            dead: depth.dead,
        }
    }
}

fn awaits_link(session: &SessionStatus) -> bool {
    matches!(
        session.state.as_str(),
        "needs_link" | "linking" | "logged_out"
    )
}

/// The holder's code. To look at it is to ask for it; what somebody else asked for stays asked for.
async fn code(store: &Store, id: &AccountId) -> Result<Code, StoreError> {
    let wish = store.link_wish(id).await?;
    let phone = wish.as_ref().and_then(|wish| wish.phone.clone());
    let replace = wish.is_some_and(|wish| wish.replace_number);
    ask(store, id, phone.as_ref(), replace).await?;
    let wanted = match phone {
        Some(_) => LinkCodeKind::Pairing,
        None => LinkCodeKind::Qr,
    };
    let code = store.link_code(id).await?;
    let Some(code) = code.filter(|code| code.kind == wanted) else {
        return Ok(Code::Awaited);
    };
    Ok(match code.kind {
        LinkCodeKind::Pairing => {
            let (first, second) = code.code.split_at(code.code.len() / 2);
            Code::Typed(first.to_owned(), second.to_owned())
        }
        LinkCodeKind::Qr => match LinkQr::new(&code.code) {
            Ok(picture) => {
                let document = picture.svg();
                let start = document.find("<svg").unwrap_or_default();
                Code::Picture(document[start..].to_owned())
            }
            // No code of WhatsApp's is so long; the next one comes in a moment.
            Err(_) => Code::Awaited,
        },
    })
}

/// Says that somebody looks for a code.
pub async fn ask(
    store: &Store,
    id: &AccountId,
    phone: Option<&Phone>,
    replace: bool,
) -> Result<(), StoreError> {
    store.wish_to_link(id, phone, replace, WATCHING).await
}

/// An account that there is.
pub async fn known(store: &Store, id: &AccountId) -> Result<Account, Trouble> {
    let account = store.account(id).await?;
    account.ok_or_else(|| Trouble::Missing(format!("There is no account '{id}'.")))
}

#[derive(Template)]
#[template(path = "account_acts.html")]
struct Acts<'a> {
    seen: &'a Seen,
    seal: &'a str,
}

/// The page.
pub async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
    Query(done): Query<Done>,
) -> Result<Response, Trouble> {
    let seen = Seen::look(&pages, &id, visitor.may_operate()).await?;
    let now = pages.store.now_ms().await?;
    let acts = Acts {
        seen: &seen,
        seal: &visitor.seal,
    };
    let rest = visitor.may_operate().then(|| rendered(&acts));
    let frame = Frame {
        title: id.as_str(),
        place: "fleet",
        visitor: Some(&visitor),
        now,
        done: told(&done.done),
        follow: Some(format!("/ui/accounts/{id}/live")),
        live: seen.html(now),
        rest: rest.unwrap_or_default(),
    };
    Ok(frame.into_response())
}

/// Its live part.
pub async fn live(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(id): Path<AccountId>,
) -> Response {
    follow::<Seen>(pages, id, &visitor)
}
