//! What an operator asks of a fleet, from the command line. The workers are rows in the store: what
//! these commands write is what living workers act on.

mod agents;
mod fleet;

use std::process::Output;

use serde_json::Value;
use whatsapp_worker::ids::OwnerId;

use self::fleet::Fleet;
use crate::theatre::{PATIENCE, Theatre};

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_transfer_names_its_worker_waits_for_it_and_is_told_in_the_history() {
    let fleet = Fleet::open().await;
    let (one, two) = (
        fleet.worker("one", |_| {}).await,
        fleet.worker("two", |_| {}).await,
    );
    let fence = fleet.acquire(&one).await;
    let text = fleet.say("lease transfer shop --to one").await;
    assert!(text.contains("already"), "{text}");

    let transfer = fleet.command("lease transfer shop --to two");
    let transfer = tokio::spawn(async move { { transfer }.output().await });
    assert_eq!(fleet.successor().await, two.as_str());
    let row = fleet.json("lease show shop").await;
    assert_eq!(
        (&row["ownerId"], &row["successor"]),
        (&one.as_str().into(), &two.as_str().into())
    );
    assert!(!transfer.is_finished(), "it waits");
    assert!(
        fleet
            .store
            .release_lease(&fence, &one, "handed over")
            .await
            .expect("answers")
    );
    fleet.acquire(&two).await;
    let output = transfer.await.expect("no panic").expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    assert!(
        text.contains(&format!("with '{two}' now (epoch 2)")),
        "{text}"
    );

    let row = fleet.json("lease show shop").await;
    assert_eq!(
        (&row["ownerId"], &row["successor"]),
        (&two.as_str().into(), &Value::Null)
    );
    assert!(
        row["beatAgeMs"].as_i64().is_some_and(|age| age < 60_000),
        "{row}"
    );
    assert!(
        row["remainingMs"].as_i64().is_some_and(|left| left > 0),
        "{row}"
    );
    let history: Vec<(&str, i64, i64)> = row["transitions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|line| {
            line["action"]
                .as_str()
                .is_some_and(|action| action.starts_with("lease."))
        })
        .map(|line| {
            let epoch = |name: &str| line[name].as_i64().expect("an epoch");
            (
                line["action"].as_str().expect("text"),
                epoch("epochBefore"),
                epoch("epochAfter"),
            )
        })
        .collect();
    assert_eq!(
        history,
        [
            ("lease.acquired", 1, 2),
            ("lease.released", 1, 1),
            ("lease.transfer", 1, 1),
            ("lease.acquired", 0, 1),
        ]
    );
}

#[tokio::test]
async fn a_transfer_to_a_worker_that_would_not_take_it_says_why_and_who_would() {
    let fleet = Fleet::open().await;
    let one = fleet.worker("one", |_| {}).await;
    fleet
        .refuse("lease transfer shop --to one", 1, &["never had a lease"])
        .await;
    fleet.acquire(&one).await;
    let able = fleet.worker("able", |_| {}).await;
    fleet
        .worker("leaving", |worker| worker.draining = true)
        .await;
    fleet
        .worker("other", |worker| worker.accounts = "desk,office".to_owned())
        .await;
    fleet.worker("full", |worker| worker.capacity = 0).await;
    fleet.worker("twin", |_| {}).await;
    fleet.worker("twin", |_| {}).await;
    let able = able.as_str();
    for (to, parts) in [
        ("nobody", &["no living worker is called 'nobody'", able][..]),
        ("leaving", &["gives away what it has", able]),
        ("other", &["WHATSAPP_ACCOUNT_ID", able]),
        ("full", &["WORKER_CAPACITY is 0"]),
        ("twin", &["several", "twin#"]),
    ] {
        fleet
            .refuse(&format!("lease transfer shop --to {to}"), 1, parts)
            .await;
    }
    fleet
        .refuse(
            "lease transfer typo --to able",
            1,
            &["there is no account 'typo'"],
        )
        .await;
    let row = fleet
        .store
        .lease(&fleet.account)
        .await
        .expect("answers")
        .expect("a row");
    assert_eq!(row.successor, None, "nothing was recorded");
    fleet.say("accounts disable shop").await;
    fleet
        .refuse(
            "lease transfer shop --to able",
            1,
            &["accounts enable shop"],
        )
        .await;
}

#[tokio::test]
async fn a_release_asks_a_living_holder_and_takes_from_another_only_by_force() {
    let fleet = Fleet::open().await;
    let ghost = OwnerId::incarnate("ghost").expect("valid");
    fleet.acquire(&ghost).await;
    fleet
        .refuse(
            "lease release shop",
            75,
            &[ghost.as_str(), "no living worker", "--force"],
        )
        .await;
    let text = fleet.say("lease release shop --force").await;
    assert!(text.contains("was taken from"), "{text}");
    let text = fleet.say("lease release shop").await;
    assert!(text.contains("free already"), "{text}");

    let one = fleet.worker("one", |_| {}).await;
    let fence = fleet.acquire(&one).await;
    let text = fleet.say("lease release shop --no-wait").await;
    assert!(text.contains("was asked"), "{text}");
    assert_eq!(fleet.successor().await, "");
    let release = fleet.command("lease release shop").output();
    let (output, released) =
        tokio::join!(release, fleet.store.release_lease(&fence, &one, "asked to"));
    assert!(released.expect("answers"));
    let output = output.expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    assert!(text.contains("free"), "{text}");
}

#[tokio::test]
async fn leases_and_workers_are_listed_with_what_they_hold() {
    let fleet = Fleet::open().await;
    let one = fleet.worker("one", |worker| worker.capacity = 5).await;
    let two = fleet
        .worker("two", |worker| worker.accounts = "shop".to_owned())
        .await;
    fleet.acquire(&one).await;
    let workers = fleet.json("workers list").await;
    let shown: Vec<(&str, i64, i64, &str)> = workers
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            let number = |name: &str| row[name].as_i64().expect("a number");
            let text = |name: &str| row[name].as_str().expect("text");
            (
                text("ownerId"),
                number("held"),
                number("capacity"),
                text("accounts"),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [(one.as_str(), 1, 5, "*"), (two.as_str(), 0, 1000, "shop")]
    );
    assert!(
        workers[0]["beatAgeMs"]
            .as_i64()
            .is_some_and(|age| (0..60_000).contains(&age))
    );
    let refused = &["no living worker is called 'typo'", one.as_str()];
    fleet.refuse("workers drain typo", 1, refused).await;
    fleet.say("workers drain two").await;
    let drained = |rows: &Value| [&rows[0], &rows[1]].map(|row| row["draining"] == true);
    let workers = fleet.json("workers list").await;
    assert_eq!(drained(&workers), [false, true]);
    fleet.say("workers undrain two").await;
    let workers = fleet.json("workers list").await;
    assert_eq!(drained(&workers), [false, false]);
    for (name, count) in [("one", 1), (one.as_str(), 1), ("two", 0), ("on", 0)] {
        let leases = fleet.json(&format!("lease list --owner {name}")).await;
        assert_eq!(leases.as_array().map(Vec::len), Some(count), "{name}");
    }
    let table = fleet.say("workers list").await;
    assert!(table.starts_with("OWNER ID"), "{table}");
}

#[tokio::test]
async fn accounts_are_switched_and_their_state_is_shown() {
    let fleet = Fleet::open().await;
    let one = fleet.worker("one", |_| {}).await;
    fleet.acquire(&one).await;
    let state = async || {
        let rows = fleet.json("accounts list").await;
        (
            rows[0]["enabled"].clone(),
            rows[0]["paused"].clone(),
            rows[0]["ownerId"].clone(),
        )
    };
    let owner = Value::from(one.as_str());
    assert_eq!(
        state().await,
        ("enabled".into(), false.into(), owner.clone())
    );
    for (line, answer) in [
        ("accounts pause shop", "is paused:"),
        ("accounts pause shop", "paused already"),
        ("accounts disable shop --yes", "drains and releases"),
        ("accounts disable shop", "disabled already"),
    ] {
        let text = fleet.say(line).await;
        assert!(text.contains(answer), "{line}: {text}");
    }
    assert_eq!(
        state().await,
        ("disabled".into(), true.into(), owner.clone())
    );
    for (line, answer) in [
        ("accounts resume shop", "sends again"),
        ("accounts resume shop", "was not paused"),
        ("accounts enable shop", "is enabled:"),
        ("accounts enable shop", "enabled already"),
    ] {
        let text = fleet.say(line).await;
        assert!(text.contains(answer), "{line}: {text}");
    }
    assert_eq!(state().await, ("enabled".into(), false.into(), owner));
    for verb in ["enable", "disable", "pause", "resume"] {
        fleet
            .refuse(
                &format!("accounts {verb} typo"),
                1,
                &["there is no account 'typo'"],
            )
            .await;
    }
}

#[tokio::test]
async fn an_account_moves_between_living_workers_as_it_is_transferred_released_and_drained() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_LEASE_TTL_MS", "60000")]).await;
    theatre.check_receipts().await;
    let one = theatre.linked_worker("one").await;
    let two = theatre.stage.start("two").expect("starts");
    two.wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true)
        .await
        .expect("stands by");
    let operator = async |arguments: &[&str]| {
        let output = theatre
            .stage
            .command("operator", arguments)
            .output()
            .await
            .expect("runs");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            error(&output)
        );
        String::from_utf8(output.stdout).expect("text")
    };
    let mut ids = vec![theatre.text("before")];
    let text = operator(&["lease", "transfer", "default", "--to", "two"]).await;
    assert!(text.contains("with 'two#"), "{text}");
    theatre.connected(&two, 1).await;
    ids.push(theatre.text("moved"));
    let text = operator(&["lease", "release", "default"]).await;
    assert!(text.contains("'one#"), "{text}");
    theatre.connected(&one, 2).await;
    ids.push(theatre.text("and back"));
    let text = operator(&["workers", "drain", "one"]).await;
    assert!(text.contains("holds no account and takes none"), "{text}");
    theatre.connected(&two, 2).await;
    ids.push(theatre.text("drained"));
    let alone = theatre
        .stage
        .command("operator", &["workers", "drain", "two"]);
    let alone = { alone }.output().await.expect("runs");
    assert_eq!(alone.status.code(), Some(75), "{}", error(&alone));
    assert!(
        error(&alone).contains("may take: default"),
        "{}",
        error(&alone)
    );
    for worker in ["two", "one"] {
        operator(&["workers", "undrain", worker]).await;
    }
    operator(&["workers", "drain", "two"]).await;
    theatre.connected(&one, 3).await;
    ids.push(theatre.text("taken back"));
    theatre.assert_each_queued_once(&ids).await;
    let conflicts = [&one, &two].map(|worker| worker.count("whatsapp.connection.conflict"));
    assert_eq!(conflicts, [0, 0]);
}
