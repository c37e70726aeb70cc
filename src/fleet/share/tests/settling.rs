//! Fleets of every size: whoever joins, drains or dies in whatever order, they settle fairly, with no
//! more moves than needed, and then nothing moves.

use proptest::prelude::*;

use super::*;

/// Between two rounds. Who is shunned is so for less than twenty of them.
const BEAT: Duration = Duration::from_mins(1);

/// Workers and leases that do what the plans say.
#[derive(Clone, Debug)]
struct World {
    workers: Vec<Worker>,
    seats: Vec<Seat>,
    planners: Vec<Planner>,
    moves: usize,
    now: Boot,
}

/// Something that happens to a fleet.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Join {
        capacity: u32,
        installation: u8,
    },
    Drain(usize),
    Die(usize),
    /// It is dead, and still registered.
    Freeze(usize),
    Transfer {
        seat: usize,
        to: usize,
    },
    Round,
}

impl World {
    fn new(workers: Vec<Worker>, seats: Vec<Seat>) -> Self {
        let planners = vec![Planner::default(); workers.len()];
        Self {
            workers,
            seats,
            planners,
            moves: 0,
            now: Boot::from_ms(0),
        }
    }

    fn loads(&self) -> Vec<usize> {
        let count = |worker: &Worker| {
            self.seats
                .iter()
                .filter(
                    |seat| matches!(&seat.holding, Holding::Held { by, .. } if *by == worker.owner),
                )
                .count()
        };
        self.workers.iter().map(count).collect()
    }

    /// One beat: everybody plans in `order` and records its hand-over before the next one looks,
    /// unless `stale`: then all look first. Afterwards all drains end and the best bids win.
    fn round(&mut self, order: &[usize], stale: bool) {
        self.now = self.now.plus(BEAT);
        let before = self.seats.clone();
        let mut bids: Vec<(usize, AccountId, Duration)> = Vec::new();
        let count = self.workers.len();
        for &at in order.iter().filter(|at| **at < count) {
            let seats = if stale {
                before.clone()
            } else {
                self.seats.clone()
            };
            let plan = self.plan(at, &seats);
            if let Some(hand_over) = plan.hand_over {
                let seat = self
                    .seats
                    .iter_mut()
                    .find(|seat| seat.account == hand_over.account);
                seat.expect("known").successor = Some(hand_over.to.as_str().to_owned());
            }
        }
        self.drain();
        let seats = self.seats.clone();
        for at in 0..self.workers.len() {
            let plan = self.plan(at, &seats);
            bids.extend(
                plan.bids
                    .into_iter()
                    .map(|(account, wait)| (at, account, wait)),
            );
        }
        for seat in &mut self.seats {
            if let Holding::Held { beat, .. } = &mut seat.holding {
                *beat += 1;
                continue;
            }
            let yielding = |at: usize| match &seat.successor {
                Some(name) if !self.workers[at].owner.is_called(name) => 200,
                _ => 0,
            };
            let best = bids
                .iter()
                .filter(|(_, account, _)| *account == seat.account)
                .min_by_key(|(at, _, wait)| (wait.as_millis() + yielding(*at), *at));
            if let Some((at, _, _)) = best {
                let by = self.workers[*at].owner.clone();
                seat.holding = Holding::Held { by, beat: 0 };
                seat.epoch += 1;
                seat.successor = None;
            }
        }
    }

    fn plan(&mut self, at: usize, seats: &[Seat]) -> Plan {
        let fleet = Fleet {
            me: &self.workers[at],
            workers: &self.workers,
            seats,
        };
        self.planners[at].plan(fleet, self.now)
    }

    fn drain(&mut self) {
        for seat in &mut self.seats {
            let Holding::Held { by, .. } = &seat.holding else {
                continue;
            };
            let holder = self.workers.iter().find(|worker| worker.owner == *by);
            let moved = seat
                .successor
                .as_ref()
                .is_some_and(|name| !by.is_called(name));
            if moved || holder.is_none_or(|holder| holder.draining) {
                self.moves += usize::from(moved);
                seat.holding = Holding::Free(Some(by.clone()));
            }
        }
    }

    fn happen(&mut self, happening: Happening, name: usize) {
        let pick = |at: usize, len: usize| (len > 0).then(|| at % len);
        match happening {
            Happening::Join {
                capacity,
                installation,
            } => {
                let mut worker = worker(&format!("w{name}"));
                worker.capacity = capacity;
                worker.installation = format!("i{installation}");
                self.workers.push(worker);
                self.planners.push(Planner::default());
            }
            Happening::Drain(at) => {
                if let Some(at) = pick(at, self.workers.len()) {
                    self.workers[at].draining = true;
                }
            }
            Happening::Die(at) | Happening::Freeze(at) => {
                let Some(at) = pick(at, self.workers.len()) else {
                    return;
                };
                let dead = self.workers[at].owner.clone();
                for seat in &mut self.seats {
                    if matches!(&seat.holding, Holding::Held { by, .. } if *by == dead) {
                        seat.holding = Holding::Lapsed(dead.clone());
                    }
                }
                if matches!(happening, Happening::Die(_)) {
                    self.workers.remove(at);
                    self.planners.remove(at);
                }
            }
            Happening::Transfer { seat, to } => {
                if let (Some(seat), Some(to)) =
                    (pick(seat, self.seats.len()), pick(to, self.workers.len()))
                {
                    self.seats[seat].successor = Some(self.workers[to].owner.as_str().to_owned());
                }
            }
            Happening::Round => self.everyone(),
        }
    }

    fn everyone(&mut self) {
        let order: Vec<usize> = (0..self.workers.len()).collect();
        self.round(&order, false);
    }

    /// Nobody who may hold an account has less, even with one more, than its holder; nothing that
    /// somebody could take is left.
    fn check_fair(&self) -> Result<(), TestCaseError> {
        let loads = self.loads();
        for seat in &self.seats {
            let takers: Vec<usize> = (0..self.workers.len())
                .filter(|&w| {
                    let worker = &self.workers[w];
                    !worker.draining
                        && is_eligible(worker, seat)
                        && loads[w] < worker.capacity as usize
                })
                .collect();
            match &seat.holding {
                Holding::Held { by, .. } => {
                    let giver = self.workers.iter().position(|worker| worker.owner == *by);
                    let giver = giver.expect("the holder lives");
                    let fullness =
                        loads[giver] as u64 * 1_000_000 / u64::from(self.workers[giver].capacity);
                    for taker in takers {
                        let with_one = (loads[taker] + 1) as u64 * 1_000_000
                            / u64::from(self.workers[taker].capacity);
                        prop_assert!(
                            taker == giver || fullness <= with_one + 1,
                            "{:?} of {loads:?} should go from {giver} to {taker}",
                            seat.account
                        );
                    }
                }
                _ => prop_assert_eq!(takers, Vec::<usize>::new(), "{:?} is free", &seat.account),
            }
        }
        for (worker, load) in self.workers.iter().zip(&loads) {
            prop_assert!(
                *load <= worker.capacity as usize,
                "{:?} holds {}",
                worker,
                load
            );
        }
        Ok(())
    }

    fn settle(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.everyone();
        }
    }
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        3 => (1_u32..30, 0_u8..2).prop_map(|(capacity, installation)| Happening::Join { capacity, installation }),
        1 => any::<usize>().prop_map(Happening::Drain),
        1 => any::<usize>().prop_map(Happening::Die),
        1 => any::<usize>().prop_map(Happening::Freeze),
        2 => any::<(usize, usize)>().prop_map(|(seat, to)| Happening::Transfer { seat, to }),
        3 => Just(Happening::Round),
    ];
    proptest::collection::vec(happening, 0..14)
}

/// `holders[i]` holds account i among `workers` equal ones.
fn equal(workers: usize, holders: &[usize]) -> World {
    let seats = holders.iter().enumerate().map(|(i, holder)| {
        let beat = i64::try_from(i * 7 % 11).expect("small");
        held(&format!("a{i:03}"), &format!("w{}", holder % workers), beat)
    });
    let seats = seats.collect();
    World::new(
        (0..workers).map(|i| worker(&format!("w{i}"))).collect(),
        seats,
    )
}

/// The fewest moves that even these numbers out.
fn surplus(loads: &[usize]) -> usize {
    let total: usize = loads.iter().sum();
    let (low, high) = (total / loads.len(), total.div_ceil(loads.len()));
    let above: usize = loads.iter().map(|load| load.saturating_sub(high)).sum();
    let below: usize = loads.iter().map(|load| low.saturating_sub(*load)).sum();
    above.max(below)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_workers_settle_within_one_by_the_fewest_moves_and_stay(
        workers in 1_usize..7,
        holders in proptest::collection::vec(any::<usize>(), 0..60),
        stale in any::<bool>(),
        order in Just((0_usize..7).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut world = equal(workers, &holders);
        let needed = surplus(&world.loads());
        for _ in 0..=needed + 1 {
            world.round(&order, stale);
        }
        let loads = world.loads();
        prop_assert!(loads.iter().max().zip(loads.iter().min()).is_none_or(|(max, min)| max - min <= 1), "{:?}", loads);
        prop_assert_eq!(world.moves, needed);
        let settled = world.seats.iter().map(|seat| seat.holding.clone()).map(without_beat).collect::<Vec<_>>();
        world.round(&order, stale);
        world.round(&order, stale);
        prop_assert_eq!(world.moves, needed);
        prop_assert_eq!(world.seats.iter().map(|seat| seat.holding.clone()).map(without_beat).collect::<Vec<_>>(), settled);
    }

    #[test]
    fn whatever_happens_the_fleet_settles_fairly_and_stays(
        happenings in happenings(),
        homes in proptest::collection::vec(proptest::option::weighted(0.5, 0_u8..2), 0..40),
    ) {
        let seats = homes.iter().enumerate().map(|(i, home)| {
            let mut seat = free(&format!("a{i:03}"));
            seat.auth_home = home.map(|home| format!("i{home}"));
            seat
        });
        let mut world = World::new(Vec::new(), seats.collect());
        for (name, happening) in happenings.iter().enumerate() {
            world.happen(*happening, name);
        }
        // Each round gives at least one account where one is due, and there are no more than these.
        world.settle(homes.len() + 20);
        world.check_fair()?;
        let (moves, settled) = (world.moves, world.seats.clone());
        world.settle(2);
        prop_assert_eq!(world.moves, moves);
        prop_assert_eq!(
            world.seats.into_iter().map(|seat| without_beat(seat.holding)).collect::<Vec<_>>(),
            settled.into_iter().map(|seat| without_beat(seat.holding)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn nobody_stands_by_above_its_capacity(
        capacities in proptest::collection::vec(1_u32..12, 1..5),
        count in 0_usize..40,
    ) {
        let workers = capacities.iter().enumerate().map(|(i, capacity)| {
            let mut worker = worker(&format!("w{i}"));
            worker.capacity = *capacity;
            worker
        });
        let mut world = World::new(workers.collect(), (0..count).map(|i| free(&format!("a{i:02}"))).collect());
        world.settle(2);
        let loads = world.loads();
        let room: usize = capacities.iter().map(|capacity| *capacity as usize).sum();
        prop_assert_eq!(loads.iter().sum::<usize>(), count.min(room));
        let seats = world.seats.clone();
        let unplaced = world.plan(0, &seats).unplaced;
        prop_assert_eq!(unplaced.len(), count.saturating_sub(room));
        for (load, capacity) in loads.iter().zip(&capacities) {
            prop_assert!(*load <= *capacity as usize);
        }
    }
}

fn without_beat(holding: Holding) -> Holding {
    match holding {
        Holding::Held { by, .. } => Holding::Held { by, beat: 0 },
        other => other,
    }
}

#[test]
fn a_thousand_accounts_are_planned_for_within_a_beat() {
    let workers: Vec<Worker> = (0..3).map(|i| worker(&format!("w{i}"))).collect();
    let seats: Vec<Seat> = (0..1000)
        .map(|i| held(&format!("a{i:04}"), "w0", i))
        .collect();
    let begun = Boot::now();
    let rounds = 20;
    for _ in 0..rounds {
        let fleet = Fleet {
            me: &workers[1],
            workers: &workers,
            seats: &seats,
        };
        assert_eq!(plan(fleet, &[]).bids.len(), 1000);
    }
    let each = Boot::now().since(begun) / rounds;
    println!("a plan for 1000 accounts and 3 workers took {each:?}");
    assert!(each < Duration::from_millis(50), "{each:?}");
}
