//! Linked again: what arrived in between comes by the phone's history.

use serde_json::Value;
use simulator::people::Content;
use whatsapp_worker::rehearsal::Worker;

use crate::theatre::{PATIENCE, Theatre};

/// Waits until the worker has told `event` of each message.
async fn told_of_each(worker: &Worker, event: &str, ids: &[String]) -> Vec<Value> {
    let mut told = Vec::new();
    for id in ids {
        let of_it = |line: &Value| line["channelMessageId"] == id.as_str();
        let seen = worker.wait_for(event, PATIENCE, of_it).await;
        told.push(seen.expect("told"));
    }
    told
}

/// A live copy of a message that came by history is a duplicate.
async fn live_copy_is_skipped(theatre: &Theatre, worker: &Worker, id: &str) {
    let so_far = worker.so_far();
    theatre.alice.resend(id).expect("the phone remembers it");
    let of_it = |line: &Value| line["channelMessageId"] == id;
    worker
        .wait_after(so_far, "whatsapp.inbound.dedupe_skipped", PATIENCE, of_it)
        .await
        .expect("the live copy is known");
}

/// A linked account with one message, logged out by its phone while three messages arrive, and linked
/// again. Returns the four ids.
async fn linked_again(theatre: &Theatre) -> (Worker, Vec<String>) {
    let worker = theatre.linked_worker("one").await;
    let mut ids = vec![theatre.text("before")];
    theatre.jobs_of(&ids).await;
    assert!(theatre.shop.unlink(theatre.shop.companions()[0]));
    worker
        .wait_for("whatsapp.auth.reset", PATIENCE, |_| true)
        .await
        .expect("it notices");
    for text in ["one", "two", "three"] {
        ids.push(theatre.text(text));
    }
    let last = ids[3].clone();
    let arrived = theatre.shop.wait_for(PATIENCE, |got| got.id == last).await;
    arrived.expect("the phone has them");
    theatre.scan().await;
    theatre.connected(&worker, 2).await;
    (worker, ids)
}

#[tokio::test]
async fn what_arrived_between_two_links_is_queued_once_in_order() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let (worker, mut ids) = linked_again(&theatre).await;
    let jobs = theatre.jobs_of(&ids).await;
    let order: Vec<_> = jobs.iter().map(|job| &job.channel_message_id).collect();
    assert_eq!(order, ids.iter().collect::<Vec<_>>());
    let conversations: std::collections::HashSet<_> = jobs
        .iter()
        .map(|job| job.conversation_id.as_str())
        .collect();
    assert_eq!(conversations.len(), 1, "the conversation goes on");
    for id in &ids[1..] {
        live_copy_is_skipped(&theatre, &worker, id).await;
    }
    ids.push(theatre.text("after"));
    theatre.assert_each_queued_once(&ids).await;
}

#[tokio::test]
async fn what_arrived_between_two_links_is_recorded_when_it_is_to_be() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_RELINK_BACKFILL", "record")]).await;
    theatre.check_receipts().await;
    let (worker, ids) = linked_again(&theatre).await;
    told_of_each(&worker, "whatsapp.inbound.recorded", &ids[1..]).await;
    live_copy_is_skipped(&theatre, &worker, &ids[1]).await;
    let queued = [ids[0].clone(), theatre.text("after")];
    theatre.assert_each_queued_once(&queued).await;
}

#[tokio::test]
async fn what_arrived_between_two_links_is_ignored_when_it_is_to_be() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_RELINK_BACKFILL", "off")]).await;
    theatre.check_receipts().await;
    let (worker, ids) = linked_again(&theatre).await;
    let ignored = "whatsapp.inbound.ignored_not_allowed";
    for line in told_of_each(&worker, ignored, &ids[1..]).await {
        assert_eq!(line["reason"], "backfill_off");
    }
    live_copy_is_skipped(&theatre, &worker, &ids[1]).await;
    let queued = [ids[0].clone(), theatre.text("after")];
    theatre.assert_each_queued_once(&queued).await;
}

#[tokio::test]
async fn the_history_of_a_first_link_is_recorded() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let shop = &theatre.shop;
    let own = shop
        .send(
            &theatre.alice.jid(),
            &Content::Text("we are open".to_owned()),
        )
        .expect("accepted");
    let old = vec![theatre.text("long ago"), own];
    let arrived = shop.wait_for(PATIENCE, |got| got.id == old[0]).await;
    arrived.expect("the phone has it");
    let worker = theatre.linked_worker("one").await;
    told_of_each(&worker, "whatsapp.inbound.recorded", &old).await;
    live_copy_is_skipped(&theatre, &worker, &old[0]).await;
    let new = [theatre.text("now")];
    theatre.assert_each_queued_once(&new).await;
}
