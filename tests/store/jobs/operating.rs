//! What operators do to jobs.

use std::time::Duration;

use whatsapp_worker::ids::JobId;
use whatsapp_worker::store::{Completed, DeadFilter, JobSelection, JobStatus, Outcome, QueueDepth};

use super::{ALICE, BOB, RETRIES, failure, id, said};
use crate::store::Bench;

on_every_engine!(
    a_dead_letter_is_replayed_at_the_end_of_its_lane_with_all_its_attempts,
    a_retried_job_is_up_at_once_and_its_claim_is_void,
    a_job_that_is_failed_by_hand_is_a_dead_letter_and_a_cancelled_one_is_not,
    a_job_that_its_lane_does_not_wait_for_is_ended_without_waking_it,
    dead_letters_are_listed_in_pages_and_discarded_for_good,
    the_depth_counts_what_waits_and_what_was_given_up,
);

impl Bench {
    /// Buries the first job of each of these people's lanes, in this order; each has one.
    async fn bury(&self, jobs: &[(&str, &str, &str)]) -> Vec<JobId> {
        let mut dead = Vec::new();
        for (who, text, reason) in jobs {
            self.receive(&[(who, text)]).await;
            let claim = self.take_one().await;
            let failure = whatsapp_worker::store::Failure {
                reason: (*reason).to_owned(),
                retryable: false,
                ..failure(None)
            };
            self.store
                .fail_job(id(&claim), &claim.claim_token, &failure, RETRIES)
                .await
                .expect("answers");
            dead.push(id(&claim).clone());
        }
        dead
    }

    async fn dead(&self) -> Vec<String> {
        let filter = DeadFilter {
            limit: 100,
            ..DeadFilter::default()
        };
        let page = self
            .store
            .dead_letters(&filter, None)
            .await
            .expect("answers");
        assert_eq!(page.next, None);
        let texts = page.rows.into_iter().map(|job| job.channel_message_id);
        texts.collect()
    }

    async fn actions(&self) -> Vec<String> {
        let lines = self.store.audit(&self.account, 100).await.expect("answers");
        let jobs = lines.into_iter().map(|line| line.action);
        let mut actions: Vec<_> = jobs.filter(|action| action.starts_with("job.")).collect();
        actions.reverse();
        actions
    }
}

async fn a_dead_letter_is_replayed_at_the_end_of_its_lane_with_all_its_attempts(bench: &Bench) {
    let dead = bench
        .bury(&[(ALICE, "a1", "x"), (ALICE, "a2", "x"), (ALICE, "a3", "y")])
        .await;
    bench.receive(&[(ALICE, "a4")]).await;
    let store = &bench.store;
    let fits = |reason: &str| JobSelection::Where {
        account: Some(bench.account.clone()),
        reason: Some(reason.to_owned()),
        kind: Some("message".to_owned()),
    };
    assert_eq!(store.retry_jobs(&fits("x"), "o").await.expect("answers"), 2);
    assert_eq!(store.retry_jobs(&fits("x"), "o").await.expect("answers"), 0);
    bench.receive(&[(ALICE, "a5")]).await;
    let one = JobSelection::One(dead[2].clone());
    assert_eq!(store.retry_jobs(&one, "o").await.expect("answers"), 1);
    assert!(bench.dead().await.is_empty());
    assert_eq!(bench.actions().await, ["job.retried"; 3]);
    for expected in ["a4", "a1", "a2", "a5", "a3"] {
        let claim = bench.take_one().await;
        assert_eq!(said(std::slice::from_ref(&claim)), [expected]);
        assert_eq!(claim.attempt, 1);
        bench.complete(&claim, &[]).await;
    }
    // A completed one stays so, and one that is not there is not made.
    let again = store.retry_job(&dead[0], "o").await.expect("answers");
    assert_eq!(again, Outcome::Unfit(JobStatus::Completed));
    let nobody = store.retry_job(&JobId::new(), "o").await.expect("answers");
    assert_eq!(nobody, Outcome::Missing);
    assert_eq!(bench.actions().await.len(), 3);
}

async fn a_retried_job_is_up_at_once_and_its_claim_is_void(bench: &Bench) {
    bench.receive(&[(ALICE, "a1"), (ALICE, "a2")]).await;
    let store = &bench.store;
    let stuck = bench.take_one().await;
    assert_eq!(
        store.retry_job(id(&stuck), "o").await.expect("answers"),
        Outcome::Done
    );
    assert_eq!(bench.complete(&stuck, &["late"]).await, Completed::Stale);
    let claim = bench.take_one().await;
    assert_eq!((id(&claim), claim.attempt), (id(&stuck), 1));
    store
        .fail_job(id(&claim), &claim.claim_token, &failure(None), RETRIES)
        .await
        .expect("answers");
    assert_eq!(bench.take(1).await, []);
    assert_eq!(
        store.retry_job(id(&claim), "o").await.expect("answers"),
        Outcome::Done
    );
    let claim = bench.take_one().await;
    assert_eq!(
        (said(std::slice::from_ref(&claim))[0], claim.attempt),
        ("a1", 1)
    );
}

async fn a_job_that_is_failed_by_hand_is_a_dead_letter_and_a_cancelled_one_is_not(bench: &Bench) {
    bench
        .receive(&[(ALICE, "a1"), (ALICE, "a2"), (ALICE, "a3")])
        .await;
    let store = &bench.store;
    let claim = bench.take_one().await;
    let why = ("manual_fail", Some("it hangs"));
    let failed = store.fail_job_by_hand(id(&claim), why, "o").await;
    assert_eq!(failed.expect("answers"), Outcome::Done);
    assert_eq!(bench.complete(&claim, &["late"]).await, Completed::Stale);
    let job = bench.job(id(&claim)).await;
    assert_eq!((job.status, job.dead), (JobStatus::Failed, true));
    assert_eq!(job.error_reason.as_deref(), Some("manual_fail"));
    assert_eq!(job.error_message.as_deref(), Some("it hangs"));
    let claim = bench.take_one().await;
    assert_eq!(said(std::slice::from_ref(&claim)), ["a2"]);
    assert_eq!(
        store.cancel_job(id(&claim), "o").await.expect("answers"),
        Outcome::Done
    );
    let job = bench.job(id(&claim)).await;
    assert_eq!((job.status, job.dead), (JobStatus::Failed, false));
    assert_eq!(job.error_reason.as_deref(), Some("cancelled"));
    for refused in [
        store.cancel_job(id(&claim), "o").await,
        store.fail_job_by_hand(id(&claim), why, "o").await,
        store.retry_job(id(&claim), "o").await,
        store.discard_job(id(&claim), "o").await,
    ] {
        assert_eq!(refused.expect("answers"), Outcome::Unfit(JobStatus::Failed));
    }
    assert_eq!(bench.dead().await, ["a1"]);
    assert_eq!(bench.actions().await, ["job.failed", "job.cancelled"]);
    assert_eq!(said(&bench.take(10).await), ["a3"]);
}

async fn a_job_that_its_lane_does_not_wait_for_is_ended_without_waking_it(bench: &Bench) {
    bench
        .receive(&[(ALICE, "a1"), (ALICE, "a2"), (ALICE, "a3")])
        .await;
    let (store, jobs) = (&bench.store, bench.jobs().await);
    let cancel = async |n: usize| {
        store
            .cancel_job(&jobs[n].job_id, "o")
            .await
            .expect("answers")
    };
    let claim = bench.take_one().await;
    // Behind a claim.
    assert_eq!(cancel(1).await, Outcome::Done);
    assert_eq!(bench.take(1).await, []);
    store
        .fail_job(id(&claim), &claim.claim_token, &failure(None), RETRIES)
        .await
        .expect("answers");
    // Behind one that waits for its time; then that one itself.
    assert_eq!(cancel(2).await, Outcome::Done);
    assert_eq!(bench.take(1).await, []);
    bench.receive(&[(ALICE, "a4")]).await;
    assert_eq!(bench.take(1).await, []);
    assert_eq!(cancel(0).await, Outcome::Done);
    let claim = bench.take_one().await;
    assert_eq!(said(std::slice::from_ref(&claim)), ["a4"]);
    bench.complete(&claim, &[]).await;
    assert_eq!(bench.take(1).await, []);
}

async fn dead_letters_are_listed_in_pages_and_discarded_for_good(bench: &Bench) {
    let dead = bench
        .bury(&[(ALICE, "a1", "x"), (BOB, "b1", "y"), (ALICE, "a2", "x")])
        .await;
    let store = &bench.store;
    let page = async |reason: Option<&str>, cursor: Option<&str>| {
        let filter = DeadFilter {
            account: Some(bench.account.clone()),
            reason: reason.map(str::to_owned),
            limit: 2,
        };
        let cursor = cursor.map(|text| text.parse().expect("a cursor"));
        let page = store.dead_letters(&filter, cursor.as_ref()).await;
        let page = page.expect("answers");
        let texts: Vec<_> = page
            .rows
            .into_iter()
            .map(|job| job.channel_message_id)
            .collect();
        (texts, page.next.map(|next| next.to_string()))
    };
    let (texts, next) = page(None, None).await;
    assert_eq!(texts, ["a2", "b1"]);
    let (texts, next) = page(None, next.as_deref()).await;
    assert_eq!((texts, next), (vec!["a1".to_owned()], None));
    assert_eq!(page(Some("y"), None).await.0, ["b1"]);
    let one = JobSelection::One(dead[1].clone());
    assert_eq!(store.discard_jobs(&one, "o").await.expect("answers"), 1);
    assert_eq!(store.discard_jobs(&one, "o").await.expect("answers"), 0);
    assert_eq!(bench.dead().await, ["a2", "a1"]);
    let job = bench.job(&dead[1]).await;
    assert_eq!(
        (job.status, job.error_reason.as_deref()),
        (JobStatus::Failed, Some("y"))
    );
    let all = JobSelection::All;
    assert_eq!(store.discard_jobs(&all, "o").await.expect("answers"), 2);
    assert_eq!(store.retry_jobs(&all, "o").await.expect("answers"), 0);
    assert_eq!(bench.actions().await, ["job.discarded"; 3]);
    assert_eq!(bench.take(10).await, []);
}

async fn the_depth_counts_what_waits_and_what_was_given_up(bench: &Bench) {
    bench.bury(&[(BOB, "b1", "x")]).await;
    bench
        .receive(&[(ALICE, "a1"), (ALICE, "a2"), (BOB, "b2")])
        .await;
    let other = "other".parse().expect("valid");
    bench.receive_as(&other, &[(ALICE, "o1")]).await;
    bench.claim_for(1, Duration::from_secs(60)).await;
    let mut depths = bench.store.queue_depths().await.expect("answers");
    for depth in &mut depths {
        let age = depth.oldest_age_ms.take().expect("something waits");
        assert!((0..60_000).contains(&age), "{age}");
    }
    let total = |pick: fn(&QueueDepth) -> i64| depths.iter().map(pick).sum::<i64>();
    assert_eq!(depths.len(), 2);
    assert_eq!((total(|d| d.pending), total(|d| d.processing)), (3, 1));
    let dead: Vec<_> = depths.iter().map(|depth| depth.dead).collect();
    assert_eq!(dead, [0, 1]);
}
