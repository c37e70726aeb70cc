//! SIGTERM: what is in flight is settled, nothing new is begun, and the process ends within its grace
//! whatever hangs.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use sqlx::{Connection, SqliteConnection};
use whatsapp_worker::clock::Boot;
use whatsapp_worker::rehearsal::Worker;

use crate::theatre::{PATIENCE, Theatre, full};

/// What a process may take beyond its grace on a busy machine.
const OVERHEAD: Duration = Duration::from_secs(2);

fn rounds() -> usize {
    if full() { 20 } else { 3 }
}

/// The message ids of all lines of `event` of a worker that has ended.
async fn messages(worker: &Worker, event: &str) -> BTreeSet<String> {
    let mut lines = worker.lines();
    // The last lines are read after the process is gone.
    while lines.changed().await.is_ok() {}
    let lines = lines.borrow();
    lines
        .iter()
        .filter(|line| line["event"] == event)
        .map(|line| line["channelMessageId"].as_str().expect("an id").to_owned())
        .collect()
}

/// Keeps every other process from writing the store, until it is dropped.
pub async fn locked_store(theatre: &Theatre) -> SqliteConnection {
    let path = theatre.stage.dir.join("store.db");
    let url = format!("sqlite:{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.expect("opens");
    sqlx::query("PRAGMA busy_timeout = 10000")
        .execute(&mut connection)
        .await
        .expect("set");
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut connection)
        .await
        .expect("locks");
    connection
}

#[tokio::test]
async fn a_worker_that_is_stopped_while_it_answers_loses_and_doubles_nothing() {
    let theatre = Theatre::with_settings(&[("SIMULATOR_REPLY", "text")]).await;
    theatre.check_receipts().await;
    let mut worker = theatre.linked_worker("one").await;
    let mut ids = Vec::new();
    let mut answered = BTreeSet::new();
    for round in 0..rounds() {
        theatre.connected(&worker, 1).await;
        let patience = Boot::now().plus(PATIENCE);
        // Answers begin when the backlog is through.
        while worker.count("whatsapp.outbound.sent") == 0 {
            assert!(Boot::now() < patience, "it answers");
            ids.push(theatre.text(&format!("message {} of round {round}", ids.len())));
            // justified: the pace of the load, not a wait for anything.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for n in 0..60 {
            ids.push(theatre.text(&format!("last message {n} of round {round}")));
            // justified: the pace of the load, not a wait for anything.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let began = Boot::now();
        assert_eq!(worker.terminate().await.expect("ours"), Some(0));
        let took = Boot::now().since(began);
        assert!(took < Duration::from_secs(10), "{took:?} to stop");
        assert_eq!(worker.count("whatsapp.lease.released"), 1);
        assert_eq!(
            messages(&worker, "whatsapp.outbound.failed").await,
            BTreeSet::new(),
            "the server's answers were waited for"
        );
        answered.append(&mut messages(&worker, "whatsapp.outbound.sent").await);
        println!(
            "round {round}: stopped in {took:?}, {} answers",
            answered.len()
        );
        worker = theatre.stage.start("one").expect("starts");
    }
    theatre.connected(&worker, 1).await;
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    answered.append(&mut messages(&worker, "whatsapp.outbound.sent").await);
    let accepted: BTreeSet<String> = theatre
        .sim
        .accepted_for(&theatre.alice)
        .into_iter()
        .collect();
    assert_eq!(accepted, answered, "each answer that left is known as sent");
}

#[tokio::test]
async fn a_worker_whose_store_hangs_ends_within_its_grace_and_acknowledges_nothing() {
    let theatre = Theatre::with_settings(&[("SHUTDOWN_GRACE_MS", "3000")]).await;
    theatre.check_receipts().await;
    let mut worker = theatre.linked_worker("one").await;
    let lock = locked_store(&theatre).await;
    let ids = vec![theatre.text("cannot be stored")];
    worker.signal(Signal::TERM).expect("ours");
    let began = Boot::now();
    let code = tokio::time::timeout(PATIENCE, worker.ended()).await;
    let took = Boot::now().since(began);
    assert_eq!(code.expect("it ends").expect("ours"), Some(0));
    assert!(took < Duration::from_secs(3) + OVERHEAD, "{took:?} to stop");
    lock.close().await.expect("unlocks");
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    theatre.assert_each_queued_once(&ids).await;
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let theatre = Theatre::with_settings(&[("SHUTDOWN_GRACE_MS", "60000")]).await;
    let mut worker = theatre.linked_worker("one").await;
    let lock = locked_store(&theatre).await;
    theatre.text("cannot be stored, so the stop takes long");
    worker.signal(Signal::TERM).expect("ours");
    theatre.says(&worker, "Shutting down").await;
    let began = Boot::now();
    worker.signal(Signal::INT).expect("ours");
    let code = tokio::time::timeout(PATIENCE, worker.ended()).await;
    let took = Boot::now().since(began);
    assert_eq!(code.expect("it ends").expect("ours"), Some(130));
    assert!(took < OVERHEAD, "{took:?} after the second signal");
    lock.close().await.expect("unlocks");
}
