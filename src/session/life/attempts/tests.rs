//! The table of failure answers, and what must never become a loop.

use super::*;

fn attempts() -> Attempts {
    Attempts::new(Linking::new(None, Boot::from_ms(0)))
}

fn at(ms: i64) -> Facts {
    Facts {
        now: Boot::from_ms(ms),
        linked: true,
        holder: Holder::Us,
        intake_closed: false,
        version_refreshed: false,
        jitter: 1.0,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn closed() -> End {
    End::Closed {
        reason: "gone".to_owned(),
        code: Some(503),
    }
}

/// A connection that was logged in from `from_ms` until it ended.
fn lived(attempts: &mut Attempts, from_ms: i64, end: End, facts: &Facts) -> Answer {
    attempts.begin();
    attempts.logged_in(Boot::from_ms(from_ms));
    attempts.answer(end, facts)
}

#[test]
fn each_end_has_its_answer() {
    let logged_out = || End::LoggedOut {
        reason: "removed".to_owned(),
    };
    let banned = End::Banned {
        lasts: seconds(3600),
        reason: "spam".to_owned(),
    };
    let next = |end: End, facts: Facts| attempts().answer(end, &facts).next;
    let unlinked = Facts {
        linked: false,
        ..at(0)
    };
    let refreshing = Facts {
        version_refreshed: true,
        ..at(0)
    };
    let shut = Facts {
        intake_closed: true,
        ..at(0)
    };
    assert_eq!(next(End::Restart, at(0)), Next::Connect);
    assert_eq!(next(End::CodesExhausted, at(0)), Next::Connect);
    assert_eq!(next(closed(), at(0)), Next::Pause(seconds(1)));
    assert_eq!(
        next(logged_out(), at(0)),
        Next::Relink("removed".to_owned())
    );
    assert_eq!(next(logged_out(), unlinked), Next::Pause(seconds(1)));
    assert_eq!(next(banned, at(0)), Next::Pause(seconds(3600)));
    assert_eq!(next(End::Outdated, at(0)), Next::Rest(REST));
    assert_eq!(next(End::Outdated, refreshing), Next::Connect);
    assert_eq!(next(End::Refused { code: 406 }, at(0)), Next::Rest(REST));
    assert_eq!(next(End::Uncommitted, at(0)), Next::Pause(seconds(1)));
    assert_eq!(
        next(End::Uncommitted, shut),
        Next::Finish(Outcome::Lost(Loss::Unanswered))
    );
    assert_eq!(next(End::Deaf, at(0)), Next::Connect);
    assert_eq!(next(End::Replaced, at(0)), Next::Pause(seconds(2)));
}

#[test]
fn a_lost_lease_ends_the_session_whatever_ended_the_connection() {
    for loss in [Loss::Refused, Loss::Unanswered] {
        for end in [End::Replaced, End::Uncommitted, End::Restart, closed()] {
            let facts = Facts {
                holder: Holder::Lost(loss),
                ..at(0)
            };
            let answer = attempts().answer(end, &facts);
            assert_eq!(answer.next, Next::Finish(Outcome::Lost(loss)));
            assert_eq!(answer.show, None, "the next holder shows what it does");
        }
    }
}

#[test]
fn who_may_have_been_replaced_by_the_next_holder_asks_the_store_first() {
    assert!(must_confirm(&End::Replaced));
    assert!(must_confirm(&End::Uncommitted));
    assert!(!must_confirm(&closed()));
    assert!(!must_confirm(&End::Restart));
}

#[test]
fn three_replacements_within_a_minute_are_a_conflict_that_is_tried_every_five_minutes() {
    let mut attempts = attempts();
    assert_eq!(
        lived(&mut attempts, 0, End::Replaced, &at(100)).next,
        Next::Pause(seconds(2))
    );
    assert_eq!(
        lived(&mut attempts, 2_000, End::Replaced, &at(2_200)).next,
        Next::Pause(seconds(4))
    );
    let third = lived(&mut attempts, 6_000, End::Replaced, &at(6_200));
    assert_eq!(third.next, Next::Rest(REST));
    assert_eq!(third.told, Some(Told::Conflict { in_a_row: 3 }));
    assert_eq!(third.show, Some(SessionState::Conflict));
    let fourth = lived(&mut attempts, 306_000, End::Replaced, &at(306_200));
    assert_eq!(fourth.next, Next::Rest(REST), "one attempt each time");
    let other = lived(&mut attempts, 606_000, closed(), &at(606_100));
    assert_eq!(other.next, Next::Pause(seconds(1)));
    let fifth = lived(&mut attempts, 607_200, End::Replaced, &at(607_300));
    assert_eq!(fifth.next, Next::Rest(REST), "a short peace is none");
    let lasting = lived(&mut attempts, 907_000, closed(), &at(907_000 + 600_000));
    assert_eq!(lasting.next, Next::Pause(seconds(1)));
    let new = lived(&mut attempts, 1_508_000, End::Replaced, &at(1_509_000));
    assert_eq!(new.next, Next::Pause(seconds(2)), "a lasting one is");
}

#[test]
fn a_person_who_resumes_ends_a_conflict() {
    let mut attempts = attempts();
    for ms in [0, 2_000, 6_000] {
        lived(&mut attempts, ms, End::Replaced, &at(ms + 10));
    }
    attempts.forgive();
    let next = lived(&mut attempts, 7_000, End::Replaced, &at(7_100)).next;
    assert_eq!(next, Next::Pause(seconds(2)));
}

#[test]
fn a_slow_rival_is_answered_more_slowly_each_time() {
    let mut attempts = attempts();
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let answer = lived(&mut attempts, now, End::Replaced, &at(now + 40_000));
        let Next::Pause(pause) = answer.next else {
            panic!("{answer:?}");
        };
        pauses.push(pause.as_secs());
        now += 40_000 + i64::try_from(pause.as_millis()).expect("short");
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 120, 120]);
}

#[test]
fn a_server_that_ends_each_connection_is_left_alone_for_longer_each_time() {
    let mut attempts = attempts();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        match lived(&mut attempts, 0, closed(), &at(100)).next {
            Next::Pause(pause) => pauses.push(pause.as_secs()),
            next => panic!("{next:?}"),
        }
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
    let next = lived(&mut attempts, 0, closed(), &at(10_000)).next;
    assert_eq!(
        next,
        Next::Pause(seconds(1)),
        "one that lasted is no failure"
    );
}

#[test]
fn a_restart_follows_at_once_only_the_first_time() {
    let mut attempts = attempts();
    assert_eq!(attempts.answer(End::Restart, &at(0)).next, Next::Connect);
    let again = attempts.answer(End::Restart, &at(0)).next;
    assert_eq!(again, Next::Pause(seconds(2)));
}

#[test]
fn deaf_connections_are_counted_until_the_server_answers() {
    let mut attempts = attempts();
    let deaf = |attempts: &mut Attempts, from: i64| {
        let answer = lived(attempts, from, End::Deaf, &at(from + 30_000));
        (answer.next, answer.told)
    };
    let told = |in_a_row| Some(Told::Deaf { in_a_row });
    assert_eq!(deaf(&mut attempts, 0), (Next::Connect, told(1)));
    let second = deaf(&mut attempts, 30_000);
    assert_eq!(second, (Next::Pause(seconds(1)), told(2)));
    let third = deaf(&mut attempts, 61_000);
    assert_eq!(third, (Next::Pause(seconds(2)), told(3)));
    assert!(attempts.hears());
    assert!(!attempts.hears(), "told once");
    assert_eq!(deaf(&mut attempts, 93_000), (Next::Connect, told(1)));
}
