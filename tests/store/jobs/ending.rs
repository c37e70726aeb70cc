//! How claims end: completed, failed, renewed, run out.

use std::time::Duration;

use whatsapp_worker::ids::{ClaimToken, ConversationId};
use whatsapp_worker::outbound::message::{Draft, Recipient};
use whatsapp_worker::store::{
    Completed, Completion, Failed, Failure, JobStatus, OutboxFilter, Retries, Work,
};

use super::{ALICE, BOB, LOCK, RETRIES, conversation, failure, id, said};
use crate::store::Bench;

on_every_engine!(
    a_completion_puts_its_replies_into_the_outbox_once,
    a_lost_claim_completes_fails_and_renews_nothing,
    a_reply_that_cannot_be_taken_leaves_everything_as_it_was,
    a_failed_job_blocks_its_lane_until_its_time_and_keeps_its_place,
    a_job_without_attempts_left_or_hope_is_a_dead_letter_and_its_lane_goes_on,
    a_claim_that_ran_out_is_given_back_and_counted,
    a_renewed_claim_does_not_run_out,
);

impl Bench {
    /// The texts in the outbox, in the order in which they were put in.
    pub(super) async fn outgoing(&self) -> Vec<String> {
        let filter = OutboxFilter {
            limit: 1000,
            ..OutboxFilter::default()
        };
        let mut rows = self.store.outbox(&filter).await.expect("answers");
        rows.sort_by_key(|row| (row.created_at, row.reply_index));
        rows.into_iter()
            .map(|row| {
                let draft = row.content.expect("it is kept");
                draft["content"]["body"].as_str().expect("text").to_owned()
            })
            .collect()
    }
}

async fn a_completion_puts_its_replies_into_the_outbox_once(bench: &Bench) {
    bench.receive(&[(ALICE, "a1"), (ALICE, "a2")]).await;
    let claim = bench.take_one().await;
    let completion = Completion {
        result: Some(serde_json::json!({"intent": "hello"})),
        replies: vec![Draft::text("one"), Draft::text("two")],
    };
    let complete = async || {
        let done = bench
            .store
            .complete_job(id(&claim), &claim.claim_token, &completion);
        done.await.expect("answers")
    };
    let Completed::Done {
        account,
        messages,
        again: false,
        work,
    } = complete().await
    else {
        panic!("not done");
    };
    assert_eq!((account, messages.len()), (bench.account.clone(), 2));
    assert_eq!(work.attempt, 1);
    assert!((0..60_000).contains(&work.took_ms), "{work:?}");
    assert_eq!(
        complete().await,
        Completed::Done {
            account: bench.account.clone(),
            messages,
            again: true,
            work
        }
    );
    assert_eq!(bench.outgoing().await, ["one", "two"]);
    let detail = bench
        .store
        .job(id(&claim))
        .await
        .expect("answers")
        .expect("there");
    assert_eq!(detail.result, completion.result);
    assert_eq!(detail.job.status, JobStatus::Completed);
    assert!(detail.job.finished_at.is_some() && detail.job.locked_until.is_none());
    // The next one of the conversation is up.
    assert_eq!(said(&bench.take(1).await), ["a2"]);
}

async fn a_lost_claim_completes_fails_and_renews_nothing(bench: &Bench) {
    bench.receive(&[(ALICE, "a1")]).await;
    let lost = bench
        .claim_for(1, Duration::ZERO)
        .await
        .pop()
        .expect("work");
    let expired = bench
        .store
        .requeue_stale(10, RETRIES)
        .await
        .expect("answers");
    assert_eq!(expired.len(), 1);
    let mine = bench.take_one().await;
    let store = &bench.store;
    let stranger = ClaimToken::random();
    for token in [&lost.claim_token, &stranger] {
        let completion = Completion {
            result: None,
            replies: vec![Draft::text("twice?")],
        };
        let done = store.complete_job(id(&mine), token, &completion).await;
        assert_eq!(done.expect("answers"), Completed::Stale);
        let failed = store
            .fail_job(id(&mine), token, &failure(None), RETRIES)
            .await;
        assert_eq!(failed.expect("answers"), Failed::Stale);
        let renewed = store.heartbeat_job(id(&mine), token, LOCK).await;
        assert_eq!(renewed.expect("answers"), None);
    }
    assert!(bench.outgoing().await.is_empty());
    assert_eq!(bench.job(id(&mine)).await.status, JobStatus::Processing);
    let done = bench.complete(&mine, &["once"]).await;
    assert!(matches!(done, Completed::Done { again: false, .. }));
    assert_eq!(bench.complete(&lost, &["late"]).await, Completed::Stale);
    assert_eq!(bench.outgoing().await, ["once"]);
}

async fn a_reply_that_cannot_be_taken_leaves_everything_as_it_was(bench: &Bench) {
    bench.receive(&[(ALICE, "a1"), (BOB, "b1")]).await;
    let claims = bench.take(2).await;
    let (claim, other) = (&claims[0], &claims[1]);
    let elsewhere = |conv: ConversationId| Draft {
        to: Some(Recipient::Conversation(conv)),
        ..Draft::text("there")
    };
    let complete = async |replies: Vec<Draft>| {
        let completion = Completion {
            result: None,
            replies,
        };
        let done = bench
            .store
            .complete_job(id(claim), &claim.claim_token, &completion);
        done.await.expect("answers")
    };
    let empty = complete(vec![Draft::text("fine"), Draft::text("")]).await;
    assert!(
        matches!(&empty, Completed::Invalid { reply: 1, field, .. } if field == "content.body"),
        "{empty:?}"
    );
    let nowhere = elsewhere(ConversationId("conv_none".to_owned()));
    let nowhere = complete(vec![Draft::text("fine"), nowhere]).await;
    assert!(
        matches!(&nowhere, Completed::Invalid { reply: 1, field, .. } if field == "to"),
        "{nowhere:?}"
    );
    assert!(bench.outgoing().await.is_empty());
    assert_eq!(bench.job(id(claim)).await.status, JobStatus::Processing);
    let replies = vec![Draft::text("here"), elsewhere(conversation(other).clone())];
    let done = complete(replies).await;
    assert!(matches!(done, Completed::Done { .. }), "{done:?}");
    assert_eq!(bench.outgoing().await, ["here", "there"]);
}

async fn a_failed_job_blocks_its_lane_until_its_time_and_keeps_its_place(bench: &Bench) {
    bench.receive(&[(ALICE, "a1"), (ALICE, "a2")]).await;
    let store = &bench.store;
    let claim = bench.take_one().await;
    assert_eq!(said(std::slice::from_ref(&claim)), ["a1"]);
    bench.receive(&[(BOB, "b1")]).await;
    let before = store.now_ms().await.expect("answers");
    let failed = store
        .fail_job(id(&claim), &claim.claim_token, &failure(None), RETRIES)
        .await;
    let Failed::Retried {
        at,
        work: Work { attempt: 1, .. },
        ..
    } = failed.expect("answers")
    else {
        panic!("it is tried again");
    };
    assert!((2000..=3500).contains(&(at - before)), "{}", at - before);
    let job = bench.job(id(&claim)).await;
    assert_eq!(job.status, JobStatus::Pending);
    assert_eq!(job.error_reason.as_deref(), Some("agent_error"));
    assert_eq!(job.error_message.as_deref(), Some("it broke"));
    assert_eq!(said(&bench.take(10).await), ["b1"]);
    let outlook = store.outlook(None).await.expect("answers");
    let next = outlook.next_in.expect("one waits");
    assert!(
        outlook.is_empty() && next <= Duration::from_millis(3500),
        "{next:?}"
    );
    // A message that arrives does not wake it.
    bench.receive(&[(ALICE, "a3")]).await;
    assert_eq!(bench.take(10).await, []);
    bench
        .sql("UPDATE lanes SET ready_at = 0 WHERE state = 'ready'")
        .await
        .expect("writes");
    let again = bench.take_one().await;
    assert_eq!(
        (said(std::slice::from_ref(&again))[0], again.attempt),
        ("a1", 2)
    );
    // An agent that knows when is believed.
    let soon = failure(Some(Duration::ZERO));
    store
        .fail_job(id(&again), &again.claim_token, &soon, RETRIES)
        .await
        .expect("answers");
    let third = bench.take_one().await;
    assert_eq!(
        (said(std::slice::from_ref(&third))[0], third.attempt),
        ("a1", 3)
    );
    bench.complete(&third, &[]).await;
    let job = bench.job(id(&third)).await;
    assert_eq!((job.status, job.error_reason), (JobStatus::Completed, None));
}

async fn a_job_without_attempts_left_or_hope_is_a_dead_letter_and_its_lane_goes_on(bench: &Bench) {
    bench
        .receive(&[(ALICE, "a1"), (ALICE, "a2"), (ALICE, "a3")])
        .await;
    let store = &bench.store;
    let at_once = failure(Some(Duration::ZERO));
    for attempt in 1..=4 {
        let claim = bench.take_one().await;
        assert_eq!(said(std::slice::from_ref(&claim)), ["a1"]);
        let failed = store
            .fail_job(id(&claim), &claim.claim_token, &at_once, RETRIES)
            .await
            .expect("answers");
        let (account, work) = match &failed {
            Failed::Retried { account, work, .. } if attempt < 4 => (account, work),
            Failed::Dead { account, work } if attempt == 4 => (account, work),
            other => panic!("attempt {attempt}: {other:?}"),
        };
        assert_eq!((account, work.attempt), (&bench.account, attempt));
    }
    let claim = bench.take_one().await;
    assert_eq!(said(std::slice::from_ref(&claim)), ["a2"]);
    let hopeless = Failure {
        reason: "bad_input".to_owned(),
        message: None,
        retryable: false,
        retry_after: None,
    };
    let failed = store
        .fail_job(id(&claim), &claim.claim_token, &hopeless, RETRIES)
        .await;
    assert!(matches!(failed, Ok(Failed::Dead { work, .. }) if work.attempt == 1));
    let job = bench.job(id(&claim)).await;
    assert!(job.dead && job.finished_at.is_some());
    assert_eq!(job.status, JobStatus::Failed);
    assert_eq!(job.error_reason.as_deref(), Some("bad_input"));
    assert_eq!(said(&bench.take(10).await), ["a3"]);
}

async fn a_claim_that_ran_out_is_given_back_and_counted(bench: &Bench) {
    bench.receive(&[(ALICE, "a1"), (ALICE, "a2")]).await;
    let store = &bench.store;
    let held = bench.take(1).await;
    assert_eq!(said(&held), ["a1"]);
    bench.complete(&held[0], &[]).await;
    bench.receive(&[(BOB, "b1")]).await;
    let one_more = Retries { max: 1 };
    for attempt in 1..=2 {
        let claims = bench.claim_for(10, Duration::ZERO).await;
        assert_eq!(claims.len(), 2);
        assert!(claims.iter().all(|claim| claim.attempt == attempt));
        assert_eq!(bench.take(10).await, []);
        let first = store.requeue_stale(1, one_more).await.expect("answers");
        let second = store.requeue_stale(10, one_more).await.expect("answers");
        assert_eq!((first.len(), second.len()), (1, 1));
        for expired in first.iter().chain(&second) {
            assert_eq!(expired.processor_id.as_deref(), Some("agent-1"));
            let job = bench.job(&expired.job).await;
            let reason = job.error_reason.as_deref().expect("a reason");
            assert_eq!(reason, expired.reason());
            let (status, code) = match attempt {
                1 => (JobStatus::Pending, "claim_expired"),
                _ => (JobStatus::Failed, "retries_exhausted"),
            };
            assert_eq!((job.status, reason), (status, code));
        }
        assert_eq!(
            store.requeue_stale(10, one_more).await.expect("answers"),
            []
        );
    }
    assert_eq!(bench.take(10).await, []);
}

async fn a_renewed_claim_does_not_run_out(bench: &Bench) {
    bench.receive(&[(ALICE, "a1")]).await;
    let store = &bench.store;
    let claim = bench
        .claim_for(1, Duration::ZERO)
        .await
        .pop()
        .expect("work");
    let until = store
        .heartbeat_job(id(&claim), &claim.claim_token, LOCK)
        .await
        .expect("answers")
        .expect("still ours");
    assert!(until > claim.locked_until);
    assert_eq!(bench.job(id(&claim)).await.locked_until, Some(until));
    assert_eq!(store.requeue_stale(10, RETRIES).await.expect("answers"), []);
    let ended = store
        .heartbeat_job(id(&claim), &claim.claim_token, Duration::ZERO)
        .await;
    assert!(ended.expect("answers").is_some());
    assert_eq!(
        store
            .requeue_stale(10, RETRIES)
            .await
            .expect("answers")
            .len(),
        1
    );
}
