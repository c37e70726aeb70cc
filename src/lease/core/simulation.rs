//! The core under a seeded scheduler in virtual time: several workers, several accounts, one store.
//!
//! Each process has its own clock (offset, and a rate of up to half a per cent off), latencies,
//! freezes, crashes and restarts as a new owner. Statements and answers are delayed and lost, the
//! store goes away, its clock steps by an hour, operators release and transfer. The promises are
//! checked at each write and send. After a while everything heals; then each account must get
//! exactly one active holder within two TTLs and keep it, and each process must renew by one
//! statement a beat however many accounts it holds.
//!
//! `WORKER_TEST_SEED=n` repeats one seed with its trace; `WORKER_TEST_FULL=1` runs many more.

mod driver;
mod faults;
mod node;
mod session;
mod store;
mod world;

use self::world::{Plan, Tally, World};

const TTL: i64 = 4_000;
const HEARTBEAT: i64 = 1_000;
const LOOK: i64 = 400;
/// For a look, a bid, their latencies and a second's wait after a failure.
const SLACK: i64 = 2_500;
/// So long things go wrong.
const STORM: i64 = 30_000;

const SHORT: u64 = 300;
const FULL: u64 = 20_000;

fn seeds() -> std::ops::Range<u64> {
    if let Some(seed) = std::env::var("WORKER_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse::<u64>().ok())
    {
        return seed..seed + 1;
    }
    if std::env::var_os("WORKER_TEST_FULL").is_some() {
        0..FULL
    } else {
        0..SHORT
    }
}

/// Runs one seed. `Err` names the broken promise.
fn run(seed: u64, plan: Plan, traced: bool) -> Result<Tally, String> {
    let mut world = World::new(seed, plan, traced);
    let result = world.run();
    if traced {
        for line in world.trace() {
            println!("{line}");
        }
    }
    result
}

#[test]
fn no_seed_breaks_a_promise_and_each_account_recovers() {
    let seeds = seeds();
    println!("seeds {seeds:?}");
    let single = seeds.end - seeds.start == 1;
    let mut sum = Tally::default();
    for seed in seeds.clone() {
        match run(seed, Plan::default(), single) {
            Ok(tally) => sum.add(&tally),
            Err(broken) => {
                let _ = run(seed, Plan::default(), true);
                panic!("seed {seed}: {broken}; repeat with WORKER_TEST_SEED={seed}");
            }
        }
    }
    println!("{sum:?}");
    if !single {
        // What the promises are about does happen.
        for (what, count) in [
            ("terms", sum.terms),
            ("taken by time", sum.by_time),
            ("old writes refused", sum.refused),
            ("sends", sum.sends),
            ("sends held back", sum.held_back),
            ("hand-overs", sum.handed_over),
        ] {
            assert!(count > 0, "no {what} in {seeds:?}");
        }
    }
}

/// The first of some seeds whose run breaks a promise under `plan`.
fn broken_by(plan: Plan) -> String {
    (0..SHORT)
        .find_map(|seed| run(seed, plan, false).err())
        .unwrap_or_else(|| panic!("no seed below {SHORT} breaks {plan:?}"))
}

#[test]
fn without_the_trust_deadline_a_seed_sends_after_a_takeover() {
    let plan = Plan {
        trust: false,
        ..Plan::default()
    };
    assert!(broken_by(plan).contains("sent after"));
}

#[test]
fn without_the_fence_a_seed_commits_an_old_write() {
    let plan = Plan {
        fence: false,
        ..Plan::default()
    };
    assert!(broken_by(plan).contains("committed an old write"));
}

#[test]
fn clocks_that_run_ten_per_cent_apart_are_more_than_the_allowance_covers() {
    let plan = Plan {
        drift_ppm: 100_000,
        ..Plan::default()
    };
    assert!(broken_by(plan).contains("sent after"));
}
