//! How a session begins, ends and begins again, through a real worker process.

use std::time::Duration;

use simulator::{Faults, StreamError};
use sqlx::Connection;
use tokio::io::{AsyncBufReadExt, BufReader};
use whatsapp_worker::store::{ClaimRequest, Completion};

use crate::theatre::{PATIENCE, Theatre};

#[tokio::test]
async fn a_restart_connects_without_a_code_and_gets_the_backlog() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let mut worker = theatre.linked_worker("one").await;
    let mut ids = vec![theatre.text("before")];
    theatre.jobs_of(&ids).await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    for n in 0..50 {
        ids.push(theatre.text(&format!("while it is away {n}")));
    }
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
    let jobs = theatre.jobs_of(&ids).await;
    let order: Vec<_> = jobs
        .iter()
        .map(|job| job.channel_message_id.clone())
        .collect();
    assert_eq!(order, ids, "the backlog is queued in its order");
}

#[tokio::test]
async fn a_logout_keeps_the_lease_and_shows_a_new_code() {
    let theatre = Theatre::open().await;
    let worker = theatre.linked_worker("one").await;
    let device = theatre.shop.companions()[0];
    assert!(theatre.shop.unlink(device));
    let reset = worker
        .wait_for("whatsapp.auth.reset", PATIENCE, |_| true)
        .await
        .expect("it notices");
    assert_eq!(reset["accountId"], "default");
    let mut codes = theatre
        .store()
        .await
        .link_code(&theatre.account)
        .await
        .expect("answers");
    while codes.is_none() {
        // justified: another process writes the store, and SQLite does not notify.
        tokio::time::sleep(Duration::from_millis(50)).await;
        codes = theatre
            .store()
            .await
            .link_code(&theatre.account)
            .await
            .expect("answers");
    }
    theatre
        .shop
        .scan_qr(&codes.expect("a code").code)
        .await
        .expect("links again");
    theatre.connected(&worker, 2).await;
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
    theatre
        .assert_each_queued_once(&[theatre.text("after")])
        .await;
}

#[tokio::test]
async fn a_conflict_is_answered_with_a_pause_and_stream_errors_with_a_new_connection() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let worker = theatre.linked_worker("one").await;
    assert_eq!(
        theatre
            .sim
            .stream_error(&theatre.shop, StreamError::Restart),
        1
    );
    theatre.connected(&worker, 2).await;
    assert_eq!(
        theatre
            .sim
            .stream_error(&theatre.shop, StreamError::Unavailable),
        1
    );
    theatre.connected(&worker, 3).await;
    assert_eq!(
        theatre
            .sim
            .stream_error(&theatre.shop, StreamError::Replaced),
        1
    );
    worker
        .wait_for("whatsapp.connection.conflict", PATIENCE, |_| true)
        .await
        .expect("it notices");
    theatre.connected(&worker, 4).await;
    theatre
        .assert_each_queued_once(&[theatre.text("still there")])
        .await;
}

#[tokio::test]
async fn faults_on_the_wire_lose_and_double_nothing() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let worker = theatre.linked_worker("one").await;
    theatre.sim.set_faults(Faults {
        drop: 0.05,
        duplicate: 0.1,
        corrupt: 0.05,
        garbage: 0.05,
        delay_ms: 20,
        ..Faults::default()
    });
    let mut ids: Vec<String> = (0..100)
        .map(|n| theatre.text(&format!("message {n}")))
        .collect();
    // What was dropped comes with the next login.
    theatre.sim.set_faults(Faults::default());
    theatre.sim.disconnect(&theatre.shop);
    theatre.connected(&worker, 2).await;
    ids.push(theatre.text("last"));
    theatre.assert_each_queued_once(&ids).await;
}

#[tokio::test]
async fn what_cannot_be_read_at_first_keeps_its_place_in_its_conversation() {
    let theatre = Theatre::open().await;
    let worker = theatre.linked_worker("one").await;
    let store = theatre.store().await;
    let written: Vec<String> = (0..120).map(|n| format!("message {n}")).collect();
    let (live, backlog) = written.split_at(60);
    let damage = Faults {
        corrupt: 0.1,
        ..Faults::default()
    };
    let request = ClaimRequest {
        accounts: None,
        processor_id: "agent".to_owned(),
        limit: 1,
        lock: Duration::from_secs(30),
    };
    let worked = async {
        let mut said = Vec::new();
        while said.len() < written.len() {
            let Some(claim) = store.claim_jobs(&request).await.expect("answers").pop() else {
                // justified: another process writes the store, and SQLite does not notify.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let text = claim.job.content["body"].as_str();
            said.push(text.expect("a text").to_owned());
            let done = Completion {
                result: None,
                replies: Vec::new(),
            };
            let id = &claim.job.job.job_id;
            let done = store.complete_job(id, &claim.claim_token, &done).await;
            done.expect("answers");
        }
        said
    };
    let written_and_read = async {
        theatre.sim.set_faults(damage.clone());
        for text in live {
            theatre.text(text);
        }
        theatre.sim.disconnect(&theatre.shop);
        for text in backlog {
            theatre.text(text);
        }
        theatre.connected(&worker, 2).await;
    };
    let both = async { tokio::join!(worked, written_and_read).0 };
    let said = tokio::time::timeout(PATIENCE, both).await;
    assert_eq!(said.expect("all of it in time"), written);
    store.close().await;
    let mut past = sqlx::AnyConnection::connect(theatre.store_url()).await;
    let damaged = "SELECT COUNT(*) FROM missing WHERE ord IS NOT NULL AND outcome = 'recovered'";
    let damaged = sqlx::query_scalar(damaged).fetch_one(past.as_mut().expect("connects"));
    let damaged: i64 = damaged.await.expect("answers");
    assert!(damaged > 0, "nothing was damaged");
}

#[tokio::test]
async fn an_account_is_linked_by_an_eight_character_code() {
    let theatre = Theatre::open().await;
    let number = format!("+{}", theatre.shop.phone_number());
    let mut link = theatre
        .stage
        .command("linker", &["link", "--phone", &number])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    let mut shown = BufReader::new(link.stdout.take().expect("piped")).lines();
    let code = loop {
        let line = shown
            .next_line()
            .await
            .expect("text")
            .expect("a code is shown");
        if line.trim().len() == 9 && line.trim().chars().nth(4) == Some('-') {
            break line.trim().replace('-', "");
        }
    };
    theatre
        .shop
        .enter_code(&code)
        .await
        .expect("the phone links it");
    let status = tokio::time::timeout(PATIENCE, link.wait())
        .await
        .expect("in time");
    assert_eq!(status.expect("ours").code(), Some(0));
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    theatre
        .assert_each_queued_once(&[theatre.text("linked by code")])
        .await;
}

#[tokio::test]
async fn a_store_that_was_deleted_under_a_worker_acknowledges_nothing() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_LEASE_TTL_MS", "2000")]).await;
    let worker = theatre.linked_worker("one").await;
    for end in ["", "-wal", "-shm"] {
        let file = theatre.stage.dir.join(format!("store.db{end}"));
        std::fs::remove_file(file).expect("the store has these files");
    }
    let id = theatre.text("into the void");
    worker
        .wait_for("whatsapp.lease.heartbeat.lost", PATIENCE, |_| true)
        .await
        .expect("it does not go on");
    assert_eq!(worker.count("whatsapp.inbound.queued"), 0);
    let ours: Vec<_> = theatre
        .sim
        .receipts(&id)
        .into_iter()
        .filter(|receipt| theatre.shop.companions().contains(&receipt.device))
        .collect();
    assert!(ours.is_empty(), "acknowledged and lost: {ours:?}");
}
