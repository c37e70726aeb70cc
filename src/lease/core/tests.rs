//! The core's rules, one fact each. TTL 8 s, heartbeat 2 s, margin 0.4 s: trusted for 7.52 s.

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

#[test]
fn who_wants_nothing_waits_for_nothing() {
    assert_eq!(core().step(Event::Wake, at(0)), []);
    assert_eq!(core().step(Event::Stirred, at(0)), []);
}

#[test]
fn an_account_that_never_had_a_lease_is_bid_for_after_the_handicap() {
    let mut core = core();
    core.step(bid(200), at(0));
    assert_eq!(core.step(Event::Seen { rows: vec![] }, at(10)), [wake(210)]);
    assert_eq!(core.step(Event::Wake, at(209)), [wake(210)]);
    assert_eq!(core.step(Event::Wake, at(210)), [acquire()]);
}

#[test]
fn a_second_bid_changes_the_handicap_and_keeps_the_place() {
    let (mut core, todo) = standby(400, row(1, 0, 0, Holder::Released));
    assert_eq!(todo, [wake(400)]);
    assert_eq!(core.step(bid(100), at(50)), [wake(100)]);
    assert_eq!(core.step(Event::Wake, at(100)), [acquire()]);
}

#[test]
fn a_live_lease_is_looked_at_again_when_it_ends() {
    let (mut core, todo) = standby(0, row(1, 3, 300, Holder::Other));
    assert_eq!(todo, [wake(300)]);
    assert_eq!(core.step(Event::Wake, at(300)), [Action::Look]);
    assert_eq!(
        core.step(seen(row(1, 4, 6_000, Holder::Other)), at(301)),
        [wake(801)],
        "it was renewed"
    );
}

#[test]
fn an_ended_lease_is_bid_for() {
    let (_, todo) = standby(0, row(1, 3, 0, Holder::Other));
    assert_eq!(todo, [acquire()]);
}

#[test]
fn a_store_whose_clock_steps_forward_lets_nobody_in_beside_a_holder_that_was_seen_alive() {
    let (mut core, _) = standby(0, row(1, 3, 6_000, Holder::Other));
    core.step(Event::Stirred, at(100));
    let todo = core.step(seen(row(1, 3, -3_594_000, Holder::Other)), at(100));
    assert_eq!(todo, [wake(600)], "it still trusts its lease");
    core.step(Event::Stirred, at(6_000));
    let todo = core.step(seen(row(1, 3, -3_600_000, Holder::Other)), at(6_000));
    assert!(
        todo.contains(&acquire()),
        "it cannot trust it any more: {todo:?}"
    );
}

#[test]
fn a_holder_that_renewed_just_before_the_step_is_known_to_have_been_alive() {
    let (mut core, _) = standby(0, row(1, 3, 6_000, Holder::Other));
    core.step(Event::Stirred, at(100));
    let renewed = || seen(row(1, 4, -3_592_000, Holder::Other));
    let todo = core.step(renewed(), at(100));
    assert_eq!(todo, [wake(600)], "it renewed after 0");
    core.step(Event::Stirred, at(TTL));
    let todo = core.step(renewed(), at(TTL));
    assert!(todo.contains(&acquire()), "{todo:?}");
}

#[test]
fn a_store_whose_clock_steps_back_keeps_nobody_out_beyond_a_ttl() {
    let far = 3_600_000;
    let (mut core, _) = standby(0, row(1, 3, far, Holder::Other));
    core.step(Event::Stirred, at(TTL - 1));
    let todo = core.step(seen(row(1, 3, far, Holder::Other)), at(TTL - 1));
    assert_eq!(todo, [wake(TTL)]);
    assert_eq!(core.step(Event::Wake, at(TTL)), [Action::Look]);
    let todo = core.step(seen(row(1, 3, far, Holder::Other)), at(TTL));
    let unchanged = Action::Acquire {
        account: shop(),
        unchanged: Some((Epoch(1), 3)),
        dead: None,
    };
    assert_eq!(todo, [unchanged]);
}

#[test]
fn a_released_or_dead_or_forlorn_lease_does_not_wait_for_its_end() {
    let (_, todo) = standby(0, row(4, 3, 6_000, Holder::Released));
    assert_eq!(todo[0], acquire());
    let dead = Seen {
        dead: true,
        ..row(4, 3, 6_000, Holder::Other)
    };
    assert_eq!(standby(0, dead).1[0], acquire_dead(4));
    let (_, todo) = standby(200, row(4, 3, 6_000, Holder::Me));
    assert_eq!(todo[0], acquire_dead(4), "a bid whose answer was lost");
}

#[test]
fn the_preferred_successor_goes_first() {
    let chosen = |successor| Seen {
        successor,
        ..row(4, 3, 0, Holder::Released)
    };
    let (_, todo) = standby(1_000, chosen(Successor::Me));
    assert_eq!(todo[0], acquire());
    let (_, todo) = standby(100, chosen(Successor::Other));
    assert_eq!(todo, [wake(100 + YIELD)]);
}

#[test]
fn jitter_is_the_same_for_the_same_seed_and_spreads_seeds() {
    let due = |seed| {
        let mut core = core();
        core.pace.jitter = ms(50);
        core.pace.seed = seed;
        core.step(bid(0), at(0));
        match core.step(Event::Seen { rows: vec![] }, at(0))[..] {
            [Action::WakeAt(due)] => due.as_ms(),
            [Action::Acquire { .. }] => 0,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(due(7), due(7));
    let spread: BTreeSet<_> = (0..1_000).map(due).collect();
    assert_eq!(
        (spread.first(), spread.last(), spread.len()),
        (Some(&0), Some(&49), 50)
    );
}

#[test]
fn a_bid_that_nobody_wants_any_more_is_given_back() {
    let (mut core, _) = standby(0, row(1, 3, 0, Holder::Released));
    core.step(Event::Withdraw { account: shop() }, at(1));
    let todo = core.step(acquired(2), at(2));
    let back = Action::Release {
        account: shop(),
        epoch: Epoch(2),
        kept: false,
    };
    assert_eq!(todo, [back]);
    core.step(bid(0), at(3));
    let todo = core.step(seen(row(2, 0, 7_999, Holder::Me)), at(3));
    assert_eq!(todo, [wake(503)], "its release is still on its way");
}

#[test]
fn a_lease_that_was_won_too_late_is_given_back_and_bid_for_again() {
    let (mut core, _) = standby(0, row(1, 3, 0, Holder::Released));
    let todo = core.step(acquired(2), at(TRUSTED));
    let back = Action::Release {
        account: shop(),
        epoch: Epoch(2),
        kept: false,
    };
    assert_eq!(todo, [back, Action::Look]);
}

#[test]
fn a_refused_bid_looks_again_and_a_failed_one_within_a_second() {
    let (mut core, _) = standby(0, row(1, 3, 0, Holder::Released));
    let mut other = core.clone();
    // The regular look is due at 500.
    assert_eq!(
        core.step(Event::Refused { account: shop() }, at(20)),
        [wake(500)]
    );
    core.step(Event::Wake, at(500));
    other.step(Event::AcquireFailed { account: shop() }, at(2_000));
    let todo = other.step(seen(row(2, 0, 5_000, Holder::Me)), at(2_010));
    assert_eq!(todo, [acquire_dead(2)]);
}

#[test]
fn all_leases_are_renewed_by_one_statement_each_beat() {
    let mut core = holder();
    core.step(
        Event::Bid {
            account: id("desk"),
            handicap: Duration::ZERO,
        },
        at(200),
    );
    core.step(Event::Seen { rows: vec![] }, at(200));
    core.step(
        Event::Acquired {
            account: id("desk"),
            epoch: Epoch(7),
        },
        at(300),
    );
    let todo = core.step(Event::Wake, at(2_000));
    assert_eq!(todo[0], renew(&[("desk", 7), ("shop", 1)]));
    assert!(
        !core.step(Event::Wake, at(4_500)).contains(&todo[0]),
        "one at a time"
    );
    let todo = core.step(kept(&["desk", "shop"]), at(4_600));
    let extended = |name, epoch| Action::Trust {
        account: id(name),
        epoch: Epoch(epoch),
        until: at(2_000 + TRUSTED),
    };
    assert_eq!(todo[..2], [extended("desk", 7), extended("shop", 1)]);
    assert_eq!(todo[2], renew(&[("desk", 7), ("shop", 1)]), "overdue");
}

#[test]
fn trust_counts_from_the_question_and_ends_by_itself() {
    let mut core = holder();
    core.step(Event::Wake, at(2_000));
    core.step(kept(&["shop"]), at(5_000));
    let end = 2_000 + TRUSTED;
    core.step(Event::RenewFailed, at(6_000));
    assert!(
        !core
            .step(Event::Wake, at(end - 1))
            .contains(&lost(1, Loss::Unanswered))
    );
    assert_eq!(
        core.step(Event::Wake, at(end))[0],
        lost(1, Loss::Unanswered)
    );
    assert!(
        !core
            .step(Event::Wake, at(end))
            .contains(&lost(1, Loss::Unanswered)),
        "told once"
    );
}

#[test]
fn an_answer_after_the_end_of_trust_revives_nothing() {
    let mut core = holder();
    core.step(Event::Wake, at(2_000));
    let todo = core.step(kept(&["shop"]), at(TRUSTED));
    assert_eq!(todo, [lost(1, Loss::Unanswered)]);
}

#[test]
fn a_failed_renewal_is_repeated_within_a_second() {
    let mut core = holder();
    core.step(Event::Wake, at(2_000));
    core.step(Event::Blind, at(2_000));
    core.step(Event::RenewFailed, at(2_500));
    assert!(
        !core
            .step(Event::Wake, at(3_499))
            .contains(&renew(&[("shop", 1)]))
    );
    assert!(
        core.step(Event::Wake, at(3_500))
            .contains(&renew(&[("shop", 1)]))
    );
}

#[test]
fn what_a_renewal_misses_is_lost_but_not_what_it_did_not_ask_for() {
    let mut core = holder();
    core.step(Event::Wake, at(2_000));
    assert_eq!(core.step(kept(&[]), at(2_100))[0], lost(1, Loss::Refused));
    let mut core = holder();
    core.step(Event::Wake, at(2_000));
    core.step(
        Event::Fenced {
            account: shop(),
            epoch: Epoch(1),
        },
        at(2_001),
    );
    core.step(bid(0), at(2_001));
    core.step(seen(row(1, 0, 0, Holder::Released)), at(2_002));
    core.step(acquired(2), at(2_003));
    let todo = core.step(kept(&[]), at(2_100));
    assert!(!todo.contains(&lost(2, Loss::Refused)), "{todo:?}");
}

#[test]
fn a_confirmation_does_not_wait_for_the_beat_nor_take_an_older_answer() {
    let mut core = holder();
    let asked = renew(&[("shop", 1)]);
    assert!(core.step(Event::Confirm, at(700)).contains(&asked));
    assert!(!core.step(Event::Confirm, at(800)).contains(&asked));
    let todo = core.step(kept(&["shop"]), at(900));
    assert_eq!(todo[1], asked, "the answer was to an older question");
}

#[test]
fn a_fenced_write_ends_its_own_term_alone() {
    let mut core = holder();
    let fenced = |epoch| Event::Fenced {
        account: shop(),
        epoch: Epoch(epoch),
    };
    assert!(
        !core
            .step(fenced(0), at(200))
            .contains(&lost(1, Loss::Refused))
    );
    assert_eq!(core.step(fenced(1), at(200))[0], lost(1, Loss::Refused));
}

#[test]
fn a_later_epoch_in_a_row_ends_the_term_and_an_older_look_does_not() {
    let mut core = holder();
    core.step(Event::Wake, at(500));
    let todo = core.step(seen(row(1, 0, -5, Holder::Other)), at(510));
    assert_eq!(todo, [wake(1_010)]);
    core.step(Event::Wake, at(1_010));
    let todo = core.step(seen(row(2, 0, 8_000, Holder::Other)), at(1_020));
    assert_eq!(todo, [lost(1, Loss::Refused)]);
}

#[test]
fn who_was_ousted_by_an_operator_sits_out_one_ttl() {
    let mut core = holder();
    core.step(Event::Wake, at(500));
    let todo = core.step(seen(row(2, 0, -5, Holder::Nobody)), at(510));
    assert_eq!(todo, [lost(1, Loss::Refused)]);
    core.step(bid(0), at(600));
    let gone = || seen(row(2, 0, -5, Holder::Nobody));
    let mut other = core.clone();
    assert_eq!(core.step(gone(), at(610)), [wake(1_110)]);
    core.step(Event::Wake, at(510 + TTL - 1));
    core.step(gone(), at(510 + TTL - 1));
    assert_eq!(core.step(Event::Wake, at(510 + TTL))[0], acquire());
    let taken_and_released = seen(row(3, 9, 0, Holder::Released));
    assert_eq!(other.step(taken_and_released, at(610))[0], acquire());
}

#[test]
fn a_release_happens_once_and_only_to_its_own_term() {
    let mut core = holder();
    let release = |epoch| Event::Release {
        account: shop(),
        epoch: Epoch(epoch),
    };
    let given = Action::Release {
        account: shop(),
        epoch: Epoch(1),
        kept: true,
    };
    assert!(!core.step(release(0), at(200)).contains(&given));
    assert_eq!(core.step(release(1), at(200))[0], given);
    assert!(!core.step(release(1), at(201)).contains(&given));
    assert_eq!(
        core.step(Event::Wake, at(TRUSTED)),
        [],
        "nothing left to lose"
    );
}

#[test]
fn a_holder_is_told_once_that_another_is_to_have_it() {
    let mut core = holder();
    core.step(Event::Wake, at(500));
    let transferred = || {
        seen(Seen {
            successor: Successor::Other,
            ..row(1, 0, 7_000, Holder::Me)
        })
    };
    let told = Action::HandOver {
        account: shop(),
        epoch: Epoch(1),
    };
    assert_eq!(core.step(transferred(), at(510)), [told, wake(1_010)]);
    core.step(Event::Wake, at(1_010));
    assert_eq!(core.step(transferred(), at(1_020)), [wake(1_520)]);
}

#[test]
fn a_change_during_a_look_asks_for_another() {
    let mut core = core();
    core.step(bid(0), at(0));
    assert_eq!(core.step(Event::Stirred, at(1)), []);
    let todo = core.step(seen(row(1, 0, 5_000, Holder::Other)), at(2));
    assert_eq!(todo, [Action::Look, wake(5_002)]);
}

#[test]
fn a_look_that_fails_is_repeated_within_a_second() {
    let mut core = core();
    core.step(bid(0), at(0));
    assert_eq!(core.step(Event::Blind, at(5)), [wake(1_005)]);
    assert_eq!(core.step(Event::Wake, at(1_005)), [Action::Look]);
}

#[test]
fn a_thousand_leases_beat_as_one() {
    let mut core = core();
    let names: Vec<_> = (0..1_000).map(|n| id(&format!("a{n}"))).collect();
    for account in names.clone() {
        core.step(
            Event::Bid {
                account,
                handicap: Duration::ZERO,
            },
            at(0),
        );
    }
    let bids = core.step(Event::Seen { rows: vec![] }, at(0));
    assert_eq!(bids.len(), 1_000);
    for account in names.clone() {
        let won = Event::Acquired {
            account,
            epoch: Epoch(1),
        };
        assert_eq!(core.step(won, at(10)).len(), 2);
    }
    let mut statements = 0;
    for beat in 1..=10 {
        for action in core.step(Event::Wake, at(2_000 * beat)) {
            if let Action::Renew { leases } = action {
                assert_eq!(leases.len(), 1_000);
                statements += 1;
            }
        }
        let all = Event::Renewed {
            kept: names.iter().cloned().collect(),
        };
        assert_eq!(core.step(all, at(2_000 * beat)).len(), 1_001);
    }
    assert_eq!(statements, 10);
}
