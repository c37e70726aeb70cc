//! An operator clears an account, whatever its session is doing.

use whatsapp_worker::store::AuthOrder;

use super::{elsewhere, event, lease, on_each_medium, order, refused, scan, status, stop};
use crate::theatre::{PATIENCE, Theatre};

on_each_medium!(
    a_running_worker_is_cleared_and_links_again_in_the_same_process_and_term,
    a_state_that_is_gone_or_damaged_is_cleared_by_an_order,
);

async fn a_running_worker_is_cleared_and_links_again_in_the_same_process_and_term(
    theatre: Theatre,
) {
    theatre.check_receipts().await;
    let worker = theatre.linked_worker("one").await;
    let (pid, epoch) = (worker.pid(), lease(&theatre).await.epoch);
    let before = theatre.text("before");
    let conversation = theatre.jobs_of(std::slice::from_ref(&before)).await[0]
        .conversation_id
        .clone();
    let linked = theatre.shop.companions();
    order(&theatre, AuthOrder::Clear).await;
    let reset = event(&worker, "whatsapp.auth.reset").await;
    assert_eq!(reset["reason"], "cleared by olga");
    assert_eq!(
        theatre.shop.companions(),
        [0_u16; 0],
        "it logged itself out"
    );
    let waiting = status(&theatre, |status| status.state == "linking").await;
    assert_eq!(waiting.reason, None);
    scan(&theatre, &theatre.shop).await;
    theatre.connected(&worker, 2).await;
    assert_ne!(theatre.shop.companions(), linked);
    let after = theatre.text("after");
    theatre.assert_each_queued_once(&[before, after]).await;
    for job in theatre.jobs_of(&[]).await {
        assert_eq!(job.conversation_id, conversation, "the same conversation");
    }
    assert_eq!(worker.pid(), pid);
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
    assert_eq!(lease(&theatre).await.epoch, epoch);
    let store = theatre.store().await;
    assert_eq!(
        store.auth_order(&theatre.account).await.expect("answers"),
        None
    );
    let shown = theatre
        .stage
        .command(
            "operator",
            &["auth", "status", "default", "--output", "json"],
        )
        .output()
        .await
        .expect("runs");
    let text = String::from_utf8_lossy(&shown.stdout);
    let shown: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(shown["retired"], 1, "the old credentials are kept: {text}");
}

async fn a_state_that_is_gone_or_damaged_is_cleared_by_an_order(theatre: Theatre) {
    let worker = theatre.linked_worker("one").await;
    stop(worker).await;
    let file = theatre.stage.auth_dir().join("default").join("auth.db");
    if file.exists() {
        let mut bytes = std::fs::read(&file).expect("reads");
        bytes[4096..].fill(0x5a);
        std::fs::write(&file, bytes).expect("writes");
    } else {
        let wound = "UPDATE auth_records SET value = account_id WHERE length(key) = 11";
        let wound = match theatre.remote {
            Some(_) => wound.replace("account_id WHERE", "convert_to(account_id, 'UTF8') WHERE"),
            None => wound.to_owned(),
        };
        let changed = super::older_copies::sql(&theatre, &wound).await;
        assert_eq!(changed, 1, "the list of generations is called so");
    }
    let worker = theatre.stage.start("one").expect("starts");
    refused(&worker).await;
    status(&theatre, |status| status.state == "failed").await;
    order(&theatre, AuthOrder::Clear).await;
    event(&worker, "whatsapp.auth.reset").await;
    scan(&theatre, &theatre.shop).await;
    theatre.connected(&worker, 1).await;
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
    let id = theatre.text("again");
    theatre.assert_each_queued_once(&[id]).await;
    stop(worker).await;
    // Gone altogether.
    std::fs::remove_dir_all(theatre.stage.auth_dir().join("default")).expect("there is a mark");
    if theatre.remote.is_some() || !file.exists() {
        let emptied = "DELETE FROM auth_records WHERE account_id = 'default'";
        super::older_copies::sql(&theatre, emptied).await;
        let emptied = "DELETE FROM auth_heads WHERE account_id = 'default'";
        super::older_copies::sql(&theatre, emptied).await;
    }
    let worker = theatre.stage.start("one").expect("starts");
    let why = refused(&worker).await;
    assert!(why.contains("is linked, but"), "{why}");
    order(&theatre, AuthOrder::Clear).await;
    event(&worker, "whatsapp.auth.reset").await;
    scan(&theatre, &theatre.shop).await;
    theatre.connected(&worker, 1).await;
}

/// Nobody looks at its codes, and it is still heard.
#[tokio::test]
async fn an_order_waits_for_a_holder_and_is_done_by_the_next_one() {
    let theatre = Theatre::with_settings(&[super::REMOTE]).await;
    let worker = theatre.linked_worker("one").await;
    stop(worker).await;
    order(&theatre, AuthOrder::Clear).await;
    let worker = elsewhere(&theatre, "two").start("two").expect("starts");
    event(&worker, "whatsapp.auth.reset").await;
    worker
        .wait_for("whatsapp.qr.available", PATIENCE, |_| true)
        .await
        .expect("a code");
    assert_eq!(worker.count("whatsapp.connection.established"), 0);
    scan(&theatre, &theatre.shop).await;
    theatre.connected(&worker, 1).await;
    assert_eq!(worker.count("whatsapp.auth.reset"), 1, "once");
}
