//! One process of the model: the real core, a driver and a session reduced to what matters.

use std::sync::Arc;
use std::time::Duration;

use super::super::table::{Fence, Owner, Row};
use super::super::{Action, Core, Event};
use super::{Rules, SECOND};
use crate::clock::Boot;
use crate::ids::{AccountId, Epoch};

pub(super) fn account() -> AccountId {
    "a".parse().expect("valid")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Runs,
    StandsStill,
    Dead,
}

/// What the session of an active account works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Term {
    pub(super) fence: Fence,
    pub(super) until: i64,
    /// A message of this term is committed as `sending` and not yet sent.
    pub(super) claimed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) core: Arc<Core>,
    pub(super) life: Life,
    pub(super) wake: Option<i64>,
    pub(super) term: Option<Term>,
    /// Of the last bid that won.
    fence: Option<Fence>,
}

/// A statement for the store, without the parameters that its sender does not choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Question {
    Look,
    Acquire {
        unchanged: Option<(Epoch, i64)>,
        dead: Option<Epoch>,
    },
    Renew(Fence),
    Release(Fence),
    Write(Fence),
}

/// What the store says to it. `Release` and `Write` are not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Rows {
        row: Option<Row>,
        dead: bool,
        at: i64,
    },
    Acquired(Option<Fence>),
    Renewed(bool),
    None,
}

impl Question {
    /// What the driver tells the core when it does not get an answer.
    pub(super) fn failure(self) -> Option<Event> {
        match self {
            Self::Look => Some(Event::Blind),
            Self::Acquire { .. } => Some(Event::AcquireFailed { account: account() }),
            Self::Renew(_) => Some(Event::RenewFailed),
            Self::Release(_) | Self::Write(_) => None,
        }
    }
}

impl Process {
    pub(super) fn new() -> Self {
        Self {
            core: Arc::new(Core::new(Rules::timing(), Rules::pace())),
            life: Life::Runs,
            wake: None,
            term: None,
            fence: None,
        }
    }

    pub(super) fn die(&mut self) {
        *self = Self {
            life: Life::Dead,
            ..Self::new()
        };
    }

    pub(super) fn is_due(&self, now: i64) -> bool {
        self.life == Life::Runs && self.wake.is_some_and(|wake| wake <= now)
    }

    /// Steps the core. Returns what to ask the store, and what happens next in this process.
    pub(super) fn step(&mut self, event: Event, now: i64) -> (Vec<Question>, Vec<Event>) {
        let (mut asked, mut next) = (Vec::new(), Vec::new());
        self.wake = None;
        for action in Arc::make_mut(&mut self.core).step(event, Boot::from_ms(now)) {
            match action {
                Action::WakeAt(at) => self.wake = Some(at.as_ms()),
                Action::Look => asked.push(Question::Look),
                Action::Acquire {
                    unchanged, dead, ..
                } => asked.push(Question::Acquire { unchanged, dead }),
                Action::Renew { leases } => {
                    let fence = self.fence.expect("held, so won");
                    assert_eq!(leases, [(account(), Epoch(fence.epoch))]);
                    asked.push(Question::Renew(fence));
                }
                Action::Release { .. } => {
                    asked.push(Question::Release(self.fence.take().expect("won")));
                    next.push(bid(1));
                }
                Action::Won { trusted_until, .. } => {
                    self.term = Some(Term {
                        fence: self.fence.expect("just acquired"),
                        until: trusted_until.as_ms(),
                        claimed: false,
                    });
                }
                Action::Trust { until, .. } => {
                    // A term that is handed over is renewed until it is released.
                    if let Some(term) = &mut self.term {
                        term.until = until.as_ms();
                    }
                }
                Action::Lost { .. } => {
                    self.term = None;
                    next.push(bid(0));
                }
                Action::HandOver { epoch, .. } => {
                    self.term = None;
                    next.push(Event::Release {
                        account: account(),
                        epoch,
                    });
                }
            }
        }
        (asked, next)
    }

    /// What the core is told of an answer.
    pub(super) fn hear(&mut self, me: Owner, answer: Answer) -> Option<Event> {
        match answer {
            Answer::Rows { row, dead, at } => Some(Event::Seen {
                rows: row
                    .map(|row| row.seen(account(), me, me, dead, at))
                    .into_iter()
                    .collect(),
            }),
            Answer::Acquired(None) => Some(Event::Refused { account: account() }),
            Answer::Acquired(Some(fence)) => {
                self.fence = Some(fence);
                Some(Event::Acquired {
                    account: account(),
                    epoch: Epoch(fence.epoch),
                })
            }
            Answer::Renewed(kept) => Some(Event::Renewed {
                kept: kept.then(account).into_iter().collect(),
            }),
            Answer::None => None,
        }
    }
}

/// A bid with a handicap of so many seconds.
pub(super) fn bid(seconds: i64) -> Event {
    Event::Bid {
        account: account(),
        handicap: Duration::from_millis((seconds * SECOND).unsigned_abs()),
    }
}

pub(super) fn epoch(fence: Fence) -> Epoch {
    Epoch(fence.epoch)
}
