//! What keeps a term and what ends it.

use super::*;

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
