//! Fair share: which accounts this process stands by for, how eagerly, and what it hands over.
//!
//! There is no leader. Every worker reads the same rows (who is registered, which accounts are
//! wanted, who holds what) and works out the same picture:
//!
//! ```text
//!  1 load      what each worker holds, plus what is on its way to it (`successor`)
//!  2 falling   what nobody keeps (free, ran out, its holder drains or is unknown) is placed
//!              on whoever has the lowest load: that worker bids at once, the others later
//!  3 standby   the same for the accounts of each living holder, in case it dies
//!  4 moves     while one more account would leave its receiver below what its giver has now,
//!              the fullest gives one to the emptiest; the first of these that is ours is done
//! ```
//!
//! - Load is relative to capacity: 6 of 10 is less than 7 of 10, and as much as 60 of 100. With equal
//!   capacities step 4 ends when the numbers differ by one at most.
//! - Every move lowers the fullest worker and leaves the receiver below where the giver was, so moves
//!   end and none is taken back. A hand-over is written into the lease (`successor`) before the giver
//!   drains, so the next picture of everybody counts it for the receiver already: two givers do not
//!   flood one receiver.
//! - Capacity is a limit: a worker bids for no more of one falling or standby group than it has room
//!   for. Two holders that die at once may take it above; it then hands over.
//! - Workers with a list neither give nor get: their operator has decided. They bid at once.
//! - An account whose auth state is on one installation is a matter of that installation's workers.
//!
//! Failures: a picture that is out of date costs a hand-over that a fresh one would not have made. It
//! never costs safety, which is the lease's alone.

mod table;

use std::time::Duration;

use crate::clock::Boot;
use crate::config::Accounts;
use crate::ids::{AccountId, OwnerId};

/// How long a worker that did not take what was handed to it is not given more.
const SHUNNED: Duration = Duration::from_mins(10);

/// A registered worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// The process.
    pub owner: OwnerId,
    /// How many accounts it may hold, at least 1; also its weight.
    pub capacity: u32,
    /// What it operates.
    pub wants: Accounts,
    /// It takes nothing and gives away what others take: it stops, or was asked to.
    pub draining: bool,
    /// Whose disk it runs on.
    pub installation: String,
}

/// An enabled account and its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The account.
    pub account: AccountId,
    /// The installation that has its auth state; none: any will do.
    pub auth_home: Option<String>,
    /// Who shall have it next: a worker id or an owner; empty: anybody but its last holder.
    pub successor: Option<String>,
    /// Number of its last acquisition; 0: there was none.
    pub epoch: i64,
    /// Who has it.
    pub holding: Holding,
}

/// Who has a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Nobody; the last one released it, if there was one.
    Free(Option<OwnerId>),
    /// Nobody: this one let it run out, and is probably dead.
    Lapsed(OwnerId),
    /// This one, for so many heartbeats.
    Held {
        /// The holder.
        by: OwnerId,
        /// Heartbeats since it was acquired.
        beat: i64,
    },
}

/// The picture that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    /// This process, registered or not.
    pub me: &'a Worker,
    /// The living ones, in any order.
    pub workers: &'a [Worker],
    /// The enabled accounts, in any order, each once.
    pub seats: &'a [Seat],
}

/// What this process does until the next plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Accounts of others and of nobody to stand by for, each with the time that others are given
    /// first. What is neither here nor held is not wanted.
    pub bids: Vec<(AccountId, Duration)>,
    /// The one account to give away now: record the successor, then drain and release.
    pub hand_over: Option<HandOver>,
    /// Free accounts that no living worker may take.
    pub unplaced: Vec<Unplaced>,
}

/// An account on its way to another worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Which.
    pub account: AccountId,
    /// To whom.
    pub to: OwnerId,
}

/// A free account that nobody may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Which.
    pub account: AccountId,
    /// `true`: those who could are at their capacity. `false`: no living worker operates it.
    pub full: bool,
}

/// Makes the plans of one process and remembers what became of its hand-overs.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    given: Option<Given>,
    shunned: Vec<(OwnerId, Boot)>,
}

#[derive(Clone, Debug)]
struct Given {
    hand_over: HandOver,
    /// The acquisition that it is to end.
    epoch: i64,
}

impl Planner {
    /// The plan for `fleet`, which was read around `now`.
    pub fn plan(&mut self, fleet: Fleet<'_>, now: Boot) -> Plan {
        self.shunned.retain(|(_, until)| now < *until);
        if let Some(given) = self.given.take() {
            self.follow(given, fleet, now);
        }
        let shunned: Vec<&OwnerId> = self.shunned.iter().map(|(owner, _)| owner).collect();
        let plan = table::plan(fleet, &shunned);
        if let Some(hand_over) = &plan.hand_over {
            self.given = seat_of(fleet, &hand_over.account).map(|seat| Given {
                hand_over: hand_over.clone(),
                epoch: seat.epoch,
            });
        }
        plan
    }

    /// Somebody who leaves to others what it was given would be given something for ever.
    fn follow(&mut self, given: Given, fleet: Fleet<'_>, now: Boot) {
        let Some(seat) = seat_of(fleet, &given.hand_over.account) else {
            return;
        };
        match &seat.holding {
            Holding::Held { by, .. } if *by == given.hand_over.to => {}
            Holding::Held { .. } if seat.epoch > given.epoch => {
                self.shunned.push((given.hand_over.to, now.plus(SHUNNED)));
            }
            // Not yet drained; without a successor it was never recorded, or called off.
            Holding::Held { .. } if seat.successor.is_none() => {}
            Holding::Held { .. } | Holding::Free(_) => self.given = Some(given),
            Holding::Lapsed(_) => {}
        }
    }
}

fn seat_of<'a>(fleet: Fleet<'a>, account: &AccountId) -> Option<&'a Seat> {
    fleet.seats.iter().find(|seat| seat.account == *account)
}

impl Worker {
    /// Whether it is on the disk that has an account's auth state; none: any will do.
    pub fn is_at_home(&self, auth_home: Option<&str>) -> bool {
        auth_home.is_none_or(|home| home == self.installation)
    }
}

/// Whether `worker` may hold `seat` at all, full or not, draining or not.
fn is_eligible(worker: &Worker, seat: &Seat) -> bool {
    worker.is_at_home(seat.auth_home.as_deref()) && worker.wants.include(&seat.account)
}

/// How many other living workers could take `seat` from this process.
pub fn standbys(fleet: Fleet<'_>, seat: &Seat) -> usize {
    let could = |worker: &&Worker| {
        worker.owner != fleet.me.owner && !worker.draining && is_eligible(worker, seat)
    };
    fleet.workers.iter().filter(could).count()
}

#[cfg(test)]
mod tests;
