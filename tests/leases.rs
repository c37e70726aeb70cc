//! Two worker processes on one machine: one active, one standby.

use std::time::Duration;

use whatsapp_worker::clock::Boot;

use crate::theatre::{PATIENCE, Theatre};

const SHORT: &[(&str, &str)] = &[("WHATSAPP_LEASE_TTL_MS", "60000")];

#[tokio::test]
async fn a_standby_takes_over_from_a_worker_that_is_told_to_stop() {
    let theatre = Theatre::with_settings(SHORT).await;
    theatre.check_receipts().await;
    let mut first = theatre.linked_worker("one").await;
    let second = theatre.stage.start("two").expect("starts");
    let contended = second
        .wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true)
        .await
        .expect("contends");
    assert!(
        contended["currentOwnerId"]
            .as_str()
            .expect("an owner")
            .starts_with("one#")
    );
    let mut ids = vec![theatre.text("before")];
    theatre.jobs_of(&ids).await;

    assert_eq!(first.terminate().await.expect("ours"), Some(0));
    assert_eq!(first.count("whatsapp.lease.released"), 1);
    theatre.connected(&second, 1).await;
    ids.push(theatre.text("after"));
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(
        second.count("whatsapp.qr.available"),
        0,
        "no link was needed"
    );
    assert_eq!(second.count("whatsapp.connection.conflict"), 0);
}

#[tokio::test]
async fn a_worker_that_restarts_alone_does_not_wait_for_its_own_dead_lease() {
    let theatre = Theatre::with_settings(SHORT).await;
    let mut first = theatre.linked_worker("one").await;
    first.kill().await.expect("ours");
    let began = Boot::now();
    let again = theatre.stage.start("one").expect("starts");
    again
        .wait_for("whatsapp.lease.acquire.success", PATIENCE, |_| true)
        .await
        .expect("acquires");
    assert!(
        Boot::now().since(began) < Duration::from_secs(30),
        "it waited for the TTL of 60 s"
    );
    theatre.connected(&again, 1).await;
    assert_eq!(again.count("whatsapp.qr.available"), 0);
}

#[tokio::test]
async fn a_frozen_holder_is_replaced_after_its_ttl_and_does_nothing_when_it_wakes() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_LEASE_TTL_MS", "2000")]).await;
    theatre.check_receipts().await;
    let frozen = theatre.linked_worker("one").await;
    let second = theatre.stage.start("two").expect("starts");
    second
        .wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true)
        .await
        .expect("contends");
    freeze_between_transactions(&theatre, &frozen).await;
    let ids = vec![theatre.text("while it is frozen")];
    theatre.connected(&second, 1).await;
    signal(&frozen, rustix::process::Signal::CONT);
    frozen
        .wait_for("whatsapp.lease.heartbeat.lost", PATIENCE, |_| true)
        .await
        .expect("it finds out");
    frozen
        .wait_for("whatsapp.lease.acquire.contended", PATIENCE, |line| {
            line["currentOwnerId"]
                .as_str()
                .is_some_and(|owner| owner.starts_with("two#"))
        })
        .await
        .expect("it stands by in the same process");
    theatre.assert_each_queued_once(&ids).await;
}

#[tokio::test]
async fn a_forced_release_ousts_the_holder_for_one_ttl() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_LEASE_TTL_MS", "4000")]).await;
    theatre.check_receipts().await;
    let first = theatre.linked_worker("one").await;
    let second = theatre.stage.start("two").expect("starts");
    second
        .wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true)
        .await
        .expect("contends");
    let done = theatre
        .stage
        .command("operator", &["lease", "release", "default", "--force"])
        .output()
        .await
        .expect("runs");
    assert_eq!(done.status.code(), Some(0));
    // Traffic lets the ousted worker find out by a refused commit instead of its next heartbeat.
    let ids: Vec<String> = (0..20)
        .map(|n| theatre.text(&format!("message {n}")))
        .collect();
    theatre.connected(&second, 1).await;
    theatre.assert_each_queued_once(&ids).await;
    first
        .wait_for("whatsapp.lease.heartbeat.lost", PATIENCE, |_| true)
        .await
        .expect("it finds out");
    first
        .wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true)
        .await
        .expect("it stands by after its TTL");
    assert_eq!(
        second.count("whatsapp.connection.closed"),
        0,
        "the new holder stays connected"
    );
    assert_eq!(second.count("whatsapp.connection.conflict"), 0);
}

/// A process that is frozen inside a transaction keeps SQLite's lock: a limit that is documented, and
/// not what is tested here.
async fn freeze_between_transactions(
    theatre: &Theatre,
    worker: &whatsapp_worker::rehearsal::Worker,
) {
    let files = [
        theatre.stage.dir.join("store.db"),
        theatre.stage.auth_dir().join("default").join("auth.db"),
    ];
    loop {
        signal(worker, rustix::process::Signal::STOP);
        let mut free = true;
        for file in &files {
            free &= can_be_written(file).await;
        }
        if free {
            return;
        }
        signal(worker, rustix::process::Signal::CONT);
        // justified: the process must get to the end of its transaction, which nobody tells.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn can_be_written(file: &std::path::Path) -> bool {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(Duration::from_millis(50));
    let pool = sqlx::SqlitePool::connect_with(options)
        .await
        .expect("opens");
    let free = pool.begin_with("BEGIN IMMEDIATE").await.is_ok();
    pool.close().await;
    free
}

fn signal(worker: &whatsapp_worker::rehearsal::Worker, signal: rustix::process::Signal) {
    let pid = worker
        .pid()
        .and_then(|pid| i32::try_from(pid).ok())
        .expect("it runs");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("ours");
}
