//! When all goes well.

use std::time::Duration;

use super::*;
use crate::theatre::{Engine, on_each_engine};

on_each_engine!(messages_reach_their_chat_once_and_in_order_and_are_followed_to_the_reader);

async fn messages_reach_their_chat_once_and_in_order_and_are_followed_to_the_reader(
    engine: Engine,
) {
    let theatre = Theatre::open_on(engine, &[]).await;
    let counter = Counter::of(&theatre).await;
    let bob = theatre.sim.add_person("Bob");
    let worker = theatre.linked_worker("one").await;
    theatre
        .says(&worker, "Starting outbound delivery loop...")
        .await;
    let mut rows = Vec::new();
    for n in 0..10 {
        rows.push(counter.post(&theatre.alice, &format!("alice {n}")).await);
        rows.push(counter.post(&bob, &format!("bob {n}")).await);
    }
    for row in &rows {
        let detail = counter.delivered(&row.outbox_id, Evidence::Device).await;
        assert_eq!(detail.row.status, Status::Sent);
        assert_eq!(detail.attempts.len(), 1);
        assert_eq!(detail.attempts[0].error_code, None);
    }
    for (person, name) in [(&theatre.alice, "alice"), (&bob, "bob")] {
        let wanted: Vec<_> = (0..10).map(|n| format!("{name} {n}")).collect();
        assert_eq!(seen(person), wanted);
    }
    assert_eq!(worker.count("whatsapp.outbound.sent"), rows.len());
    theatre.alice.read(&rows[0].channel_message_id);
    counter.delivered(&rows[0].outbox_id, Evidence::Read).await;
    let unread = counter.look(&rows[2].outbox_id).await.row;
    assert_eq!(unread.delivery, Some(Evidence::Device));
    assert_eq!(theatre.sim.lint(), []);
}

#[tokio::test]
async fn an_answer_to_a_message_of_ours_is_of_the_same_conversation() {
    let theatre = Theatre::open().await;
    let counter = Counter::of(&theatre).await;
    let _worker = theatre.linked_worker("one").await;
    let row = counter.post(&theatre.alice, "hello stranger").await;
    counter.status(&row.outbox_id, Status::Sent).await;
    let answer = theatre.text("who is it?");
    let jobs = theatre.jobs_of(&[answer]).await;
    assert_eq!(jobs[0].conversation_id, row.conversation_id);
    let talk = counter
        .store
        .conversation_messages(&row.conversation_id, None, 10)
        .await
        .expect("the store answers");
    let ids: Vec<_> = talk.iter().map(|turn| &turn.channel_message_id).collect();
    assert_eq!(ids, [&jobs[0].channel_message_id, &row.channel_message_id]);
}

#[tokio::test]
async fn nothing_leaves_while_the_account_or_everything_is_paused() {
    let theatre = Theatre::open().await;
    let counter = Counter::of(&theatre).await;
    let worker = theatre.linked_worker("one").await;
    let store = &counter.store;
    let pause_one = async |paused| {
        let done = store.set_paused(&theatre.account, paused, "test").await;
        assert!(done.expect("answers"));
    };
    pause_one(true).await;
    theatre.says(&worker, "Paused: nothing is sent").await;
    let first = counter.post(&theatre.alice, "first").await;
    let heard = theatre.text("is anybody there?");
    theatre.jobs_of(&[heard]).await;
    assert_eq!(
        counter.look(&first.outbox_id).await.row.status,
        Status::Pending
    );
    pause_one(false).await;
    counter.status(&first.outbox_id, Status::Sent).await;
    assert!(store.pause_everything(true, "test").await.expect("answers"));
    let second = counter.post(&theatre.alice, "second").await;
    let heard = theatre.text("and now?");
    theatre.jobs_of(&[heard]).await;
    let waits = counter.look(&second.outbox_id).await.row;
    assert_eq!((waits.status, waits.attempt_count), (Status::Pending, 0));
    assert!(
        store
            .pause_everything(false, "test")
            .await
            .expect("answers")
    );
    counter.delivered(&second.outbox_id, Evidence::Device).await;
    assert_eq!(seen(&theatre.alice), ["first", "second"]);
}

#[tokio::test]
async fn a_chat_and_an_account_are_written_to_no_faster_than_they_should() {
    for setting in ["OUTBOX_CHAT_RATE_PER_MINUTE", "OUTBOX_RATE_PER_MINUTE"] {
        let theatre = Theatre::with_settings(&[(setting, "120")]).await;
        let counter = Counter::of(&theatre).await;
        let _worker = theatre.linked_worker("one").await;
        let mut times = Vec::new();
        let mut rows = Vec::new();
        for n in 0..4 {
            rows.push(counter.post(&theatre.alice, &n.to_string()).await);
        }
        for row in &rows {
            let row = counter.status(&row.outbox_id, Status::Sent).await.row;
            times.push(row.last_attempt_at.expect("tried"));
        }
        let least = i64::try_from(Duration::from_millis(500).as_millis()).expect("small");
        for pair in times.windows(2) {
            // The account's pace is kept by another clock, in whole milliseconds.
            assert!(pair[1] - pair[0] >= least - 25, "{setting}: {times:?}");
        }
    }
}
