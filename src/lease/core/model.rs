//! The core under an explicit-state checker: three processes, one account, one store.
//!
//! Time goes in seconds; the TTL is three of them. Within a second the live processes wake in any
//! order. Every statement to the store is carried out and answered at once, unless a fault befalls
//! it: it is lost, its answer is lost, or it stays on its way for as long as it likes, also beyond
//! the driver's time-out and its sender's death. Other faults: a process crashes, or stands still
//! and goes on later with all that it had in hand; an operator takes the lease away or transfers
//! it. Each run has a budget of faults, and of protected writes and sends, which happen at any
//! moment.
//!
//! The switches of [`Rules`] take one protection away each: then the checker must find what that
//! protection is there for.

mod act;
mod process;
mod world;

use std::time::Duration;

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::act::{Fate, Happening};
use self::world::{Broken, World};
use super::super::timing::LeaseTiming;
use super::Pace;

const SECOND: i64 = 1_000;
const TTL: i64 = 3 * SECOND;
const PROCESSES: u16 = 3;
/// Seconds of fair running after the last fault within which somebody must be active.
const PATIENCE: u8 = 5;

/// What protects, and how much may go wrong.
#[derive(Clone, Copy, Debug)]
struct Rules {
    fence: bool,
    token: bool,
    persist_first: bool,
    trust: bool,
    /// Processes wake in any order within a second, not in that of their numbers.
    any_order: bool,
    /// Whether nobody has held the lease at the start.
    cold: bool,
    work: Work,
    faults: u8,
    failovers: u8,
    horizon: i64,
}

/// What the sessions do besides keeping the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// One protected write, on its way for as long as it likes.
    Write,
    /// One message: committed as `sending`, then sent.
    Send,
}

impl Rules {
    const fn all(work: Work, faults: u8, horizon: i64) -> Self {
        Self {
            fence: true,
            token: true,
            persist_first: true,
            trust: true,
            any_order: false,
            cold: false,
            work,
            faults,
            failovers: 0,
            horizon,
        }
    }

    fn timing() -> LeaseTiming {
        let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        LeaseTiming::new(ms(TTL), Some(ms(SECOND)), Some(Duration::ZERO)).expect("valid")
    }

    const fn pace() -> Pace {
        Pace {
            look: Duration::from_secs(1),
            jitter: Duration::ZERO,
            yield_for: Duration::from_secs(1),
            seed: 0,
        }
    }
}

const OLD_WRITE: &str = "no write of an old epoch is committed";
const LATE_SEND: &str = "nothing is sent once time let the next holder in";
const UNKNOWN_SEND: &str = "nothing is sent that the store does not know";
const IDLE: &str = "somebody becomes active in bounded time";

const BY_TIME: &str = "a lease is taken by time";
const OVERTAKEN: &str = "a write is overtaken by a takeover";
const REPLACED: &str = "a replaced holder wakes with a message to send";

impl Model for Rules {
    type State = World;
    type Action = Happening;

    fn init_states(&self) -> Vec<World> {
        if self.cold {
            vec![World::cold(self)]
        } else {
            vec![World::settled(self)]
        }
    }

    fn actions(&self, world: &World, actions: &mut Vec<Happening>) {
        if world.broken != Broken::default() {
            return;
        }
        let mut acts = Vec::new();
        world.acts(self, &mut acts);
        for act in acts {
            actions.push(Happening { act, fault: None });
            if act.speaks() && world.faults > u8::from(act.is_fault()) {
                for nth in 0..3 {
                    for fate in [Fate::Unheard, Fate::Unanswered, Fate::Late] {
                        let fault = Some((nth, fate));
                        actions.push(Happening { act, fault });
                    }
                }
            }
        }
    }

    fn next_state(&self, world: &World, happening: Happening) -> Option<World> {
        let mut next = world.clone();
        next.happen(self, happening).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(OLD_WRITE, |_, world: &World| !world.broken.old_write),
            Property::always(LATE_SEND, |_, world: &World| !world.broken.late_send),
            Property::always(UNKNOWN_SEND, |_, world: &World| !world.broken.unknown_send),
            Property::always(IDLE, |_, world: &World| world.idle <= PATIENCE),
            // What the promises above are about does happen.
            Property::sometimes(BY_TIME, |_, world: &World| world.by_time > 0),
            Property::sometimes(OVERTAKEN, |_, world: &World| world.has_old_write()),
            Property::sometimes(REPLACED, |_, world: &World| world.has_replaced_sender()),
        ]
    }
}

fn explore(rules: Rules, until: HasDiscoveries) -> impl Checker<Rules> {
    let started = crate::clock::Boot::now();
    let checker = rules
        .checker()
        .threads(2)
        .finish_when(until)
        .spawn_bfs()
        .join();
    println!(
        "{rules:?}: {} unique states of {}, depth {}, {:?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        crate::clock::Boot::now().since(started),
    );
    checker
}

/// With one protection gone the checker finds a run that breaks `property`.
fn breaks(rules: Rules, property: &'static str) {
    let only = HasDiscoveries::AnyOf([property].into());
    let checker = explore(rules, only);
    let path = checker.assert_any_discovery(property);
    let acts: Vec<_> = path.into_actions();
    println!("{property}: broken by");
    for Happening { act, fault } in &acts {
        println!(
            "  {act:?} {}",
            fault.map_or_else(String::new, |fault| format!("{fault:?}"))
        );
    }
    assert!(acts.len() > 1, "not by the start");
}

/// No run breaks a promise. With `reached`, what could break it does happen.
fn keeps(rules: Rules, reached: bool) {
    let checker = explore(rules, HasDiscoveries::AllFailures);
    for promise in [OLD_WRITE, LATE_SEND, UNKNOWN_SEND, IDLE] {
        checker.assert_no_discovery(promise);
    }
    if reached {
        checker.assert_any_discovery(BY_TIME);
        checker.assert_any_discovery(match rules.work {
            Work::Write => OVERTAKEN,
            Work::Send => REPLACED,
        });
    }
}

#[test]
fn with_all_protections_no_run_breaks_a_promise() {
    for work in [Work::Write, Work::Send] {
        for cold in [false, true] {
            let once = Rules::all(work, 1, 8);
            keeps(Rules { cold, ..once }, true);
        }
        keeps(Rules::all(work, 2, 4), false);
    }
}

#[test]
fn with_more_faults_and_in_any_order_no_run_breaks_a_promise() {
    if std::env::var_os("WORKER_TEST_FULL").is_none() {
        return;
    }
    for work in [Work::Write, Work::Send] {
        for cold in [false, true] {
            let any_order = Rules {
                any_order: true,
                cold,
                ..Rules::all(work, 1, 8)
            };
            keeps(any_order, true);
            let twice = Rules::all(work, 2, 8);
            keeps(Rules { cold, ..twice }, true);
        }
    }
}

#[test]
fn without_the_fence_an_old_write_is_committed() {
    let rules = Rules {
        fence: false,
        ..Rules::all(Work::Write, 1, 6)
    };
    breaks(rules, OLD_WRITE);
}

#[test]
fn without_the_token_a_store_that_lost_commits_admits_an_old_write() {
    let failed_over = Rules {
        failovers: 1,
        ..Rules::all(Work::Write, 1, 6)
    };
    explore(failed_over, HasDiscoveries::AnyFailures).assert_no_discovery(OLD_WRITE);
    let rules = Rules {
        token: false,
        ..failed_over
    };
    breaks(rules, OLD_WRITE);
}

#[test]
fn without_persisting_first_something_is_sent_that_the_store_does_not_know() {
    let rules = Rules {
        persist_first: false,
        ..Rules::all(Work::Send, 0, 4)
    };
    breaks(rules, UNKNOWN_SEND);
}

#[test]
fn without_the_trust_deadline_a_replaced_holder_sends() {
    let rules = Rules {
        trust: false,
        ..Rules::all(Work::Send, 1, 6)
    };
    breaks(rules, LATE_SEND);
}
