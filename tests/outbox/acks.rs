//! Acknowledgements that are lost, doubled, late or refusals.

use simulator::Faults;

use super::*;

/// Nobody says anything about what was sent.
fn silence(theatre: &Theatre) {
    theatre.alice.doze(true);
    theatre.sim.set_faults(Faults {
        lose_acks: 1.0,
        ..Faults::default()
    });
}

fn hear_again(theatre: &Theatre) {
    theatre.sim.set_faults(Faults::default());
    theatre.alice.doze(false);
}

#[tokio::test]
async fn a_receipt_is_as_good_as_an_acknowledgement() {
    let theatre = Theatre::with_settings(&HASTY).await;
    let counter = Counter::of(&theatre).await;
    let _worker = theatre.linked_worker("one").await;
    theatre.sim.set_faults(Faults {
        lose_acks: 1.0,
        ..Faults::default()
    });
    for n in 0..3 {
        let row = counter.post(&theatre.alice, &format!("text {n}")).await;
        let detail = counter.delivered(&row.outbox_id, Evidence::Device).await;
        assert_eq!(
            (detail.row.status, detail.row.attempt_count),
            (Status::Sent, 1)
        );
    }
    assert_eq!(seen(&theatre.alice), ["text 0", "text 1", "text 2"]);
}

#[tokio::test]
async fn what_nobody_answers_is_tried_four_times_under_one_id_and_then_uncertain_until_somebody_does()
 {
    let theatre = Theatre::with_settings(&HASTY).await;
    let counter = Counter::of(&theatre).await;
    let worker = theatre.linked_worker("one").await;
    silence(&theatre);
    let first = counter.post(&theatre.alice, "are you there?").await;
    let second = counter.post(&theatre.alice, "hello?").await;
    let detail = counter.status(&first.outbox_id, Status::Uncertain).await;
    let codes: Vec<_> = detail
        .attempts
        .iter()
        .map(|attempt| attempt.error_code.as_deref())
        .collect();
    assert_eq!(codes, [Some("ack_timeout"); 4]);
    let began: Vec<_> = detail.attempts.iter().map(|a| a.started_at).collect();
    assert!(
        began[1] - began[0] >= 3000 && began[2] - began[1] >= 5000,
        "{began:?}"
    );
    let told = worker.lines();
    let willing: Vec<_> = told
        .borrow()
        .iter()
        .filter(|line| line["event"] == "whatsapp.outbound.failed")
        .filter(|line| line["channelMessageId"] == first.channel_message_id.as_str())
        .map(|line| line["willRetry"].as_bool().expect("told"))
        .collect();
    assert_eq!(willing, [true, true, true, false]);
    counter
        .until(&second.outbox_id, "tried", |row| row.attempt_count > 0)
        .await;
    hear_again(&theatre);
    for row in [&first, &second] {
        counter.delivered(&row.outbox_id, Evidence::Device).await;
        let row = counter.look(&row.outbox_id).await.row;
        assert_eq!((row.status, row.error_code), (Status::Sent, None));
    }
    assert_eq!(seen(&theatre.alice), ["are you there?", "hello?"]);
}

#[tokio::test]
async fn late_and_doubled_acknowledgements_send_nothing_twice() {
    let theatre = Theatre::open().await;
    let counter = Counter::of(&theatre).await;
    let bob = theatre.sim.add_person("Bob");
    let _worker = theatre.linked_worker("one").await;
    theatre.sim.set_faults(Faults {
        duplicate_acks: 1.0,
        delay_acks_ms: 100,
        ..Faults::default()
    });
    let mut rows = Vec::new();
    for n in 0..10 {
        for person in [&theatre.alice, &bob] {
            rows.push(counter.post(person, &n.to_string()).await);
        }
    }
    for row in &rows {
        let detail = counter.delivered(&row.outbox_id, Evidence::Device).await;
        assert_eq!(detail.row.attempt_count, 1);
    }
    let wanted: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    for person in [&theatre.alice, &bob] {
        assert_eq!(seen(person), wanted);
        let came = person
            .received()
            .iter()
            .filter(|d| !d.from_me && !d.peer)
            .count();
        assert_eq!(came, 10, "each came once");
    }
}

#[tokio::test]
async fn refusals_are_final_retried_or_pause_the_account_by_their_code() {
    let theatre = Theatre::with_settings(&HASTY).await;
    let counter = Counter::of(&theatre).await;
    let worker = theatre.linked_worker("one").await;
    let refuse = |code: Option<u16>| {
        theatre.sim.set_faults(Faults {
            refuse_messages: code,
            ..Faults::default()
        });
    };
    refuse(Some(404));
    let nobody = counter.post(&theatre.alice, "to nobody").await;
    let failed = counter.status(&nobody.outbox_id, Status::Failed).await;
    assert_eq!(failed.row.error_code.as_deref(), Some("404"));
    assert_eq!(failed.row.attempt_count, 1);
    refuse(Some(503));
    let busy = counter.post(&theatre.alice, "when you can").await;
    counter
        .until(&busy.outbox_id, "tried", |row| row.error_code.is_some())
        .await;
    refuse(None);
    let sent = counter.status(&busy.outbox_id, Status::Sent).await;
    let codes: Vec<_> = sent
        .attempts
        .iter()
        .map(|a| a.error_code.as_deref())
        .collect();
    assert_eq!(codes, [Some("503"), None]);
    refuse(Some(463));
    let cold = counter.post(&theatre.alice, "buy this").await;
    counter.status(&cold.outbox_id, Status::Failed).await;
    theatre.says(&worker, "Paused: nothing is sent").await;
    let account = counter
        .store
        .account(&theatre.account)
        .await
        .expect("answers");
    let reason = account.expect("known").pause_reason.expect("shown");
    assert!(reason.contains("463"), "{reason}");
    refuse(None);
    let waits = counter.post(&theatre.alice, "after it").await;
    let resumed = counter
        .store
        .set_paused(&theatre.account, false, "test")
        .await;
    assert!(resumed.expect("answers"));
    counter.status(&waits.outbox_id, Status::Sent).await;
    assert_eq!(seen(&theatre.alice), ["when you can", "after it"]);
}
