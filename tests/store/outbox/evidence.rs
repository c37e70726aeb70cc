//! Receipts.

use super::*;

on_every_engine!(
    a_receipt_sends_what_waits_or_is_on_its_way_or_is_uncertain,
    delivery_only_moves_forward,
    what_was_given_up_stays_so_and_shows_how_far_it_came,
    a_late_answer_after_a_receipt_changes_nothing,
    receipts_of_what_is_not_in_the_outbox_change_nothing,
    a_receipt_of_a_message_that_is_to_be_tried_again_ends_its_wait_and_not_the_chats_pace,
);

async fn a_receipt_sends_what_waits_or_is_on_its_way_or_is_uncertain(bench: &Bench) {
    let fence = bench.fence().await;
    let first = bench.send(ALICE, "first").await;
    let dispatch = bench.claim_one(&fence).await;
    bench
        .settle_by(&fence, &dispatch, &silent(), &Rules::default())
        .await;
    let second = bench.send(ALICE, "second").await;
    let prove = async |row: &OutboxRow| {
        let proofs = [proof(row, Evidence::Device)];
        let proven = bench.store.prove_outgoing(&fence, &proofs).await;
        let proven = <[Proven; 1]>::try_from(proven.expect("ours")).expect("it alone");
        let [proven] = proven;
        assert_eq!(
            (&proven.message_id, &proven.outbox),
            (&row.channel_message_id, &row.outbox_id)
        );
        proven.attempt.map(|(number, _)| number)
    };
    assert_eq!(prove(&first).await, None, "its attempt has ended");
    let row = bench.message(&first.outbox_id).await.row;
    assert_eq!(
        (row.status, row.error_code, row.delivery),
        (Status::Sent, None, Some(Evidence::Device))
    );
    assert_eq!(
        bench.claim_one(&fence).await.id,
        second.outbox_id,
        "its lane goes on"
    );
    assert_eq!(prove(&second).await, Some(1), "on its way");
    let third = bench.send(ALICE, "third").await;
    for _ in 0..4 {
        let dispatch = bench.claim_one(&fence).await;
        bench.settle(&fence, &dispatch, &silent()).await;
        bench.hurry().await;
    }
    assert_eq!(bench.status(&third.outbox_id).await, Status::Uncertain);
    assert_eq!(prove(&third).await, None);
    assert_eq!(bench.status(&third.outbox_id).await, Status::Sent);
}

async fn delivery_only_moves_forward(bench: &Bench) {
    let fence = bench.fence().await;
    let row = bench.send(ALICE, "hi").await;
    bench.claim_one(&fence).await;
    let steps = [
        (Evidence::Device, Evidence::Device),
        (Evidence::Server, Evidence::Device),
        (Evidence::Played, Evidence::Played),
        (Evidence::Read, Evidence::Played),
    ];
    for (told, known) in steps {
        let proofs = [proof(&row, told)];
        bench
            .store
            .prove_outgoing(&fence, &proofs)
            .await
            .expect("ours");
        let row = bench.message(&row.outbox_id).await.row;
        assert_eq!(row.delivery, Some(known), "{told:?}");
    }
}

async fn what_was_given_up_stays_so_and_shows_how_far_it_came(bench: &Bench) {
    let fence = bench.fence().await;
    let row = bench.send(ALICE, "hi").await;
    let dispatch = bench.claim_one(&fence).await;
    bench.settle(&fence, &dispatch, &silent()).await;
    let cancelled = bench.store.cancel_outgoing(&row.outbox_id, "test").await;
    assert_eq!(cancelled.expect("answers"), Cancelled::Done);
    let proofs = [proof(&row, Evidence::Read)];
    let sent = bench.store.prove_outgoing(&fence, &proofs).await;
    assert_eq!(sent.expect("ours"), []);
    let row = bench.message(&row.outbox_id).await.row;
    assert_eq!(
        (row.status, row.delivery),
        (Status::Cancelled, Some(Evidence::Read))
    );
}

async fn a_late_answer_after_a_receipt_changes_nothing(bench: &Bench) {
    let fence = bench.fence().await;
    let row = bench.send(ALICE, "hi").await;
    let dispatch = bench.claim_one(&fence).await;
    let proofs = [proof(&row, Evidence::Read)];
    bench
        .store
        .prove_outgoing(&fence, &proofs)
        .await
        .expect("ours");
    let settled = bench.settle(&fence, &dispatch, &silent()).await;
    assert_eq!(settled, Settled::Before(Status::Sent));
    let detail = bench.message(&row.outbox_id).await;
    assert_eq!(
        (detail.row.status, detail.row.delivery),
        (Status::Sent, Some(Evidence::Read))
    );
    assert_eq!(
        detail.attempts[0].error_code.as_deref(),
        Some("ack_timeout")
    );
    assert_eq!(bench.claim(&fence).await, []);
}

async fn receipts_of_what_is_not_in_the_outbox_change_nothing(bench: &Bench) {
    let fence = bench.fence().await;
    let row = bench.send(ALICE, "hi").await;
    let strange = Proof {
        message_id: "3EB0FFFFFFFFFFFFFFFFFF".to_owned(),
        evidence: Evidence::Read,
    };
    let sent = bench.store.prove_outgoing(&fence, &[strange]).await;
    assert_eq!(sent.expect("ours"), []);
    assert_eq!(bench.status(&row.outbox_id).await, Status::Pending);
}

async fn a_receipt_of_a_message_that_is_to_be_tried_again_ends_its_wait_and_not_the_chats_pace(
    bench: &Bench,
) {
    let fence = bench.fence().await;
    let first = bench.send(ALICE, "first").await;
    bench.send(ALICE, "second").await;
    let rules = Rules {
        chat_pace: Duration::from_secs(60),
        lane_block: Duration::from_secs(900),
        ..hasty()
    };
    let claimed = bench.store.claim_outgoing(&fence, 10, &rules).await;
    let dispatch = claimed.expect("ours").messages.remove(0);
    bench.settle_by(&fence, &dispatch, &silent(), &rules).await;
    let proofs = [proof(&first, Evidence::Device)];
    let sent = bench.store.prove_outgoing(&fence, &proofs).await;
    assert_eq!(sent.expect("ours")[0].message_id, first.channel_message_id);
    let claimed = bench.store.claim_outgoing(&fence, 10, &rules).await;
    let claimed = claimed.expect("ours");
    assert_eq!(claimed.messages, []);
    let rest = claimed.rest.expect("the second waits");
    assert!(rest > Duration::from_secs(30), "{rest:?}");
    assert!(rest <= Duration::from_secs(60), "{rest:?}");
    bench.send(ALICE, "third").await;
    assert_eq!(bench.claim(&fence).await, [], "what is put in is no faster");
    bench.hurry().await;
    assert_eq!(body(&bench.claim_one(&fence).await), "second");
}
