//! The core's rules, one fact each. TTL 8 s, heartbeat 2 s, margin 0.4 s: trusted for 7.52 s.

mod bids;
mod terms;

use super::*;

const TTL: i64 = 8_000;
const TRUSTED: i64 = 7_520;
const LOOK: i64 = 500;
const YIELD: i64 = 300;

fn at(ms: i64) -> Boot {
    Boot::from_ms(ms)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(name: &str) -> AccountId {
    name.parse().expect("valid")
}

fn shop() -> AccountId {
    id("shop")
}

fn core() -> Core {
    Core::new(
        LeaseTiming::new(ms(8_000), Some(ms(2_000)), Some(ms(400))).expect("valid"),
        Pace {
            look: ms(500),
            jitter: Duration::ZERO,
            yield_for: ms(300),
            seed: 0,
        },
    )
}

fn bid(handicap: u64) -> Event {
    Event::Bid {
        account: shop(),
        handicap: ms(handicap),
    }
}

fn row(epoch: i64, beat: i64, remaining_ms: i64, holder: Holder) -> Seen {
    Seen {
        account: shop(),
        epoch: Epoch(epoch),
        beat,
        remaining_ms,
        holder,
        dead: false,
        successor: Successor::None,
    }
}

fn seen(row: Seen) -> Event {
    Event::Seen { rows: vec![row] }
}

fn acquired(epoch: i64) -> Event {
    Event::Acquired {
        account: shop(),
        epoch: Epoch(epoch),
    }
}

fn kept(names: &[&str]) -> Event {
    Event::Renewed {
        kept: names.iter().map(|name| id(name)).collect(),
    }
}

fn lost(epoch: i64, loss: Loss) -> Action {
    Action::Lost {
        account: shop(),
        epoch: Epoch(epoch),
        loss,
    }
}

fn acquire() -> Action {
    Action::Acquire {
        account: shop(),
        unchanged: None,
        dead: None,
    }
}

fn acquire_dead(epoch: i64) -> Action {
    Action::Acquire {
        account: shop(),
        unchanged: None,
        dead: Some(Epoch(epoch)),
    }
}

fn renew(leases: &[(&str, i64)]) -> Action {
    Action::Renew {
        leases: leases
            .iter()
            .map(|(name, epoch)| (id(name), Epoch(*epoch)))
            .collect(),
    }
}

fn wake(ms: i64) -> Action {
    Action::WakeAt(at(ms))
}

/// A core that looked at 0 and was shown `row`.
fn standby(handicap: u64, row: Seen) -> (Core, Vec<Action>) {
    let mut core = core();
    assert_eq!(core.step(bid(handicap), at(0)), [Action::Look]);
    let todo = core.step(seen(row), at(0));
    (core, todo)
}

/// A core that asked for the lease at 0 and won epoch 1 at 100.
fn holder() -> Core {
    let mut core = core();
    assert_eq!(core.step(bid(0), at(0)), [Action::Look]);
    assert_eq!(core.step(Event::Seen { rows: vec![] }, at(0)), [acquire()]);
    assert_eq!(
        core.step(acquired(1), at(100)),
        [
            Action::Won {
                account: shop(),
                epoch: Epoch(1),
                trusted_until: at(TRUSTED),
            },
            wake(LOOK),
        ]
    );
    core
}
