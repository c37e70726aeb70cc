//! All accounts on one page, the one that needs somebody first.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Pages;
use super::acts::told;
use super::frame::{Frame, rendered};
use super::live::{Live, follow};
use super::trouble::Trouble;
use super::verdict::{Level, Verdict, judge};
use super::visit::Visitor;
use super::words::Now;
use crate::ids::{AccountId, mask};
use crate::store::{Account, QueueDepth};

/// One account in the list.
#[derive(Debug, PartialEq)]
pub struct Line {
    pub id: AccountId,
    pub number: Option<String>,
    pub verdict: Verdict,
    pub holder: Option<String>,
    pub epoch: Option<i64>,
    /// When the lease ends.
    pub until: Option<i64>,
    pub last_message: Option<i64>,
    pub waiting: i64,
    pub working: i64,
    pub dead: i64,
    pub outbox: i64,
}

/// A worker that runs.
#[derive(Debug, PartialEq)]
pub struct Hand {
    pub name: String,
    pub version: String,
    pub draining: bool,
    pub held: usize,
    pub capacity: i64,
    pub since: i64,
}

/// What the page shows.
#[derive(Debug, PartialEq)]
pub struct Fleet {
    pub paused: bool,
    pub lines: Vec<Line>,
    pub hands: Vec<Hand>,
}

#[derive(Template)]
#[template(path = "fleet.html")]
struct View<'a> {
    fleet: &'a Fleet,
    now: Now,
}

impl View<'_> {
    fn count(&self, level: Level) -> usize {
        let lines = self.fleet.lines.iter();
        lines.filter(|line| line.verdict.level == level).count()
    }

    /// The first thing that is read.
    fn headline(&self) -> String {
        let all = self.fleet.lines.len();
        match (self.count(Level::Bad), self.count(Level::Warn)) {
            _ if all == 0 => "No accounts yet".to_owned(),
            (0, 0) => "All is well".to_owned(),
            (0, 1) => "One account is worth a look".to_owned(),
            (0, some) => format!("{some} accounts are worth a look"),
            (1, _) => "One account needs you".to_owned(),
            (bad, _) => format!("{bad} accounts need you"),
        }
    }

    fn level(&self) -> &'static str {
        let worst = self.fleet.lines.iter().map(|line| line.verdict.level).min();
        match worst {
            _ if self.fleet.paused => Level::Bad.as_str(),
            Some(Level::Off) | None => Level::Good.as_str(),
            Some(level) => level.as_str(),
        }
    }
}

impl Live for Fleet {
    type Of = ();
    const EVERY: Duration = Duration::from_secs(2);

    async fn look(pages: &Pages, (): &(), _operator: bool) -> Result<Self, Trouble> {
        let store = &pages.store;
        let census = pages.lookout.census().await?;
        let leases: HashMap<_, _> = census.leases.iter().map(|l| (&l.account, l)).collect();
        let depths: HashMap<_, _> = census.queues.iter().map(|d| (&d.account_id, d)).collect();
        let outbox: HashMap<_, _> = census.outboxes.iter().map(|d| (&d.account_id, d)).collect();
        let last = store.last_messages().await?;
        let line = |account: &Account| {
            let id = &account.id;
            let (lease, depth) = (leases.get(id).copied(), depths.get(id).copied());
            let held = lease.filter(|row| !row.is_free());
            let of = |number: fn(&QueueDepth) -> i64| depth.map_or(0, number);
            Line {
                verdict: judge(account, lease, census.sessions.get(id), depth),
                number: account
                    .linked_at
                    .and(account.linked.as_ref())
                    .map(|jid| mask(jid.user())),
                holder: held.map(|row| row.owner.to_string()),
                epoch: held.map(|row| row.epoch.0),
                until: held.map(|row| row.expires_at),
                last_message: last.get(id).copied(),
                waiting: of(|depth| depth.pending),
                working: of(|depth| depth.processing),
                dead: of(|depth| depth.dead),
                outbox: outbox
                    .get(id)
                    .map_or(0, |depth| depth.pending + depth.sending),
                id: id.clone(),
            }
        };
        let mut lines: Vec<Line> = census.accounts.iter().map(line).collect();
        lines.sort_by_key(|line| line.verdict.level);
        let hands = store.workers().await?.into_iter().map(|worker| Hand {
            held: leases
                .values()
                .filter(|row| row.holder() == Some(&worker.told.owner))
                .count(),
            name: worker.told.owner.to_string(),
            draining: worker.is_draining(),
            version: worker.told.version,
            capacity: worker.told.capacity,
            since: worker.started_at,
        });
        Ok(Self {
            paused: store.controls().await?.paused,
            hands: hands.collect(),
            lines,
        })
    }

    fn html(&self, now: i64) -> String {
        rendered(&View {
            fleet: self,
            now: Now(now),
        })
    }
}

#[derive(Template)]
#[template(path = "switch.html")]
struct Switch<'a> {
    paused: bool,
    seal: &'a str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Done {
    pub done: String,
}

/// The page.
pub async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    Query(done): Query<Done>,
) -> Result<Response, Trouble> {
    let fleet = Fleet::look(&pages, &(), visitor.may_operate()).await?;
    let now = pages.store.now_ms().await?;
    let switch = Switch {
        paused: fleet.paused,
        seal: &visitor.seal,
    };
    let rest = visitor.may_operate().then(|| rendered(&switch));
    let frame = Frame {
        title: "Fleet",
        place: "fleet",
        visitor: Some(&visitor),
        now,
        done: told(&done.done),
        follow: Some("/ui/live".to_owned()),
        live: fleet.html(now),
        rest: rest.unwrap_or_default(),
    };
    Ok(frame.into_response())
}

/// Its live part.
pub async fn live(State(pages): State<Pages>, visitor: Visitor) -> Response {
    follow::<Fleet>(pages, (), &visitor)
}
