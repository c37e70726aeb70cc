use super::*;
use crate::ids::{Epoch, OwnerId};

fn account() -> Account {
    Account::fresh("default")
}

fn lease(remaining_ms: i64) -> LeaseRow {
    LeaseRow {
        account: account().id,
        epoch: Epoch(7),
        owner: OwnerId::stored("a#1".to_owned()),
        beat: 1,
        expires_at: 1,
        remaining_ms,
        successor: None,
    }
}

fn session(state: &str) -> SessionStatus {
    SessionStatus {
        state: state.to_owned(),
        reason: None,
        detail: "what it says".to_owned(),
        since: 1,
    }
}

fn queue(dead: i64, oldest_age_ms: Option<i64>) -> QueueDepth {
    QueueDepth {
        account_id: account().id,
        pending: 1,
        processing: 0,
        dead,
        oldest_age_ms,
    }
}

#[test]
fn each_state_of_a_session_is_judged() {
    let held = lease(1);
    for (state, level, word) in [
        ("connected", Level::Good, "connected"),
        ("starting", Level::Warn, "starting"),
        ("reconnecting", Level::Warn, "reconnecting"),
        ("needs_link", Level::Bad, "needs a link"),
        ("linking", Level::Bad, "needs a link"),
        ("conflict", Level::Bad, "conflict"),
        ("logged_out", Level::Bad, "logged out"),
        ("banned", Level::Bad, "banned"),
        ("outdated_client", Level::Bad, "client outdated"),
        ("failed", Level::Bad, "failed"),
        ("of a later release", Level::Bad, "failed"),
    ] {
        let verdict = judge(&account(), Some(&held), Some(&session(state)), None);
        assert_eq!((verdict.level, verdict.word), (level, word), "{state}");
        assert_eq!(verdict.detail.is_empty(), level == Level::Good, "{state}");
    }
}

#[test]
fn what_is_worst_is_said_first() {
    let (held, up) = (lease(1), session("connected"));
    let off = Account {
        enabled: false,
        ..account()
    };
    let paused = |reason: Option<&str>| Account {
        paused: true,
        pause_reason: reason.map(str::to_owned),
        ..account()
    };
    let old = queue(3, Some(OLD_JOB_MS + 1));
    for (known, lease, session, queue, level, word) in [
        (off, None, None, None, Level::Off, "disabled"),
        (account(), None, None, None, Level::Bad, "no holder"),
        (
            account(),
            Some(lease(0)),
            Some(&up),
            None,
            Level::Bad,
            "no holder",
        ),
        (
            account(),
            Some(held.clone()),
            None,
            None,
            Level::Warn,
            "starting",
        ),
        (
            paused(None),
            Some(held.clone()),
            Some(&up),
            Some(&old),
            Level::Warn,
            "paused",
        ),
        (
            paused(Some("463")),
            Some(held.clone()),
            Some(&up),
            None,
            Level::Bad,
            "paused",
        ),
        (
            account(),
            Some(held.clone()),
            Some(&up),
            Some(&old),
            Level::Warn,
            "agents are slow",
        ),
        (
            account(),
            Some(held.clone()),
            Some(&up),
            Some(&queue(1, None)),
            Level::Warn,
            "dead letters",
        ),
        (
            account(),
            Some(held),
            Some(&up),
            Some(&queue(0, Some(OLD_JOB_MS))),
            Level::Good,
            "connected",
        ),
    ] {
        let verdict = judge(&known, lease.as_ref(), session, queue);
        assert_eq!((verdict.level, verdict.word), (level, word));
    }
}
