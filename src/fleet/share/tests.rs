//! Plans of single moments, and whole fleets that come, go and settle.

mod hand_overs;
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
fn a_draining_worker_takes_nothing_and_gives_away_what_others_take() {
    let mut leaving = worker("w1");
    leaving.draining = true;
    let seats = [
        held("a", "w1", 1),
        held("b", "w1", 1),
        held("c", "w2", 1),
        free("d"),
    ];
    let plan = plan_of(&[leaving.clone(), worker("w2"), worker("w3")], &seats);
    let given = HandOver {
        account: account("a"),
        to: worker("w3").owner,
    };
    assert_eq!((plan.bids, plan.hand_over), (vec![], Some(given)));
    let mut one_leaves = seats.clone();
    one_leaves[0].successor = Some("w3".to_owned());
    let fleet = [leaving.clone(), worker("w2"), worker("w3")];
    assert_eq!(
        plan_of(&fleet, &one_leaves).hand_over,
        None,
        "one at a time"
    );
    let alone = plan_of(&[leaving.clone()], &seats[..2]);
    assert_eq!(alone, Plan::default(), "nobody else takes them: they stay");
    let plan = plan_of(&[worker("w3"), worker("w2"), leaving], &seats);
    assert_eq!(
        (wait(&plan, "a"), wait(&plan, "b"), wait(&plan, "d")),
        (Some(0), Some(253), Some(0))
    );
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
