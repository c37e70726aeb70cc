//! Who gives an account to whom, and when not.

use super::*;

#[test]
fn the_fullest_gives_one_to_the_emptiest_and_nothing_within_one() {
    let seats = [
        held("a", "w1", 5),
        held("b", "w1", 7),
        held("c", "w1", 6),
        held("d", "w2", 1),
    ];
    let (w1, w2, w3) = (worker("w1"), worker("w2"), worker("w3"));
    let plan = plan_of(&[w1.clone(), w2.clone(), w3.clone()], &seats);
    assert_eq!(handed(&plan), Some(("b", "w3#0")), "the one held longest");
    assert_eq!(
        plan_of(&[w2.clone(), w1.clone(), w3.clone()], &seats).hand_over,
        None
    );
    assert_eq!(
        plan_of(&[w3, w1.clone(), w2.clone()], &seats).hand_over,
        None
    );
    let level = [held("a", "w1", 5), held("b", "w1", 7), held("d", "w2", 1)];
    assert_eq!(
        plan_of(&[w1.clone(), w2], &level).hand_over,
        None,
        "a spread of one is fair"
    );
    assert_eq!(plan_of(&[w1], &seats).hand_over, None, "to nobody");
}

#[test]
fn one_is_handed_over_at_a_time_and_what_is_on_its_way_counts_already() {
    let mut seats: Vec<Seat> = (0..4).map(|i| held(&format!("a{i}"), "w1", i)).collect();
    seats.extend((0..4).map(|i| held(&format!("b{i}"), "w2", i)));
    let (w1, w2, w3) = (worker("w1"), worker("w2"), worker("w3"));
    let before = plan_of(&[w1.clone(), w2.clone(), w3.clone()], &seats);
    assert_eq!(handed(&before), Some(("a3", "w3#0")));
    let of_second = plan_of(&[w2.clone(), w1.clone(), w3.clone()], &seats);
    assert_eq!(
        handed(&of_second),
        Some(("b3", "w3#0")),
        "both may: 4 4 0 becomes 3 3 2"
    );

    seats[3].successor = Some("w3#0".to_owned());
    let during = plan_of(&[w1.clone(), w2.clone(), w3.clone()], &seats);
    assert_eq!(during.hand_over, None, "one at a time");
    let receiver = plan_of(&[w3.clone(), w1.clone(), w2.clone()], &seats);
    assert_eq!(wait(&receiver, "a3"), Some(0));
    seats[7].successor = Some("w3#0".to_owned());
    seats[2].holding = Holding::Held {
        by: owner("w2"),
        beat: 9,
    };
    let full_enough = plan_of(&[w2, w1, w3], &seats);
    assert_eq!(
        full_enough.hand_over, None,
        "2 4 2 with those on their way, one of them ours"
    );
}

#[test]
fn an_operators_successor_beats_fairness() {
    let mut seats = vec![held("a", "w1", 5), held("b", "w1", 5), held("c", "w2", 5)];
    seats[2].successor = Some("w1".to_owned());
    let (w1, w2) = (worker("w1"), worker("w2"));
    let receiver = plan_of(&[w1.clone(), w2.clone()], &seats);
    assert_eq!(wait(&receiver, "c"), Some(0));
    assert_eq!(
        handed(&receiver),
        Some(("a", "w2#0")),
        "and gives another one back"
    );
    seats[2] = held("c", "w1", 0);
    let after = plan_of(&[w1, w2], &seats);
    assert_eq!(
        handed(&after),
        Some(("a", "w2#0")),
        "not the one that just came"
    );
}

#[test]
fn who_was_asked_to_leave_an_account_to_anybody_else_bids_last() {
    let mut seats = [
        seat("x", Holding::Free(Some(owner("w1")))),
        held("b", "w2", 1),
    ];
    seats[0].successor = Some(String::new());
    let (w1, w2) = (worker("w1"), worker("w2"));
    assert_eq!(
        wait(&plan_of(&[w1.clone(), w2.clone()], &seats), "x"),
        Some(251)
    );
    assert_eq!(wait(&plan_of(&[w2, w1.clone()], &seats), "x"), Some(0));
    assert_eq!(
        wait(&plan_of(&[w1], &seats), "x"),
        Some(0),
        "nobody else is there"
    );
}

#[test]
fn a_worker_that_leaves_its_accounts_to_others_is_given_no_more_for_a_while() {
    let workers = [worker("w1"), worker("w2")];
    let mut seats = [held("a", "w1", 5), held("b", "w1", 5)];
    let mut planner = Planner::default();
    let now = Boot::from_ms(0);
    let mut look = |seats: &[Seat], now: Boot| {
        let fleet = Fleet {
            me: &workers[0],
            workers: &workers,
            seats,
        };
        let plan = planner.plan(fleet, now);
        handed(&plan).map(|(account, to)| format!("{account} to {to}"))
    };
    let given = Some("a to w2#0".to_owned());
    assert_eq!(look(&seats, now), given);
    assert_eq!(look(&seats, now), given, "never recorded: told again");
    seats[0].successor = Some("w2#0".to_owned());
    assert_eq!(look(&seats, now), None, "draining");
    seats[0].holding = Holding::Free(Some(owner("w1")));
    assert_eq!(look(&seats, now), None, "released");
    seats[0] = held("a", "w1", 0);
    seats[0].epoch += 1;
    assert_eq!(look(&seats, now), None, "it came back");
    let later = now.plus(SHUNNED);
    assert_eq!(
        look(&seats, later),
        Some("b to w2#0".to_owned()),
        "a second chance"
    );
}

#[test]
fn a_hand_over_that_failed_between_two_looks_is_noticed() {
    let workers = [worker("w1"), worker("w2")];
    let mut seats = [held("a", "w1", 0), held("b", "w1", 0)];
    let mut planner = Planner::default();
    let mut look = |seats: &[Seat]| {
        let fleet = Fleet {
            me: &workers[0],
            workers: &workers,
            seats,
        };
        let plan = planner.plan(fleet, Boot::from_ms(0));
        handed(&plan).map(|(account, _)| account.to_owned())
    };
    let given = look(&seats).expect("one each is fair");
    let seat = seats.iter_mut().find(|seat| seat.account.as_str() == given);
    // Drained, released, and taken again, by a holder whose beat begins anew.
    seat.expect("known").epoch += 1;
    assert_eq!(look(&seats), None);
}
