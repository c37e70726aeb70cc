//! Everything that a process decides about its leases, without I/O.
//!
//! One [`Core`] for each process. [`Core::step`] takes what happened and the time, and returns what
//! to do. The driver ([`super::keeper`]), the model checker and the simulation run this same code.
//!
//! ```text
//!           Bid                  free, after handicap         Acquired
//!   ┌─────┐ ───▶ ┌───────┐ Seen ┌──────────────────┐ Acquire ┌─────────┐ Won   ┌──────┐
//!   │ out │      │ looks │ ───▶ │ waits for its    │ ──────▶ │ bidding │ ────▶ │ held │
//!   └─────┘ ◀─── └───────┘ ◀─── │ expiry or turn   │ ◀────── └─────────┘       └──────┘
//!      ▲ Withdraw          till └──────────────────┘ Refused, failed         Lost │ Release
//!      └───────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Invariants:
//!
//! - Trust counts from the step that asked, never from the answer. It ends by itself, first thing in
//!   each step, and never comes back to the same term.
//! - All leases are renewed by one statement. At most one renewal and one look are on their way.
//! - A lease is bid for when its holder let it go, when that holder cannot trust it any more by the
//!   store's clock *and* by this process's own, or when its beat stood still for a whole TTL on this
//!   process's own clock. So a step of the store's clock admits nobody beside a holder that this
//!   process has seen alive, and keeps nobody out for good.
//! - After a loss to an operator, an account is left to others for one TTL.
//! - Times are whole milliseconds. No random source: jitter is drawn from the seed, account, epoch.
//!
//! Failures: an unanswered renewal changes nothing until trust runs out and is asked again within a
//! second; an answer that misses a lease ends that term; a failed look or bid is repeated within a
//! second. A bid whose answer was lost leaves a row that names this process: it is taken again at
//! once.
//!
//! A step costs O(1) map look-ups, except for those on the answers to `Renew` and `Look` and at a
//! moment that it waited for: those walk all accounts once.

mod account;
mod message;
#[cfg(test)]
mod model;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::account::{Account, Seat};
pub use self::message::{Action, Event, Holder, Loss, Pace, Seen, Successor};
use super::timing::LeaseTiming;
use crate::clock::Boot;
use crate::ids::{AccountId, Epoch};

/// After a failure the next attempt does not wait for its turn.
const RETRY: Duration = Duration::from_secs(1);

/// The leases of one process: bids, terms, and what is on its way to the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    timing: LeaseTiming,
    pace: Pace,
    accounts: BTreeMap<AccountId, Account>,
    /// Not later than the earliest moment of any account.
    alarm: Option<Boot>,
    beat: Turn,
    look: Turn,
}

/// A request of which one at a time is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Turn {
    /// When the one that is on its way was asked.
    asked: Option<Boot>,
    /// When the next one is due. Waits for the answer of the one on its way.
    next: Option<Boot>,
}

impl Turn {
    fn no_later_than(&mut self, at: Boot) {
        earlier(&mut self.next, at);
    }

    fn is_due(&self, now: Boot) -> bool {
        self.asked.is_none() && self.next.is_some_and(|next| next <= now)
    }

    fn moment(&self) -> Option<Boot> {
        self.next.filter(|_| self.asked.is_none())
    }
}

fn earlier(slot: &mut Option<Boot>, at: Boot) {
    *slot = Some(slot.map_or(at, |was| was.min(at)));
}

impl Core {
    /// Of a process that wants nothing and holds nothing.
    pub fn new(timing: LeaseTiming, pace: Pace) -> Self {
        Self {
            timing,
            pace,
            accounts: BTreeMap::new(),
            alarm: None,
            beat: Turn::default(),
            look: Turn::default(),
        }
    }

    /// Takes in what happened at `now`, which never runs backwards, and returns what to do.
    pub fn step(&mut self, event: Event, now: Boot) -> Vec<Action> {
        let mut todo = Vec::new();
        self.end_trust(now, &mut todo);
        self.take_in(event, now, &mut todo);
        self.renew(now, &mut todo);
        self.pursue(now, &mut todo);
        self.look(now, &mut todo);
        let moments = [self.alarm, self.beat_moment(), self.look_moment()];
        todo.extend(moments.into_iter().flatten().min().map(Action::WakeAt));
        todo
    }

    fn take_in(&mut self, event: Event, now: Boot, todo: &mut Vec<Action>) {
        match event {
            Event::Wake => {}
            Event::Bid { account, handicap } => self.bid(account, handicap, now),
            Event::Withdraw { account } => {
                if let Some(entry) = self.accounts.get_mut(&account) {
                    entry.wanted = None;
                }
            }
            Event::Stirred => self.look.no_later_than(now),
            Event::Seen { rows } => self.seen(rows, now, todo),
            Event::Blind => {
                if self.look.asked.take().is_some() {
                    self.look.no_later_than(self.retry(now));
                }
            }
            Event::Acquired { account, epoch } => self.acquired(account, epoch, now, todo),
            Event::Refused { account } => self.not_acquired(&account, now.plus(self.pace.look)),
            Event::AcquireFailed { account } => self.not_acquired(&account, self.retry(now)),
            Event::Renewed { kept } => self.renewed(&kept, now, todo),
            Event::RenewFailed => {
                if self.beat.asked.take().is_some() {
                    self.beat.no_later_than(self.retry(now));
                }
            }
            Event::Confirm => self.beat.no_later_than(now),
            Event::Fenced { account, epoch } => {
                if let Some(entry) = self.accounts.get_mut(&account)
                    && entry.holds(epoch)
                {
                    todo.extend(entry.lose(&account, Loss::Refused, now));
                    self.look.no_later_than(now);
                }
            }
            Event::Release { account, epoch } => {
                if let Some(entry) = self.accounts.get_mut(&account)
                    && entry.holds(epoch)
                {
                    entry.give_up(epoch, now);
                    todo.push(Action::Release {
                        account,
                        epoch,
                        kept: true,
                    });
                }
            }
        }
    }

    fn retry(&self, now: Boot) -> Boot {
        now.plus(RETRY.min(self.timing.heartbeat()))
    }

    /// Ends the terms whose trust ran out, before anything else can revive them.
    fn end_trust(&mut self, now: Boot, todo: &mut Vec<Action>) {
        if self.alarm.is_none_or(|alarm| now < alarm) {
            return;
        }
        for (account, entry) in &mut self.accounts {
            if matches!(entry.seat, Seat::Held { until, .. } if until <= now) {
                todo.extend(entry.lose(account, Loss::Unanswered, now));
                self.look.no_later_than(now);
            }
        }
    }

    fn bid(&mut self, account: AccountId, handicap: Duration, now: Boot) {
        let entry = self.accounts.entry(account).or_default();
        if entry.want(handicap) && self.look.asked.is_none() {
            self.look.no_later_than(now);
        }
        if let Some(moment) = entry.moment() {
            earlier(&mut self.alarm, moment);
        }
    }

    fn seen(&mut self, mut rows: Vec<Seen>, now: Boot, todo: &mut Vec<Action>) {
        let Some(asked) = self.look.asked.take() else {
            return;
        };
        self.look.no_later_than(now.plus(self.pace.look));
        rows.sort_unstable_by(|a, b| a.account.cmp(&b.account));
        for (account, entry) in &mut self.accounts {
            let row = rows
                .binary_search_by(|row| row.account.cmp(account))
                .ok()
                .map(|at| &rows[at]);
            let view = account::View {
                account,
                row,
                asked,
                now,
            };
            todo.extend(entry.see(view, self.timing.ttl(), &self.pace));
        }
        self.alarm = Some(now);
    }

    fn acquired(&mut self, account: AccountId, epoch: Epoch, now: Boot, todo: &mut Vec<Action>) {
        let Some(entry) = self.accounts.get_mut(&account) else {
            return;
        };
        let Seat::Bidding { asked } = entry.seat else {
            return;
        };
        let until = self.timing.trusted_until(asked);
        if entry.wanted.is_none() || until <= now {
            entry.give_up(epoch, now);
            self.look.no_later_than(now);
            todo.push(Action::Release {
                account,
                epoch,
                kept: false,
            });
            return;
        }
        entry.win(epoch, until);
        earlier(&mut self.alarm, until);
        self.beat.no_later_than(asked.plus(self.timing.heartbeat()));
        todo.push(Action::Won {
            account,
            epoch,
            trusted_until: until,
        });
    }

    fn not_acquired(&mut self, account: &AccountId, again: Boot) {
        if let Some(entry) = self.accounts.get_mut(account)
            && matches!(entry.seat, Seat::Bidding { .. })
        {
            entry.leave();
            self.look.no_later_than(again);
        }
    }

    fn renewed(&mut self, kept: &BTreeSet<AccountId>, now: Boot, todo: &mut Vec<Action>) {
        let Some(asked) = self.beat.asked.take() else {
            return;
        };
        self.beat.no_later_than(asked.plus(self.timing.heartbeat()));
        let extended = self.timing.trusted_until(asked);
        for (account, entry) in &mut self.accounts {
            let Seat::Held {
                epoch,
                until,
                renewing: true,
                ..
            } = &mut entry.seat
            else {
                continue;
            };
            if kept.contains(account) {
                *until = extended.max(*until);
                todo.push(Action::Trust {
                    account: account.clone(),
                    epoch: *epoch,
                    until: *until,
                });
            } else {
                todo.extend(entry.lose(account, Loss::Refused, now));
                self.look.no_later_than(now);
            }
        }
        self.alarm = Some(now);
    }

    fn renew(&mut self, now: Boot, todo: &mut Vec<Action>) {
        if !self.beat.is_due(now) {
            return;
        }
        let mut leases = Vec::new();
        for (account, entry) in &mut self.accounts {
            if let Seat::Held {
                epoch, renewing, ..
            } = &mut entry.seat
            {
                *renewing = true;
                leases.push((account.clone(), *epoch));
            }
        }
        self.beat.next = None;
        if !leases.is_empty() {
            self.beat.asked = Some(now);
            todo.push(Action::Renew { leases });
        }
    }

    /// Bids where it is time to, and finds the next moment of any account.
    fn pursue(&mut self, now: Boot, todo: &mut Vec<Action>) {
        if self.alarm.is_none_or(|alarm| now < alarm) {
            return;
        }
        self.alarm = None;
        let ttl = self.timing.ttl();
        self.accounts.retain(|_, entry| entry.matters(now, ttl));
        for (account, entry) in &mut self.accounts {
            todo.extend(entry.bid_when_due(account, now));
            if entry.wants_look(now) {
                self.look.no_later_than(now);
            }
            if let Some(moment) = entry.moment() {
                earlier(&mut self.alarm, moment);
            }
        }
    }

    fn look(&mut self, now: Boot, todo: &mut Vec<Action>) {
        if self.look.is_due(now) && self.watches() {
            self.look = Turn {
                asked: Some(now),
                next: None,
            };
            todo.push(Action::Look);
        }
    }

    fn beat_moment(&self) -> Option<Boot> {
        let holds = |entry: &Account| matches!(entry.seat, Seat::Held { .. });
        self.beat
            .moment()
            .filter(|_| self.accounts.values().any(holds))
    }

    fn look_moment(&self) -> Option<Boot> {
        self.look.moment().filter(|_| self.watches())
    }

    /// Whether anybody cares what the rows say: a bidder, or a holder that may have a successor.
    fn watches(&self) -> bool {
        self.accounts.values().any(Account::watches)
    }
}
