//! Whose turn it is.

use super::*;

on_every_engine!(
    messages_of_a_chat_leave_one_at_a_time_and_in_order,
    chats_leave_in_parallel_up_to_the_limit,
    an_account_is_due_while_one_of_its_chats_can_send,
    a_message_that_waits_for_its_next_attempt_holds_up_its_chat_alone,
    a_long_wait_holds_up_the_chat_no_longer_than_it_may,
    a_round_ends_after_four_attempts_and_each_is_told,
    a_dead_holders_attempt_counts_and_its_message_is_tried_again_in_its_place,
    a_message_that_kills_its_workers_is_given_up,
    a_paused_account_sends_nothing_until_it_is_resumed,
    a_restriction_fails_the_message_and_pauses_the_account_with_the_reason,
    an_old_holder_claims_and_settles_nothing,
    what_nobody_can_read_is_handed_out_without_its_content,
    what_was_never_tried_is_overtaken_by_nothing_that_a_clock_says,
    an_attempt_whose_conversation_was_erased_meanwhile_is_over,
);

async fn messages_of_a_chat_leave_one_at_a_time_and_in_order(bench: &Bench) {
    let fence = bench.fence().await;
    for text in ["one", "two", "three"] {
        bench.send(ALICE, text).await;
    }
    let mut left = Vec::new();
    for _ in 0..3 {
        let dispatch = bench.claim_one(&fence).await;
        assert_eq!(bench.claim(&fence).await, [], "while one is on its way");
        left.push(body(&dispatch));
        let settled = bench
            .settle(&fence, &dispatch, &Outcome::Acknowledged)
            .await;
        assert_eq!(settled, Settled::Now(Next::Sent));
        let row = bench.message(&dispatch.id).await.row;
        assert_eq!(
            (row.status, row.delivery),
            (Status::Sent, Some(Evidence::Server))
        );
        assert!(row.sent_at.is_some() && row.next_attempt_at.is_none());
    }
    assert_eq!(left, ["one", "two", "three"]);
    let claimed = bench
        .store
        .claim_outgoing(&fence, 10, &hasty())
        .await
        .expect("ours");
    assert_eq!((claimed.messages.len(), claimed.rest), (0, None));
    bench.send(ALICE, "four").await;
    assert_eq!(body(&bench.claim_one(&fence).await), "four");
}

async fn chats_leave_in_parallel_up_to_the_limit(bench: &Bench) {
    let fence = bench.fence().await;
    for number in 1..=3 {
        bench.send(&format!("+4915100000{number}"), "hi").await;
    }
    let first = bench
        .store
        .claim_outgoing(&fence, 2, &hasty())
        .await
        .expect("ours");
    assert_eq!(first.messages.len(), 2);
    assert_eq!(first.rest, Some(Duration::ZERO), "another one is due");
    assert_eq!(bench.claim(&fence).await.len(), 1);
    let ids: std::collections::HashSet<_> = first
        .messages
        .iter()
        .map(|m| m.message_id.clone())
        .collect();
    assert!(
        ids.len() == 2
            && ids
                .iter()
                .all(|id| id.len() == 22 && id.starts_with("3EB0"))
    );
}

async fn an_account_is_due_while_one_of_its_chats_can_send(bench: &Bench) {
    let fence = bench.fence().await;
    let due = async || {
        let due = bench.store.due_accounts().await.expect("answers");
        due.contains(&bench.account)
    };
    assert!(!due().await, "nothing waits");
    bench.send(ALICE, "one").await;
    assert!(due().await);
    let dispatch = bench.claim_one(&fence).await;
    assert!(!due().await, "it is on its way");
    let rules = Rules::default();
    bench.settle_by(&fence, &dispatch, &silent(), &rules).await;
    assert!(!due().await, "its next attempt is later");
    bench.send(BOB, "two").await;
    assert!(due().await);
}

async fn a_message_that_waits_for_its_next_attempt_holds_up_its_chat_alone(bench: &Bench) {
    let fence = bench.fence().await;
    let first = bench.send(ALICE, "first").await;
    bench.send(ALICE, "second").await;
    let dispatch = bench.claim_one(&fence).await;
    let rules = Rules::default();
    let settled = bench.settle_by(&fence, &dispatch, &silent(), &rules).await;
    assert!(
        matches!(settled, Settled::Now(Next::Again { .. })),
        "{settled:?}"
    );
    let claimed = bench
        .store
        .claim_outgoing(&fence, 10, &hasty())
        .await
        .expect("ours");
    assert_eq!(claimed.messages, []);
    let rest = claimed.rest.expect("it waits");
    assert!(
        rest > Duration::ZERO && rest <= Duration::from_secs(2),
        "{rest:?}"
    );
    bench.send(ALICE, "third").await;
    assert_eq!(
        bench.claim(&fence).await,
        [],
        "what is put in changes nothing"
    );
    bench.send(BOB, "elsewhere").await;
    assert_eq!(body(&bench.claim_one(&fence).await), "elsewhere");
    bench.hurry().await;
    let again = bench.claim_one(&fence).await;
    assert_eq!((&again.id, again.attempt), (&first.outbox_id, 2));
    assert_eq!(again.message_id, dispatch.message_id, "the same id");
}

async fn a_long_wait_holds_up_the_chat_no_longer_than_it_may(bench: &Bench) {
    let fence = bench.fence().await;
    let slow = bench.send(ALICE, "slow").await;
    let rules = Rules {
        cooldown: Duration::from_secs(900),
        ..hasty()
    };
    for _ in 0..3 {
        let dispatch = bench.claim_one(&fence).await;
        bench.settle_by(&fence, &dispatch, &silent(), &rules).await;
        let wait = "UPDATE outbox SET next_attempt_at = 0 WHERE attempt_count < 3";
        bench.sql(wait).await.expect("writes");
        let wait = "UPDATE outbox_lanes SET ready_at = 0, blocked_until = 0, paced_until = 0
                    WHERE EXISTS(SELECT 1 FROM outbox WHERE attempt_count < 3)";
        bench.sql(wait).await.expect("writes");
    }
    let claimed = bench
        .store
        .claim_outgoing(&fence, 10, &hasty())
        .await
        .expect("ours");
    assert_eq!(claimed.messages, []);
    assert!(claimed.rest.expect("it waits") > Duration::from_secs(800));
    bench.send(ALICE, "behind").await;
    let overtaking = bench.claim_one(&fence).await;
    assert_eq!(body(&overtaking), "behind");
    bench
        .settle(&fence, &overtaking, &Outcome::Acknowledged)
        .await;
    assert_eq!(bench.claim(&fence).await, []);
    bench.hurry().await;
    let last = bench.claim_one(&fence).await;
    assert_eq!((&last.id, last.attempt), (&slow.outbox_id, 4));
}

async fn a_round_ends_after_four_attempts_and_each_is_told(bench: &Bench) {
    let fence = bench.fence().await;
    let row = bench.send(ALICE, "hello?").await;
    let mut nexts = Vec::new();
    for _ in 0..4 {
        let dispatch = bench.claim_one(&fence).await;
        nexts.push(bench.settle(&fence, &dispatch, &silent()).await);
        bench.hurry().await;
    }
    assert_eq!(nexts[3], Settled::Now(Next::Uncertain));
    assert_eq!(bench.claim(&fence).await, []);
    let detail = bench.message(&row.outbox_id).await;
    assert_eq!(detail.row.status, Status::Uncertain);
    assert_eq!(detail.row.attempt_count, 4);
    assert_eq!(detail.row.error_code.as_deref(), Some("ack_timeout"));
    let numbers: Vec<_> = detail.attempts.iter().map(|a| a.attempt).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    for attempt in &detail.attempts {
        assert_eq!(attempt.duration_ms, Some(7));
        assert_eq!(attempt.error_code.as_deref(), Some("ack_timeout"));
        assert_eq!(attempt.epoch, fence.epoch().0);
    }
    bench.send(ALICE, "next").await;
    assert_eq!(
        body(&bench.claim_one(&fence).await),
        "next",
        "the lane is free"
    );
}

async fn a_dead_holders_attempt_counts_and_its_message_is_tried_again_in_its_place(bench: &Bench) {
    let old = bench.fence().await;
    let first = bench.send(ALICE, "first").await;
    bench.send(ALICE, "second").await;
    let cut_short = bench.claim_one(&old).await;
    let new = bench
        .bid(|bid| bid.dead = Some(old.epoch()))
        .await
        .expect("dead");
    assert_eq!(
        bench.claim(&new).await,
        [],
        "nobody knows about the first yet"
    );
    let recovered = bench
        .store
        .recover_outgoing(&new, &hasty())
        .await
        .expect("ours");
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].id, first.outbox_id);
    let twice = bench
        .store
        .recover_outgoing(&new, &hasty())
        .await
        .expect("ours");
    assert_eq!(twice, []);
    bench.hurry().await;
    let again = bench.claim_one(&new).await;
    assert_eq!((&again.id, again.attempt), (&first.outbox_id, 2));
    assert_eq!(again.message_id, cut_short.message_id);
    let attempts = bench.message(&first.outbox_id).await.attempts;
    assert_eq!(attempts[0].error_code.as_deref(), Some("interrupted"));
    assert_eq!(attempts[0].duration_ms, None);
    assert_eq!(
        (attempts[1].epoch, &attempts[1].error_code),
        (new.epoch().0, &None)
    );
}

async fn a_message_that_kills_its_workers_is_given_up(bench: &Bench) {
    let mut fence = bench.fence().await;
    let row = bench.send(ALICE, "poison").await;
    let mut lives = 0;
    loop {
        bench
            .store
            .recover_outgoing(&fence, &hasty())
            .await
            .expect("ours");
        bench.hurry().await;
        if bench.claim(&fence).await.is_empty() {
            break;
        }
        lives += 1;
        let dead = fence.epoch();
        fence = bench.bid(|bid| bid.dead = Some(dead)).await.expect("dead");
    }
    assert_eq!(lives, 4);
    assert_eq!(bench.status(&row.outbox_id).await, Status::Uncertain);
}

async fn a_paused_account_sends_nothing_until_it_is_resumed(bench: &Bench) {
    let fence = bench.fence().await;
    bench.send(ALICE, "later").await;
    let pause = async |paused| bench.store.set_paused(&bench.account, paused, "test").await;
    assert!(pause(true).await.expect("answers"));
    assert_eq!(bench.claim(&fence).await, []);
    assert!(pause(false).await.expect("answers"));
    assert_eq!(body(&bench.claim_one(&fence).await), "later");
}

async fn a_restriction_fails_the_message_and_pauses_the_account_with_the_reason(bench: &Bench) {
    let fence = bench.fence().await;
    let row = bench.send(ALICE, "cold call").await;
    bench.send(BOB, "another").await;
    let claimed = bench
        .store
        .claim_outgoing(&fence, 1, &hasty())
        .await
        .expect("ours")
        .messages;
    let refused = Outcome::Refused("463".to_owned());
    let settled = bench.settle(&fence, &claimed[0], &refused).await;
    assert_eq!(settled, Settled::Now(Next::Failed { restricted: true }));
    let failed = bench.message(&row.outbox_id).await.row;
    assert_eq!(failed.error_code.as_deref(), Some("463"));
    assert_eq!(bench.claim(&fence).await, []);
    let account = bench.store.account(&bench.account).await.expect("answers");
    let account = account.expect("known");
    assert!(account.paused && account.pause_reason.expect("said").contains("code 463"));
    let audit = bench
        .store
        .audit(&bench.account, 10)
        .await
        .expect("answers");
    assert!(
        audit
            .iter()
            .any(|row| row.action == "account.paused" && row.actor == "worker")
    );
    bench
        .store
        .set_paused(&bench.account, false, "test")
        .await
        .expect("answers");
    let account = bench.store.account(&bench.account).await.expect("answers");
    assert_eq!(account.expect("known").pause_reason, None);
    assert_eq!(body(&bench.claim_one(&fence).await), "another");
}

async fn an_old_holder_claims_and_settles_nothing(bench: &Bench) {
    let old = bench.fence().await;
    let row = bench.send(ALICE, "mine").await;
    let dispatch = bench.claim_one(&old).await;
    let new = bench
        .bid(|bid| bid.dead = Some(old.epoch()))
        .await
        .expect("dead");
    let fenced = |error: StoreError| matches!(error, StoreError::Fenced(_));
    let store = &bench.store;
    let took = Duration::ZERO;
    let rules = hasty();
    let settled = store.settle_outgoing(&old, &dispatch, &Outcome::Acknowledged, took, &rules);
    assert!(fenced(settled.await.expect_err("fenced")));
    assert!(fenced(
        store
            .claim_outgoing(&old, 1, &hasty())
            .await
            .expect_err("fenced")
    ));
    assert!(fenced(
        store
            .recover_outgoing(&old, &hasty())
            .await
            .expect_err("fenced")
    ));
    let proofs = [proof(&row, Evidence::Read)];
    assert!(fenced(
        store
            .prove_outgoing(&old, &proofs)
            .await
            .expect_err("fenced")
    ));
    assert_eq!(bench.status(&row.outbox_id).await, Status::Sending);
    assert_eq!(
        store.prove_outgoing(&new, &proofs).await.expect("ours")[0].message_id,
        row.channel_message_id
    );
}

async fn what_nobody_can_read_is_handed_out_without_its_content(bench: &Bench) {
    let fence = bench.fence().await;
    bench.send(ALICE, "x").await;
    let newer = r#"UPDATE outbox SET content = '{"content":{"type":"hologram"}}'"#;
    bench.sql(newer).await.expect("writes");
    let dispatch = bench.claim_one(&fence).await;
    assert_eq!(dispatch.draft, None);
    let unreadable = Outcome::Impossible {
        code: "unreadable",
        error: "of a kind that this version does not know".to_owned(),
    };
    let settled = bench.settle(&fence, &dispatch, &unreadable).await;
    assert_eq!(settled, Settled::Now(Next::Failed { restricted: false }));
}

async fn what_was_never_tried_is_overtaken_by_nothing_that_a_clock_says(bench: &Bench) {
    let fence = bench.fence().await;
    let first = bench.send(ALICE, "one").await;
    bench.send(ALICE, "two").await;
    // The store's clock was ahead when the first was put in.
    let ahead = format!(
        "UPDATE outbox SET next_attempt_at = next_attempt_at + 60000 WHERE outbox_id = '{}'",
        first.outbox_id.as_str()
    );
    bench.sql(&ahead).await.expect("writes");
    assert_eq!(body(&bench.claim_one(&fence).await), "one");
}

async fn an_attempt_whose_conversation_was_erased_meanwhile_is_over(bench: &Bench) {
    let fence = bench.fence().await;
    bench.send(ALICE, "one").await;
    let dispatch = bench.claim_one(&fence).await;
    let erased = bench.store.purge_conversation(&dispatch.conversation, "o");
    assert_eq!(erased.await.expect("answers"), Some(0));
    let settled = bench
        .settle(&fence, &dispatch, &Outcome::Acknowledged)
        .await;
    assert_eq!(settled, Settled::Before(Status::Cancelled));
    let recovered = bench.store.recover_outgoing(&fence, &hasty()).await;
    assert_eq!(recovered.expect("ours"), []);
}
