//! The picture of a fleet, counted through.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use super::{Fleet, HandOver, Holding, Plan, Seat, Unplaced, Worker, is_eligible};
use crate::config::Accounts;
use crate::ids::{AccountId, OwnerId};

/// The least time that everybody else leaves to the predicted taker: longer than the poll of a store
/// without notifications, with its jitter.
const COURTESY: Duration = Duration::from_millis(250);
/// More of it for each account of a group, since one worker takes them one after another.
const EACH: Duration = Duration::from_millis(1);
/// At most this many times [`EACH`].
const EACH_AT_MOST: u32 = 250;
/// Between those who are not predicted, in the order of their load.
const STEP: Duration = Duration::from_millis(50);
/// At most this many times [`STEP`].
const STEPS: u32 = 4;

/// How much a worker has, on its way included.
#[derive(Clone, Copy, Debug)]
struct Load {
    count: u64,
    capacity: u64,
}

impl Load {
    fn is_full(self) -> bool {
        self.count >= self.capacity
    }

    /// Orders by what each would have with `more` and `more_of_other` accounts on top.
    fn cmp_with(self, more: u64, other: Self, more_of_other: u64) -> Ordering {
        let here = (self.count + more) * other.capacity;
        here.cmp(&((other.count + more_of_other) * self.capacity))
    }
}

/// Where an account of the picture stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// With this worker, which keeps it.
    With(usize),
    /// On its way to this worker.
    Bound(usize),
    /// Nobody keeps it.
    Falling,
}

/// The picture with indices for names: workers by owner, seats by account, so that everybody who
/// looks at the same rows counts alike.
struct Table<'a> {
    me: usize,
    workers: Vec<&'a Worker>,
    seats: Vec<&'a Seat>,
    places: Vec<Place>,
    /// Let a lease run out: asked last, since it is probably dead.
    suspect: Vec<bool>,
    loads: Vec<Load>,
}

pub(super) fn plan(fleet: Fleet<'_>, shunned: &[&OwnerId]) -> Plan {
    let mut table = Table::new(fleet);
    let mut plan = Plan::default();
    let me = table.me;
    let room = table.loads[me].capacity.saturating_sub(table.held(me)) as usize;

    let falling = table.group(Place::Falling);
    let mut loads = table.loads.clone();
    let takers = table.distribute(&falling, &mut loads, None);
    for (&seat, taker) in falling.iter().zip(&takers) {
        let free = !matches!(table.seats[seat].holding, Holding::Held { .. });
        if taker.is_none() && free {
            plan.unplaced.push(Unplaced {
                account: table.seats[seat].account.clone(),
                full: table.is_wanted(seat),
            });
        }
    }
    table.loads = loads;
    let bound = table.group(Place::Bound(me));
    plan.bids = table.bids(&bound, &vec![Some(me); bound.len()], room);
    plan.bids
        .extend(table.bids(&falling, &takers, room - plan.bids.len()));
    let room = room - plan.bids.len();
    for worker in (0..table.workers.len()).filter(|worker| *worker != me) {
        let mut group = table.group(Place::With(worker));
        group.extend(table.group(Place::Bound(worker)));
        let mut loads = table.loads.clone();
        let takers = table.distribute(&group, &mut loads, Some(worker));
        plan.bids.extend(table.bids(&group, &takers, room));
    }
    plan.hand_over = if table.workers[me].draining {
        table.give_away(&falling, &takers, shunned)
    } else {
        table.hand_over(shunned)
    };
    plan.unplaced.sort_by(|a, b| a.account.cmp(&b.account));
    plan
}

impl<'a> Table<'a> {
    fn new(fleet: Fleet<'a>) -> Self {
        let mut workers: Vec<&Worker> = fleet.workers.iter().collect();
        if !workers.iter().any(|worker| worker.owner == fleet.me.owner) {
            workers.push(fleet.me);
        }
        workers.sort_by(|a, b| a.owner.as_str().cmp(b.owner.as_str()));
        let mut seats: Vec<&Seat> = fleet.seats.iter().collect();
        seats.sort_by(|a, b| a.account.cmp(&b.account));
        let index: HashMap<&str, usize> = workers
            .iter()
            .enumerate()
            .map(|(i, worker)| (worker.owner.as_str(), i))
            .collect();
        let find = |owner: &OwnerId| index.get(owner.as_str()).copied();
        let mut suspect = vec![false; workers.len()];
        for seat in &seats {
            if let Holding::Lapsed(owner) = &seat.holding
                && let Some(worker) = find(owner)
            {
                suspect[worker] = true;
            }
        }
        let mut loads: Vec<Load> = workers
            .iter()
            .map(|worker| Load {
                count: 0,
                capacity: u64::from(worker.capacity.max(1)),
            })
            .collect();
        let place = |seat: &Seat| {
            let by = match &seat.holding {
                Holding::Held { by, .. } => find(by).filter(|by| !workers[*by].draining),
                Holding::Free(_) | Holding::Lapsed(_) => None,
            };
            let Some(successor) = &seat.successor else {
                return by.map_or(Place::Falling, Place::With);
            };
            // The holder's own name asks for nothing.
            if let Some(by) = by.filter(|by| workers[*by].owner.is_called(successor)) {
                return Place::With(by);
            }
            (0..workers.len())
                .find(|worker| {
                    let worker = workers[*worker];
                    worker.owner.is_called(successor)
                        && !worker.draining
                        && is_eligible(worker, seat)
                })
                .map_or(Place::Falling, Place::Bound)
        };
        let places: Vec<Place> = seats.iter().map(|seat| place(seat)).collect();
        for place in &places {
            if let Place::With(worker) | Place::Bound(worker) = place {
                loads[*worker].count += 1;
            }
        }
        let me = index[fleet.me.owner.as_str()];
        Self {
            me,
            workers,
            seats,
            places,
            suspect,
            loads,
        }
    }

    /// What `worker` has now, leaving or not.
    fn held(&self, worker: usize) -> u64 {
        (0..self.seats.len())
            .filter(|seat| self.holds(worker, *seat))
            .count() as u64
    }

    fn holds(&self, worker: usize, seat: usize) -> bool {
        let owner = &self.workers[worker].owner;
        matches!(&self.seats[seat].holding, Holding::Held { by, .. } if by == owner)
    }

    fn group(&self, place: Place) -> Vec<usize> {
        (0..self.seats.len())
            .filter(|seat| self.places[*seat] == place)
            .collect()
    }

    fn may(&self, worker: usize, seat: usize) -> bool {
        !self.workers[worker].draining && is_eligible(self.workers[worker], self.seats[seat])
    }

    fn is_wanted(&self, seat: usize) -> bool {
        (0..self.workers.len()).any(|worker| self.may(worker, seat))
    }

    /// Who had the seat and was asked to leave it to anybody else.
    fn is_sent_away(&self, worker: usize, seat: usize) -> bool {
        let seat = self.seats[seat];
        let (Holding::Free(Some(last)) | Holding::Lapsed(last) | Holding::Held { by: last, .. }) =
            &seat.holding
        else {
            return false;
        };
        seat.successor.as_deref() == Some("") && *last == self.workers[worker].owner
    }

    /// Places a group, one after another, on whoever then has the lowest load, and adds it there.
    /// Workers with a list come first: they bid without waiting.
    fn distribute(
        &self,
        group: &[usize],
        loads: &mut [Load],
        without: Option<usize>,
    ) -> Vec<Option<usize>> {
        let rank = |worker: usize, seat: usize| {
            let listed = matches!(self.workers[worker].wants, Accounts::Listed(_));
            (
                self.is_sent_away(worker, seat),
                self.suspect[worker],
                !listed,
            )
        };
        let mut takers = Vec::with_capacity(group.len());
        for &seat in group {
            let taker = (0..self.workers.len())
                .filter(|&w| Some(w) != without && !loads[w].is_full() && self.may(w, seat))
                .min_by(|&a, &b| {
                    let by_load = || loads[a].cmp_with(1, loads[b], 1);
                    rank(a, seat).cmp(&rank(b, seat)).then_with(by_load)
                });
            if let Some(taker) = taker {
                loads[taker].count += 1;
            }
            takers.push(taker);
        }
        takers
    }

    /// My bids for a group, at most `room`: what is predicted to be mine first.
    fn bids(
        &self,
        group: &[usize],
        takers: &[Option<usize>],
        room: usize,
    ) -> Vec<(AccountId, Duration)> {
        let me = self.me;
        let listed = matches!(self.workers[me].wants, Accounts::Listed(_));
        let before_me = (0..self.workers.len())
            .filter(|&w| w != me && !self.workers[w].draining)
            .filter(|&w| self.loads[w].cmp_with(0, self.loads[me], 0).is_lt())
            .count();
        let size = u32::try_from(group.len())
            .unwrap_or(u32::MAX)
            .min(EACH_AT_MOST);
        let courtesy =
            COURTESY + EACH * size + STEP * u32::try_from(before_me).unwrap_or(STEPS).min(STEPS);
        let mut bids: Vec<(Duration, usize)> = group
            .iter()
            .zip(takers)
            .filter(|&(&seat, _)| self.may(me, seat) && !self.holds(me, seat))
            .map(|(&seat, &taker)| {
                let at_once = taker == Some(me) || (listed && !self.is_sent_away(me, seat));
                (if at_once { Duration::ZERO } else { courtesy }, seat)
            })
            .collect();
        if bids.len() > room {
            bids.sort();
            bids.truncate(room);
        }
        bids.into_iter()
            .map(|(wait, seat)| (self.seats[seat].account.clone(), wait))
            .collect()
    }

    /// What I am asked to give away goes to whom the picture places it on, one after another. What
    /// nobody else can take stays.
    fn give_away(
        &self,
        falling: &[usize],
        takers: &[Option<usize>],
        shunned: &[&OwnerId],
    ) -> Option<HandOver> {
        let is_mine = |seat: &usize| self.holds(self.me, *seat);
        let is_leaving = |seat: usize| self.seats[seat].successor.is_some();
        if (0..self.seats.len()).filter(is_mine).any(is_leaving) {
            return None;
        }
        let placed = falling.iter().zip(takers).filter(|(seat, _)| is_mine(seat));
        placed
            .filter_map(|(&seat, &taker)| Some((seat, &self.workers[taker?].owner)))
            .find(|(_, taker)| !shunned.contains(taker))
            .map(|(seat, taker)| HandOver {
                account: self.seats[seat].account.clone(),
                to: taker.clone(),
            })
    }

    /// Plays the moves of the whole fleet in their order until one is mine.
    fn hand_over(&self, shunned: &[&OwnerId]) -> Option<HandOver> {
        let sharing =
            |w: &usize| self.workers[*w].wants == Accounts::All && !self.workers[*w].draining;
        let mut givers: Vec<usize> = (0..self.workers.len()).filter(sharing).collect();
        let mut getters: Vec<usize> = givers
            .iter()
            .copied()
            .filter(|w| !self.suspect[*w] && !shunned.contains(&&self.workers[*w].owner))
            .collect();
        // Who is asked to give one up already waits for that.
        let is_leaving =
            |seat: usize| !matches!(self.places[seat], Place::With(_)) && self.holds(self.me, seat);
        if !givers.contains(&self.me) || (0..self.seats.len()).any(is_leaving) {
            return None;
        }
        let mut loads = self.loads.clone();
        let mut stock: Vec<Vec<usize>> = (0..self.workers.len()).map(|w| self.stock(w)).collect();
        loop {
            givers.sort_by(|&a, &b| loads[b].cmp_with(0, loads[a], 0).then(a.cmp(&b)));
            getters.sort_by(|&a, &b| loads[a].cmp_with(1, loads[b], 1).then(a.cmp(&b)));
            let (giver, getter, position) = givers.iter().find_map(|&giver| {
                getters
                    .iter()
                    .take_while(|&&getter| loads[getter].cmp_with(1, loads[giver], 0).is_lt())
                    .filter(|&&getter| !loads[getter].is_full())
                    .find_map(|&getter| {
                        let fits = |&seat: &usize| self.may(getter, seat);
                        Some((giver, getter, stock[giver].iter().position(fits)?))
                    })
            })?;
            let seat = stock[giver].remove(position);
            if giver == self.me {
                return Some(HandOver {
                    account: self.seats[seat].account.clone(),
                    to: self.workers[getter].owner.clone(),
                });
            }
            loads[giver].count -= 1;
            loads[getter].count += 1;
        }
    }

    /// What `worker` could give, the longest held first: what came by a transfer a moment ago is not
    /// sent back.
    fn stock(&self, worker: usize) -> Vec<usize> {
        let beat = |seat: &usize| match &self.seats[*seat].holding {
            Holding::Held { beat, .. } => -beat,
            Holding::Free(_) | Holding::Lapsed(_) => 0,
        };
        let mut seats = self.group(Place::With(worker));
        seats.sort_by_key(beat);
        seats
    }
}
