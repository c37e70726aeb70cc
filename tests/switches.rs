//! What operators switch while a worker runs: pause and resume, disable and enable.

use simulator::StreamError;
use whatsapp_worker::rehearsal::Worker;

use crate::theatre::{PATIENCE, Theatre};

/// Writes until the worker has answered `times` more messages; what was written.
async fn answered(theatre: &Theatre, worker: &Worker, times: usize) -> Vec<String> {
    let before = worker.count("whatsapp.outbound.sent");
    let mut ids = Vec::new();
    let mut lines = worker.lines();
    let writing = async {
        while worker.count("whatsapp.outbound.sent") < before + times {
            ids.push(theatre.text("please answer"));
            theatre.jobs_of(&ids).await;
            // An answer follows the commit, unless the backlog is not through yet.
            let next = tokio::time::timeout(std::time::Duration::from_millis(200), lines.changed());
            let _ = next.await;
        }
    };
    tokio::time::timeout(PATIENCE, writing)
        .await
        .expect("answered in time");
    ids
}

#[tokio::test]
async fn a_paused_account_takes_messages_in_and_answers_none() {
    let theatre = Theatre::with_settings(&[("SIMULATOR_REPLY", "text")]).await;
    theatre.check_receipts().await;
    let worker = theatre.linked_worker("one").await;
    let mut ids = answered(&theatre, &worker, 1).await;
    let store = theatre.store().await;
    assert!(
        store
            .set_paused(&theatre.account, true, "operator")
            .await
            .expect("the store answers")
    );
    theatre.says(&worker, "Paused: nothing is sent").await;
    let while_paused: Vec<String> = (0..20)
        .map(|n| theatre.text(&format!("while it is paused {n}")))
        .collect();
    ids.extend(while_paused);
    theatre.jobs_of(&ids).await;
    store
        .set_paused(&theatre.account, false, "operator")
        .await
        .expect("the store answers");
    theatre.says(&worker, "Resumed: sending again").await;
    let after = answered(&theatre, &worker, 1).await;
    assert!(
        worker.count("whatsapp.outbound.sent") < ids.len() + after.len() - 15,
        "what came while it was paused was not answered"
    );
    ids.extend(after);
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.count("whatsapp.connection.established"), 1);
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
}

#[tokio::test]
async fn a_disabled_account_is_drained_and_released_and_comes_back_when_it_is_enabled() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let mut worker = theatre.linked_worker("one").await;
    let mut ids = vec![theatre.text("before")];
    theatre.jobs_of(&ids).await;
    let store = theatre.store().await;
    store
        .set_enabled(&theatre.account, false, "operator")
        .await
        .expect("the store answers");
    let released = worker
        .wait_for("whatsapp.lease.released", PATIENCE, |_| true)
        .await
        .expect("it gives the account up");
    assert_eq!(released["reason"], "disabled");
    theatre.says(&worker, "disabled in the store").await;
    ids.push(theatre.text("while it is disabled"));
    store
        .set_enabled(&theatre.account, true, "operator")
        .await
        .expect("the store answers");
    theatre.connected(&worker, 2).await;
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
}

#[tokio::test]
async fn resuming_ends_the_rest_of_a_session_in_conflict() {
    let theatre = Theatre::open().await;
    let worker = theatre.linked_worker("one").await;
    for times in 1..=3 {
        theatre.connected(&worker, times).await;
        theatre
            .sim
            .stream_error(&theatre.shop, StreamError::Replaced);
        worker
            .wait_for("whatsapp.connection.conflict", PATIENCE, |line| {
                line["inARow"] == times
            })
            .await
            .expect("a conflict");
    }
    let store = theatre.store().await;
    let in_conflict = async {
        loop {
            let status = store.session_status(&theatre.account).await;
            if status
                .expect("the store answers")
                .is_some_and(|status| status.state == "conflict")
            {
                break;
            }
            // justified: another process writes the store, and SQLite does not notify.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, in_conflict)
        .await
        .expect("it rests");
    store
        .set_paused(&theatre.account, false, "operator")
        .await
        .expect("the store answers");
    theatre.connected(&worker, 4).await;
    assert_eq!(worker.count("whatsapp.lease.released"), 0);
}
