//! One account as this process sees it: wanted or not, held or not, and whether it may be bid for.

use std::time::Duration;

use super::message::{Action, Holder, Loss, Pace, Seen, Successor};
use crate::clock::Boot;
use crate::ids::{AccountId, Epoch};

/// What is known about one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Account {
    /// The handicap of a bid that has not won.
    pub(super) wanted: Option<Duration>,
    pub(super) seat: Seat,
    sight: Option<Sight>,
    past: Option<Past>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Seat {
    Out(Opening),
    Bidding {
        asked: Boot,
    },
    Held {
        epoch: Epoch,
        until: Boot,
        /// Part of the renewal that is on its way.
        renewing: bool,
        /// Was told to hand over.
        leaving: bool,
    },
}

impl Default for Seat {
    fn default() -> Self {
        Self::Out(Opening::Unknown)
    }
}

/// Whether a lease that is not held here may be bid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Opening {
    /// The next look will tell.
    Unknown,
    /// Not before it is looked at again at `till`.
    Closed { till: Boot },
    /// Yes, `extra` and (when `shared`) the handicap after `from`.
    Free {
        from: Boot,
        shared: bool,
        extra: Duration,
        proof: Proof,
    },
}

/// Why a row may be taken that has not ended by the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Proof {
    Ended,
    Unchanged(Epoch, i64),
    Dead(Epoch),
}

/// A beat as last seen, and what this process's own clock says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sight {
    epoch: Epoch,
    beat: i64,
    /// Arrival of the answer that showed it first.
    since: Boot,
    /// When the last look was asked.
    asked: Boot,
    /// When its holder's right ends on this clock, at the latest: what was left of it when it was
    /// first seen; a TTL after the look before it at the least.
    until: Boot,
}

/// This process's last term, remembered for a TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Past {
    epoch: Epoch,
    ended: Boot,
    given_up: bool,
}

/// One account in the answer to a look that was asked at `asked`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) account: &'a AccountId,
    /// `None`: it never had a lease.
    pub(super) row: Option<&'a Seen>,
    pub(super) asked: Boot,
    pub(super) now: Boot,
}

impl Account {
    pub(super) fn holds(&self, wanted: Epoch) -> bool {
        matches!(self.seat, Seat::Held { epoch, .. } if epoch == wanted)
    }

    pub(super) fn win(&mut self, epoch: Epoch, until: Boot) {
        *self = Self {
            seat: Seat::Held {
                epoch,
                until,
                renewing: false,
                leaving: false,
            },
            ..Self::default()
        };
    }

    /// Returns whether it was not wanted before: whatever was known of it then is not current.
    pub(super) fn want(&mut self, handicap: Duration) -> bool {
        let new = self.wanted.replace(handicap).is_none();
        if new && matches!(self.seat, Seat::Out(_)) {
            self.leave();
        }
        new
    }

    /// A bid did not win. What was seen before still counts.
    pub(super) fn leave(&mut self) {
        self.seat = Seat::default();
    }

    pub(super) fn give_up(&mut self, epoch: Epoch, now: Boot) {
        self.end(epoch, now, true);
    }

    pub(super) fn lose(&mut self, account: &AccountId, loss: Loss, now: Boot) -> Option<Action> {
        let Seat::Held { epoch, .. } = self.seat else {
            return None;
        };
        self.end(epoch, now, false);
        Some(Action::Lost {
            account: account.clone(),
            epoch,
            loss,
        })
    }

    fn end(&mut self, epoch: Epoch, now: Boot, given_up: bool) {
        self.seat = Seat::default();
        self.sight = None;
        self.past = Some(Past {
            epoch,
            ended: now,
            given_up,
        });
    }

    /// Takes in what a look showed.
    pub(super) fn see(&mut self, view: View<'_>, ttl: Duration, pace: &Pace) -> Option<Action> {
        match (&mut self.seat, view.row) {
            (Seat::Held { epoch, .. }, Some(row)) if row.epoch > *epoch => {
                self.lose(view.account, Loss::Refused, view.now)
            }
            (Seat::Held { epoch, leaving, .. }, Some(row))
                if row.successor == Successor::Other && !*leaving =>
            {
                *leaving = true;
                Some(Action::HandOver {
                    account: view.account.clone(),
                    epoch: *epoch,
                })
            }
            (Seat::Out(_) | Seat::Bidding { .. }, row) if self.wanted.is_some() => {
                let opening = match row {
                    Some(row) => self.judge(row, view, ttl, pace),
                    None => free(
                        view.now,
                        true,
                        pace.spread(view.account, Epoch(0)),
                        Proof::Ended,
                    ),
                };
                // While a bid is on its way only the sight counts.
                if let Seat::Out(before) = self.seat {
                    self.seat = Seat::Out(opening.keeping_place(before));
                }
                None
            }
            _ => None,
        }
    }

    fn judge(&mut self, row: &Seen, view: View<'_>, ttl: Duration, pace: &Pace) -> Opening {
        let now = view.now;
        let left = ahead(now, row.remaining_ms);
        let sight = match self.sight {
            Some(sight) if (sight.epoch, sight.beat) == (row.epoch, row.beat) => Sight {
                asked: view.asked,
                ..sight
            },
            before => Sight {
                epoch: row.epoch,
                beat: row.beat,
                since: now,
                asked: view.asked,
                until: before.map_or(left, |sight| left.max(sight.asked.plus(ttl))),
            },
        };
        self.sight = Some(sight);

        let chosen = row.successor == Successor::Me;
        let mut extra = pace.spread(view.account, row.epoch);
        if row.successor == Successor::Other {
            extra += pace.yield_for;
        }
        if chosen {
            extra = Duration::ZERO;
        }
        let open = |from, proof| free(from, !chosen, extra, proof);
        let stale = sight.since.plus(ttl);
        match row.holder {
            Holder::Nobody => {
                let ousted = self
                    .past
                    .filter(|past| !chosen && !past.given_up && past.epoch < row.epoch)
                    .map_or(now, |past| past.ended.plus(ttl));
                open(ousted.max(now), Proof::Ended)
            }
            Holder::Released => open(now, Proof::Ended),
            Holder::Me if row.successor != Successor::Other && !self.gave_up(row.epoch) => {
                free(now, false, Duration::ZERO, Proof::Dead(row.epoch))
            }
            _ if row.dead => open(now, Proof::Dead(row.epoch)),
            _ if stale <= now => open(now, Proof::Unchanged(row.epoch, row.beat)),
            _ if row.remaining_ms <= 0 && sight.until <= now => open(now, Proof::Ended),
            _ => Opening::Closed {
                till: stale.min(sight.until.max(left)),
            },
        }
    }

    fn gave_up(&self, epoch: Epoch) -> bool {
        self.past
            .is_some_and(|past| past.given_up && past.epoch == epoch)
    }

    /// The moment at which this account has to be thought about again.
    pub(super) fn moment(&self) -> Option<Boot> {
        match self.seat {
            Seat::Held { until, .. } => Some(until),
            Seat::Bidding { .. } | Seat::Out(Opening::Unknown) => None,
            Seat::Out(Opening::Closed { till }) => self.wanted.map(|_| till),
            Seat::Out(Opening::Free { .. }) => self.due().map(|(due, _)| due),
        }
    }

    fn due(&self) -> Option<(Boot, Proof)> {
        let Seat::Out(Opening::Free {
            from,
            shared,
            extra,
            proof,
        }) = self.seat
        else {
            return None;
        };
        let handicap = self.wanted?;
        let waits = if shared { handicap + extra } else { extra };
        Some((from.plus(waits), proof))
    }

    pub(super) fn bid_when_due(&mut self, account: &AccountId, now: Boot) -> Option<Action> {
        let (_, proof) = self.due().filter(|(due, _)| *due <= now)?;
        self.seat = Seat::Bidding { asked: now };
        let (unchanged, dead) = match proof {
            Proof::Ended => (None, None),
            Proof::Unchanged(epoch, beat) => (Some((epoch, beat)), None),
            Proof::Dead(epoch) => (None, Some(epoch)),
        };
        Some(Action::Acquire {
            account: account.clone(),
            unchanged,
            dead,
        })
    }

    /// Whether the time has come to look again at a lease that was closed.
    pub(super) fn wants_look(&mut self, now: Boot) -> bool {
        let closed = matches!(self.seat, Seat::Out(Opening::Closed { till }) if till <= now);
        if closed {
            self.leave();
        }
        closed && self.wanted.is_some()
    }

    pub(super) fn watches(&self) -> bool {
        match self.seat {
            Seat::Held { .. } => true,
            Seat::Out(_) => self.wanted.is_some(),
            Seat::Bidding { .. } => false,
        }
    }

    /// Whether forgetting it would change anything.
    pub(super) fn matters(&self, now: Boot, ttl: Duration) -> bool {
        let remembered = self.past.is_some_and(|past| now.since(past.ended) < ttl);
        self.wanted.is_some() || !matches!(self.seat, Seat::Out(_)) || remembered
    }
}

impl Opening {
    /// A lease that stays free keeps the moment from which its bid is counted.
    fn keeping_place(self, before: Self) -> Self {
        match (self, before) {
            (
                Self::Free {
                    from,
                    shared,
                    extra,
                    proof,
                },
                Self::Free { from: earlier, .. },
            ) => free(from.min(earlier), shared, extra, proof),
            (now, _) => now,
        }
    }
}

fn free(from: Boot, shared: bool, extra: Duration, proof: Proof) -> Opening {
    Opening::Free {
        from,
        shared,
        extra,
        proof,
    }
}

fn ahead(from: Boot, ms: i64) -> Boot {
    from.plus(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

impl Pace {
    /// This process's share of `0..jitter` for the bid that follows `epoch`.
    fn spread(&self, account: &AccountId, epoch: Epoch) -> Duration {
        let Ok(width @ 1..) = u64::try_from(self.jitter.as_millis()) else {
            return Duration::ZERO;
        };
        // FNV-1a, then the finish of SplitMix64, so that near inputs land far apart.
        let bytes = account.as_str().bytes().chain(epoch.0.to_le_bytes());
        let mixed = bytes.fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis((mixed ^ (mixed >> 31)) % width)
    }
}
