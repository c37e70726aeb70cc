//! Plans of single moments, and whole fleets that come, go and settle.

mod settling;

use super::table::plan;
use super::*;

fn owner(name: &str) -> OwnerId {
    OwnerId::stored(format!("{name}#0"))
}

fn account(name: &str) -> AccountId {
    name.parse().expect("an account id")
}

fn worker(name: &str) -> Worker {
    Worker {
        owner: owner(name),
        capacity: 1000,
        wants: Accounts::All,
        draining: false,
        installation: "here".to_owned(),
    }
}

fn seat(name: &str, holding: Holding) -> Seat {
    Seat {
        account: account(name),
        auth_home: None,
        successor: None,
        epoch: 1,
        holding,
    }
}

fn held(name: &str, by: &str, beat: i64) -> Seat {
    let by = owner(by);
    seat(name, Holding::Held { by, beat })
}

fn free(name: &str) -> Seat {
    seat(name, Holding::Free(None))
}

/// The plan of the first worker.
fn plan_of(workers: &[Worker], seats: &[Seat]) -> Plan {
    let fleet = Fleet {
        me: &workers[0],
        workers,
        seats,
    };
    plan(fleet, &[])
}

fn wait(plan: &Plan, name: &str) -> Option<u128> {
    let name = account(name);
    let bid = plan.bids.iter().find(|(account, _)| *account == name);
    bid.map(|(_, wait)| wait.as_millis())
}

fn handed(plan: &Plan) -> Option<(&str, &str)> {
    let hand_over = plan.hand_over.as_ref()?;
    Some((hand_over.account.as_str(), hand_over.to.as_str()))
}

#[test]
fn a_free_account_is_bid_for_at_once_by_the_emptiest_and_later_by_the_others() {
    let seats = [
        held("a", "w1", 1),
        held("b", "w2", 1),
        held("c", "w2", 1),
        free("x"),
    ];
    let (w1, w2, w3) = (worker("w1"), worker("w2"), worker("w3"));
    let emptiest = plan_of(&[w3.clone(), w1.clone(), w2.clone()], &seats);
    assert_eq!(wait(&emptiest, "x"), Some(0));
    let middle = plan_of(&[w1.clone(), w2.clone(), w3.clone()], &seats);
    assert_eq!(
        wait(&middle, "x"),
        Some(251),
        "courtesy, one account, nobody emptier left"
    );
    let fullest = plan_of(&[w2, w1, w3], &seats);
    assert_eq!(wait(&fullest, "x"), Some(351), "two are emptier");
}

#[test]
fn the_accounts_of_a_holder_are_shared_out_before_it_dies() {
    let seats: Vec<Seat> = (0..6).map(|i| held(&format!("a{i}"), "w3", 1)).collect();
    let (w1, w2, w3) = (worker("w1"), worker("w2"), worker("w3"));
    let first = plan_of(&[w1.clone(), w2.clone(), w3.clone()], &seats);
    let second = plan_of(&[w2, w1, w3], &seats);
    let at_once = |plan: &Plan| {
        let names: Vec<String> = plan
            .bids
            .iter()
            .filter(|(_, wait)| wait.is_zero())
            .map(|(account, _)| account.to_string())
            .collect();
        names.join(" ")
    };
    assert_eq!(at_once(&first), "a0 a2 a4");
    assert_eq!(at_once(&second), "a1 a3 a5");
    assert_eq!(
        (first.bids.len(), second.bids.len()),
        (6, 6),
        "each stands by for all"
    );
}

#[test]
fn a_worker_that_let_a_lease_run_out_is_not_waited_for() {
    let seats = [seat("x", Holding::Lapsed(owner("w0"))), held("a", "w1", 1)];
    let plan = plan_of(&[worker("w1"), worker("w0")], &seats);
    assert_eq!(wait(&plan, "x"), Some(0));
    assert_eq!(plan.hand_over, None);
}

#[test]
fn no_wait_is_near_a_second() {
    let workers: Vec<Worker> = (0..9).map(|i| worker(&format!("w{i}"))).collect();
    let seats: Vec<Seat> = (0..900)
        .map(|i| held(&format!("a{i}"), if i < 400 { "w0" } else { "w1" }, 1))
        .collect();
    let plan = plan_of(&workers, &seats);
    assert_eq!(
        plan.bids.iter().map(|bid| bid.1.as_millis()).max(),
        Some(700)
    );
}

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
fn a_full_worker_does_not_bid_and_what_nobody_can_take_is_told() {
    let mut small = worker("w1");
    small.capacity = 1;
    let mut homed = free("z");
    homed.auth_home = Some("elsewhere".to_owned());
    let seats = [held("a", "w1", 1), free("b"), homed];
    let plan = plan_of(&[small], &seats);
    assert_eq!(plan.bids, []);
    let unplaced: Vec<(&str, bool)> = plan
        .unplaced
        .iter()
        .map(|one| (one.account.as_str(), one.full))
        .collect();
    assert_eq!(unplaced, [("b", true), ("z", false)]);
}

#[test]
fn a_worker_bids_for_no_more_than_it_has_room_for() {
    let mut small = worker("w1");
    small.capacity = 3;
    let seats: Vec<Seat> = (0..10).map(|i| held(&format!("a{i}"), "w2", 1)).collect();
    let plan = plan_of(&[small, worker("w2")], &seats);
    assert_eq!(plan.bids.len(), 3);
    let mut overfull = worker("w1");
    let mut full = worker("w2");
    (overfull.capacity, full.capacity) = (2, 4);
    let mut seats: Vec<Seat> = (0..4).map(|i| held(&format!("b{i}"), "w2", 1)).collect();
    seats.extend((0..3).map(|i| held(&format!("a{i}"), "w1", 1)));
    let plan = plan_of(&[overfull, full], &seats);
    assert_eq!(plan.hand_over, None, "nobody has room");
}

#[test]
fn capacity_is_weight() {
    let mut big = worker("w1");
    let mut small = worker("w2");
    (big.capacity, small.capacity) = (100, 10);
    let mut seats: Vec<Seat> = (0..20)
        .map(|i| held(&format!("a{i:02}"), "w1", 1))
        .collect();
    let plan = plan_of(&[big.clone(), small.clone()], &seats);
    assert_eq!(
        handed(&plan),
        Some(("a00", "w2#0")),
        "20 of 100 and 0 of 10"
    );
    seats.truncate(10);
    seats.push(held("b", "w2", 1));
    assert_eq!(
        plan_of(&[big, small], &seats).hand_over,
        None,
        "10 of 100 and 1 of 10"
    );
}

#[test]
fn an_account_with_local_auth_goes_only_to_workers_of_its_installation() {
    let mut far = worker("w2");
    far.installation = "there".to_owned();
    let mut seats: Vec<Seat> = (0..4).map(|i| held(&format!("a{i}"), "w1", 1)).collect();
    for seat in &mut seats {
        seat.auth_home = Some("here".to_owned());
    }
    let near = worker("w1");
    assert_eq!(
        plan_of(&[near.clone(), far.clone()], &seats).hand_over,
        None
    );
    assert_eq!(plan_of(&[far.clone(), near.clone()], &seats).bids, []);
    seats[2].auth_home = None;
    let plan = plan_of(&[near, far], &seats);
    assert_eq!(handed(&plan), Some(("a2", "w2#0")));
}

#[test]
fn a_listed_account_is_bid_for_at_once_and_never_given_away() {
    let mut listed = worker("w1");
    listed.wants = Accounts::Listed(["a", "b", "c"].map(account).into());
    let seats = [held("a", "w1", 1), held("b", "w1", 1), free("c"), free("d")];
    let all = worker("w2");
    let plan = plan_of(&[listed.clone(), all.clone()], &seats);
    assert_eq!(plan.bids, [(account("c"), Duration::ZERO)]);
    assert_eq!(plan.hand_over, None);
    let other = plan_of(&[all, listed], &seats);
    assert_eq!(
        wait(&other, "c"),
        Some(252),
        "somebody with a list is there"
    );
    assert_eq!(wait(&other, "d"), Some(0));
}

#[test]
fn a_draining_worker_takes_and_gives_nothing_and_its_accounts_are_expected() {
    let mut leaving = worker("w1");
    leaving.draining = true;
    let seats = [
        held("a", "w1", 1),
        held("b", "w1", 1),
        held("c", "w2", 1),
        free("d"),
    ];
    let plan = plan_of(&[leaving.clone(), worker("w2"), worker("w3")], &seats);
    assert_eq!(plan, Plan::default());
    let plan = plan_of(&[worker("w3"), worker("w2"), leaving], &seats);
    assert_eq!(
        (wait(&plan, "a"), wait(&plan, "b"), wait(&plan, "d")),
        (Some(0), Some(253), Some(0))
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

#[test]
fn a_worker_that_is_not_registered_yet_counts_itself() {
    let me = worker("w1");
    let fleet = Fleet {
        me: &me,
        workers: &[],
        seats: &[free("a")],
    };
    assert_eq!(plan(fleet, &[]).bids, [(account("a"), Duration::ZERO)]);
}

#[test]
fn others_who_could_take_an_account_are_counted() {
    let mut leaving = worker("w2");
    leaving.draining = true;
    let mut far = worker("w3");
    far.installation = "there".to_owned();
    let workers = [worker("w1"), leaving, far, worker("w4")];
    let mut seats = [free("a"), free("b")];
    seats[1].auth_home = Some("there".to_owned());
    let fleet = Fleet {
        me: &workers[0],
        workers: &workers,
        seats: &seats,
    };
    assert_eq!(
        (standbys(fleet, &seats[0]), standbys(fleet, &seats[1])),
        (2, 1)
    );
}
