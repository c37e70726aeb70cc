//! Who operates an account, and how it goes to somebody else.

use serde_json::{Value, json};
use whatsapp_worker::rehearsal::Worker;

use super::section::{Section, TOLD, run, spawn, until};
use crate::theatre::{PATIENCE, Theatre};

const HASTY: (&str, &str) = ("WHATSAPP_LEASE_TTL_MS", "3000");

/// Starts a worker beside the one that has the account.
async fn standby(theatre: &Theatre, name: &str) -> Worker {
    let worker = theatre.stage.start(name).expect("starts");
    stands_by(&worker).await;
    worker
}

async fn stands_by(worker: &Worker) {
    let contended = worker.wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true);
    contended.await.expect("it stands by");
}

/// Whether an owner is a process of this name.
fn is(owner: &Value, name: &str) -> bool {
    let owner = owner.as_str().unwrap_or_default();
    owner.starts_with(&format!("{name}#"))
}

pub async fn lease_contention(section: &mut Section) {
    let theatre = Theatre::with_settings(&[HASTY]).await;
    let stage = &theatre.stage;
    let mut one = theatre.linked_worker("one").await;
    let two = standby(&theatre, "two").await;
    section.logs(&two, "Lease held by").await;
    section
        .event(&two, "whatsapp.lease.acquire.contended", |line| {
            is(&line["currentOwnerId"], "one")
        })
        .await;
    assert_eq!(two.count("whatsapp.connection.established"), 0);
    let lease = section.data(stage, "lease show default", &[]).await;
    assert!(is(&lease["ownerId"], "one"), "{lease}");
    assert!(
        lease["beatAgeMs"].as_i64() < Some(3000),
        "it lives: {lease}"
    );

    one.kill().await.expect("ours");
    theatre.connected(&two, 1).await;
    section.logs(&two, "Lease acquired for").await;
    section.logs(&two, "Connected successfully").await;

    // It lives and renews, and is not wanted.
    let one = standby(&theatre, "one").await;
    let taken = section
        .run(stage, "lease release default --force", &[])
        .await;
    assert!(taken.well().contains("sits out one TTL"));
    theatre.connected(&one, 1).await;
    section.logs(&one, "Lease acquired for").await;
    let lost = two.wait_for("whatsapp.lease.heartbeat.lost", PATIENCE, |_| true);
    lost.await.expect("it lost everything");

    let moved = section
        .run(stage, "lease transfer", &[("WORKER", "two")])
        .await;
    assert!(moved.well().contains("is with 'two#"));
    theatre.connected(&two, 2).await;
    theatre
        .assert_each_queued_once(&[theatre.text("whoever has it")])
        .await;
}

pub async fn moving_an_account(section: &mut Section) {
    let theatre = Theatre::with_settings(&[HASTY]).await;
    let stage = &theatre.stage;
    let mut one = theatre.linked_worker("one").await;
    let mut two = standby(&theatre, "two").await;
    let workers = section.data(stage, "workers list", &[]).await;
    let held: Vec<(bool, &Value, &Value)> = workers
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (is(&row["ownerId"], "one"), &row["held"], &row["capacity"]))
        .collect();
    let few = [
        (true, &json!(1), &json!(1000)),
        (false, &json!(0), &json!(1000)),
    ];
    assert_eq!(held, few);

    let refused = run(stage, "whatsapp-worker lease transfer default --to nobody").await;
    assert!(
        refused.ended(1).contains("two#"),
        "it names those that could"
    );
    let moved = section
        .run(stage, "lease transfer", &[("WORKER", "two")])
        .await;
    assert!(moved.well().contains("is with 'two#"));
    theatre.connected(&two, 1).await;
    let released = section.run(stage, "lease release default", &[]).await;
    assert!(released.well().contains("'one#"));
    theatre.connected(&one, 2).await;
    section
        .run(stage, "accounts disable default", &[])
        .await
        .well();
    let free = one.wait_for("whatsapp.lease.released", PATIENCE, |line| {
        line["reason"] == "disabled"
    });
    free.await.expect("it goes offline");
    let kept = run(stage, "whatsapp-worker lease release default").await;
    assert!(kept.well().contains("is free already"));
    section
        .run(stage, "accounts enable default", &[])
        .await
        .well();
    let lease = until(stage, "whatsapp-worker lease show default", |lease| {
        lease["ownerId"].is_string() && lease["session"] == "connected"
    })
    .await;
    let (holder, other) = match is(&lease["ownerId"], "one") {
        true => (&mut one, &two),
        false => (&mut two, &one),
    };
    let (from, to) = (holder.name().to_owned(), other.name().to_owned());
    let so_far = other.so_far();
    let words = [("WORKER", from.as_str())];
    let emptied = section.run(stage, "workers drain", &words).await.well();
    assert!(emptied.contains("holds no account"), "{emptied}");
    let connected = other.wait_after(so_far, "whatsapp.connection.established", PATIENCE, |_| {
        true
    });
    connected.await.expect("it goes over");
    let alone = run(stage, &format!("whatsapp-worker workers drain {to}")).await;
    assert!(alone.ended(75).contains("may take: default"));
    run(stage, &format!("whatsapp-worker workers undrain {to}"))
        .await
        .well();
    section.run(stage, "workers undrain", &words).await.well();
    assert_eq!(holder.terminate().await.expect("ours"), Some(0));
    let lease = section.data(stage, "lease show default", &[]).await;
    assert!(is(&lease["ownerId"], &to), "{lease}");
    let told = |action: &str| {
        let transitions = lease["transitions"].as_array().expect("lines");
        transitions
            .iter()
            .any(|line| line["action"] == action && line["actor"] == "operator")
    };
    assert!(told("account.enabled"), "{lease}");

    let mut back = standby(&theatre, &from).await;
    let moved = section
        .run(stage, "lease transfer", &[("WORKER", &from)])
        .await;
    assert!(moved.well().contains(&format!("is with '{from}#")));
    assert_eq!(back.terminate().await.expect("ours"), Some(0));
    // A command that links is no worker, and cannot be asked.
    let link = spawn(stage, "whatsapp-worker link --account second");
    until(stage, "whatsapp-worker lease list", |leases| {
        operated(leases) == 2
    })
    .await;
    let refused = run(stage, "whatsapp-worker lease release second").await;
    assert!(refused.ended(75).contains("--force"));
    drop(link);
}

pub async fn accounts_that_nobody_operates(section: &mut Section) {
    let few = [
        HASTY,
        ("WHATSAPP_ACCOUNT_ID", "*"),
        ("SIMULATOR_SESSIONS", "stub"),
        ("WORKER_CAPACITY", "1"),
    ];
    let mut theatre = Theatre::with_settings(&few).await;
    for account in ["first", "second"] {
        run(
            &theatre.stage,
            &format!("whatsapp-worker accounts add {account}"),
        )
        .await
        .well();
    }
    let mut worker = theatre.stage.start("one").expect("starts");
    let acquired = worker.wait_for("whatsapp.lease.acquire.success", PATIENCE, |_| true);
    acquired.await.expect("it takes one");
    section.logs(&worker, "… have no worker").await;
    let leases = section.data(&theatre.stage, "lease list", &[]).await;
    assert_eq!(operated(&leases), 1, "{leases}");
    let workers = section.data(&theatre.stage, "workers list", &[]).await;
    assert_eq!(
        (&workers[0]["held"], &workers[0]["capacity"]),
        (&json!(1), &json!(1))
    );

    // Another worker takes it, and so does one with more room.
    let mut other = theatre.stage.start("two").expect("starts");
    let acquired = other.wait_for("whatsapp.lease.acquire.success", PATIENCE, |_| true);
    acquired.await.expect("it takes the other");
    for worker in [&mut worker, &mut other] {
        assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    }
    theatre
        .stage
        .settings
        .insert("WORKER_CAPACITY".to_owned(), "2".to_owned());
    let mut worker = theatre.stage.start("one").expect("starts");
    let acquired = |account: &'static str| {
        worker.wait_for("whatsapp.lease.acquire.success", PATIENCE, move |line| {
            line["accountId"] == account
        })
    };
    for account in ["first", "second"] {
        acquired(account).await.expect("it takes both");
    }
    let leases = section.data(&theatre.stage, "lease list", &[]).await;
    assert_eq!(operated(&leases), 2, "{leases}");

    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    theatre
        .stage
        .settings
        .insert("WORKER_CAPACITY".to_owned(), "1".to_owned());
    let worker = theatre.stage.start("one").expect("starts");
    section.logs(&worker, "… have no worker").await;
}

fn operated(leases: &Value) -> usize {
    let leases = leases.as_array().expect("rows");
    leases
        .iter()
        .filter(|lease| lease["ownerId"].is_string())
        .count()
}

pub async fn taking_an_account_offline(section: &mut Section) {
    let theatre = Theatre::open().await;
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    section
        .run(stage, "accounts pause default", &[])
        .await
        .well();
    let mut ids = vec![theatre.text("it still receives")];
    theatre.jobs_of(&ids).await;
    section
        .run(stage, "accounts disable default", &[])
        .await
        .well();
    let released = worker.wait_for("whatsapp.lease.released", PATIENCE, |_| true);
    released.await.expect("it goes offline");
    ids.push(theatre.text("while it is disabled"));
    let list = section.data(stage, "accounts list", &[]).await;
    let row = ["enabled", "paused", "ownerId"].map(|name| &list[0][name]);
    assert_eq!(row, [&json!("disabled"), &json!(true), &Value::Null]);
    section
        .run(stage, "accounts resume default", &[])
        .await
        .well();
    section
        .run(stage, "accounts enable default", &[])
        .await
        .well();
    theatre.connected(&worker, 2).await;
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 1, "the link stayed");
}

pub async fn heartbeat_loss(section: &mut Section) {
    let theatre = Theatre::with_settings(&[HASTY, TOLD]).await;
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    let lock = crate::stopping::locked_store(&theatre).await;
    section
        .event(&worker, "whatsapp.lease.heartbeat.error", |_| true)
        .await;
    let lost = section
        .event(&worker, "whatsapp.lease.heartbeat.lost", |_| true)
        .await;
    assert_eq!(lost["reason"], "the store did not answer in time");
    section.logs(&worker, "Lease heartbeat lost").await;
    let mut ids = vec![theatre.text("while nobody has it")];
    sqlx::Connection::close(lock).await.expect("unlocks");
    let doctor = section.run(stage, "doctor --offline", &[]).await.well();
    assert!(
        doctor.contains("answers in") && doctor.contains("MiB free"),
        "{doctor}"
    );
    theatre.connected(&worker, 2).await;

    let so_far = worker.so_far();
    run(stage, "whatsapp-worker lease release default --force")
        .await
        .well();
    let lost = worker.wait_after(so_far, "whatsapp.lease.heartbeat.lost", PATIENCE, |_| true);
    let lost = lost.await.expect("it is told");
    assert_eq!(lost["reason"], "another worker holds it or it ran out");
    let failed = r#"wa_heartbeat_errors_total{account="default"}"#;
    section.metric(&worker, failed, |v| v >= 1.0).await;
    let lost = r#"wa_lease_transitions_total{account="default",result="lost"}"#;
    section.metric(&worker, lost, |v| v >= 2.0).await;
    theatre.connected(&worker, 3).await;
    let lease = section.data(stage, "lease show default", &[]).await;
    assert!(
        is(&lease["ownerId"], "one") && lease["beatAgeMs"].as_i64() < Some(3000),
        "{lease}"
    );
    ids.push(theatre.text("after it"));
    theatre.assert_each_queued_once(&ids).await;
    let jobs = section.data(stage, "jobs list", &[]).await;
    assert_eq!(jobs.as_array().map(Vec::len), Some(2));
}
