//! A page's live part as server-sent events: its HTML, whenever what it shows has changed. The browser
//! connects again by itself, so a stream may end at any time.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Pages;
use super::trouble::Trouble;
use super::visit::Visitor;
use crate::clock;

/// A stream ends by then: whoever changed the token, or left, follows nothing for long.
const LONGEST_MS: i64 = 5 * 60 * 1000;

/// What a live part shows. Equal values look alike, but for the time that passed.
pub trait Live: PartialEq + Send + Sync + Sized + 'static {
    /// What chooses the part.
    type Of: Clone + Send + Sync + 'static;
    /// How often the store is asked.
    const EVERY: Duration;

    /// As the store has it now. Not to be cancelled lightly: it may tell the store that somebody looks.
    fn look(
        pages: &Pages,
        of: &Self::Of,
        operator: bool,
    ) -> impl Future<Output = Result<Self, Trouble>> + Send;

    /// As HTML, at the store's time `now`.
    fn html(&self, now: i64) -> String;
}

struct Following<L: Live> {
    pages: Pages,
    of: L::Of,
    operator: bool,
    until: i64,
    ticks: Interval,
    shown: Option<L>,
    _seat: tokio::sync::OwnedSemaphorePermit,
}

/// Follows a live part until the visit ends, the process stops, or the store does not answer.
pub fn follow<L: Live>(pages: Pages, of: L::Of, visitor: &Visitor) -> Response {
    let Ok(seat) = pages.seats.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let mut ticks = interval(L::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let following = Following::<L> {
        operator: visitor.may_operate(),
        until: visitor.until.min(clock::wall_ms() + LONGEST_MS),
        pages,
        of,
        ticks,
        shown: None,
        _seat: seat,
    };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok::<_, Infallible>(event), following))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

impl<L: Live> Following<L> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            // A tick that loses is asked for no more.
            tokio::select! {
                () = self.pages.stop.cancelled() => return None,
                _ = self.ticks.tick() => {}
            }
            if clock::wall_ms() >= self.until {
                return None;
            }
            let seen = L::look(&self.pages, &self.of, self.operator).await.ok()?;
            if self.shown.as_ref() != Some(&seen) {
                let now = self.pages.store.now_ms().await.ok()?;
                let event = Event::default().id(now.to_string()).data(seen.html(now));
                self.shown = Some(seen);
                return Some(event);
            }
        }
    }
}
