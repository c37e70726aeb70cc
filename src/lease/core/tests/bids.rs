//! When a lease is looked at and bid for.

use super::*;

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
