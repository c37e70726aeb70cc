//! The agent queue: claims, how they end, and what operators do.

mod ending;
mod operating;
mod retention;
mod storm;
mod topics;
mod walks;

use std::time::Duration;

use whatsapp_worker::ids::{AccountId, ConversationId, JobId};
use whatsapp_worker::outbound::message::Draft;
use whatsapp_worker::store::{
    Claim, ClaimRequest, Completed, Completion, Failure, Job, JobStatus, Retries,
};

use super::{Bench, message, pn, queued};

on_every_engine!(
    a_conversation_has_one_claim_and_its_order_and_others_go_on_beside_it,
    a_claim_tells_the_message_and_who_has_it_until_when,
    high_lanes_come_first_and_low_ones_last,
    accounts_share_a_claim_and_a_filter_keeps_to_its_own,
    nothing_is_claimed_for_what_is_paused,
    a_lane_that_says_ready_without_work_is_put_right,
);

const LOCK: Duration = Duration::from_secs(60);
const RETRIES: Retries = Retries { max: 3 };

/// Numbers of people.
const ALICE: &str = "49151000001";
const BOB: &str = "49151000002";

impl Bench {
    /// Commits texts of these people, each its id as well, as messages of the bench's account.
    async fn receive(&self, texts: &[(&str, &str)]) {
        let account = self.account.clone();
        self.receive_as(&account, texts).await;
    }

    async fn receive_as(&self, account: &AccountId, texts: &[(&str, &str)]) {
        self.store.add_account(account, "o").await.expect("answers");
        let before = self.store.lease(account).await.expect("answers");
        let fence = self
            .bid(|bid| {
                bid.account = account;
                bid.unchanged = before.map(|row| (row.epoch, row.beat));
            })
            .await
            .expect("the lease is taken anew");
        let messages = texts.iter().map(|(who, text)| message(text, pn(who), text));
        let accepted = self.accept(&fence, messages.collect()).await.expect("ours");
        assert!(accepted.iter().all(queued));
    }

    async fn take(&self, limit: usize) -> Vec<Claim> {
        self.claim_for(limit, LOCK).await
    }

    async fn claim_for(&self, limit: usize, lock: Duration) -> Vec<Claim> {
        let request = ClaimRequest {
            accounts: None,
            processor_id: "agent-1".to_owned(),
            limit,
            lock,
        };
        self.store.claim_jobs(&request).await.expect("answers")
    }

    async fn take_one(&self) -> Claim {
        let mut claims = self.take(1).await;
        claims.pop().expect("there is work")
    }

    async fn complete(&self, claim: &Claim, replies: &[&str]) -> Completed {
        let completion = Completion {
            result: None,
            replies: replies.iter().map(|text| Draft::text(*text)).collect(),
        };
        self.store
            .complete_job(&claim.job.job.job_id, &claim.claim_token, &completion)
            .await
            .expect("answers")
    }

    async fn job(&self, id: &JobId) -> Job {
        let detail = self.store.job(id).await.expect("answers");
        detail.expect("there").job
    }

    /// Where each job stands, by its message, in the order of arrival.
    async fn standing(&self) -> Vec<(String, JobStatus)> {
        self.jobs()
            .await
            .into_iter()
            .map(|job| (job.channel_message_id, job.status))
            .collect()
    }
}

fn said(claims: &[Claim]) -> Vec<&str> {
    claims
        .iter()
        .map(|claim| claim.job.job.channel_message_id.as_str())
        .collect()
}

fn id(claim: &Claim) -> &JobId {
    &claim.job.job.job_id
}

fn conversation(claim: &Claim) -> &ConversationId {
    &claim.job.job.conversation_id
}

fn failure(retry_after: Option<Duration>) -> Failure {
    Failure {
        reason: "agent_error".to_owned(),
        message: Some("it broke".to_owned()),
        retryable: true,
        retry_after,
    }
}

async fn a_conversation_has_one_claim_and_its_order_and_others_go_on_beside_it(bench: &Bench) {
    bench
        .receive(&[(ALICE, "a1"), (ALICE, "a2"), (BOB, "b1"), (ALICE, "a3")])
        .await;
    let first = bench.take(10).await;
    let mut both = said(&first);
    both.sort_unstable();
    assert_eq!(both, ["a1", "b1"]);
    assert_eq!(bench.take(10).await, []);
    bench.receive(&[(ALICE, "a4")]).await;
    assert_eq!(bench.take(10).await, []);
    for claim in &first {
        assert!(matches!(
            bench.complete(claim, &[]).await,
            Completed::Done { .. }
        ));
    }
    for expected in ["a2", "a3", "a4"] {
        let claim = bench.take_one().await;
        assert_eq!(said(std::slice::from_ref(&claim)), [expected]);
        bench.complete(&claim, &[]).await;
    }
    assert_eq!(bench.take(10).await, []);
    bench.receive(&[(BOB, "b2")]).await;
    assert_eq!(said(&bench.take(10).await), ["b2"]);
}

async fn a_claim_tells_the_message_and_who_has_it_until_when(bench: &Bench) {
    bench.receive(&[(ALICE, "hello")]).await;
    let before = bench.store.now_ms().await.expect("answers");
    let claim = bench.take_one().await;
    assert_eq!(claim.attempt, 1);
    assert!(claim.locked_until >= before + 60_000);
    assert_eq!(claim.job.content["body"], "hello");
    assert_eq!(claim.job.push_name.as_deref(), Some("Alice"));
    assert_eq!(claim.job.job.account_id, bench.account);
    let stored = bench.job(id(&claim)).await;
    assert_eq!(stored, claim.job.job);
    assert_eq!(stored.status, JobStatus::Processing);
    assert_eq!(stored.processor_id.as_deref(), Some("agent-1"));
    assert_eq!(stored.locked_until, Some(claim.locked_until));
    assert!(stored.started_at.expect("now") >= before);
    let json = serde_json::to_value(&claim).expect("JSON");
    assert_eq!(json["claimToken"], claim.claim_token.as_str());
    assert_eq!(json["job"]["channelMessageId"], "hello");
}

async fn high_lanes_come_first_and_low_ones_last(bench: &Bench) {
    let people = ["49151000001", "49151000002", "49151000003"];
    for (n, who) in people.iter().enumerate() {
        bench.receive(&[(who, &format!("{n}"))]).await;
    }
    let mut claims = bench.take(3).await;
    claims.sort_by(|one, other| {
        said(std::slice::from_ref(one)).cmp(&said(std::slice::from_ref(other)))
    });
    assert_eq!(said(&claims), ["0", "1", "2"]);
    let store = &bench.store;
    for (claim, priority) in claims.iter().zip([-1, 0, 1]) {
        let conv = conversation(claim);
        assert!(
            store
                .set_lane_priority(conv, priority, "o")
                .await
                .expect("answers")
        );
        assert!(store.set_lane_priority(conv, 2, "o").await.is_err());
        bench.complete(claim, &[]).await;
    }
    let nobody = ConversationId("conv_none".to_owned());
    assert!(
        !store
            .set_lane_priority(&nobody, 1, "o")
            .await
            .expect("answers")
    );
    for (n, who) in people.iter().enumerate() {
        bench.receive(&[(who, &format!("again {n}"))]).await;
    }
    assert_eq!(said(&bench.take(1).await), ["again 2"]);
    assert_eq!(said(&bench.take(2).await), ["again 1", "again 0"]);
}

async fn accounts_share_a_claim_and_a_filter_keeps_to_its_own(bench: &Bench) {
    let other: AccountId = "other".parse().expect("valid");
    let crowd: Vec<(String, String)> = (0..20)
        .map(|n| (format!("4915200{n:04}"), format!("m{n}")))
        .collect();
    let texts: Vec<(&str, &str)> = crowd
        .iter()
        .map(|(who, text)| (who.as_str(), text.as_str()))
        .collect();
    bench.receive(&texts).await;
    bench
        .receive_as(&other, &[(ALICE, "o1"), (BOB, "o2")])
        .await;
    let claims = bench.take(4).await;
    let of_other = claims
        .iter()
        .filter(|claim| claim.job.job.account_id == other);
    assert_eq!((claims.len(), of_other.count()), (4, 2));
    let only = |accounts: Vec<AccountId>| ClaimRequest {
        accounts: Some(accounts),
        processor_id: "agent-1".to_owned(),
        limit: 100,
        lock: LOCK,
    };
    let claim = async |accounts| {
        bench
            .store
            .claim_jobs(&only(accounts))
            .await
            .expect("answers")
    };
    assert_eq!(claim(vec![]).await, []);
    assert_eq!(claim(vec![other.clone()]).await, []);
    let rest = claim(vec![bench.account.clone(), other]).await;
    assert_eq!(rest.len(), 18);
}

async fn nothing_is_claimed_for_what_is_paused(bench: &Bench) {
    let (store, other) = (&bench.store, "other".parse().expect("valid"));
    bench.receive(&[(ALICE, "a1"), (BOB, "b1")]).await;
    bench.receive_as(&other, &[(ALICE, "o1")]).await;
    let paused = async |paused| store.set_paused(&bench.account, paused, "o").await;
    let everything = async |paused| store.pause_everything(paused, "o").await;
    let look = async || store.outlook(None).await.expect("answers");
    let before = look().await;
    assert!(paused(true).await.expect("answers"));
    // Also by somebody who looked before.
    let request = ClaimRequest {
        accounts: Some(vec![bench.account.clone()]),
        processor_id: "late".to_owned(),
        limit: 10,
        lock: LOCK,
    };
    let late = store.claim_where(&request, before).await.expect("answers");
    assert!(!said(&late).contains(&"a1") && !said(&late).contains(&"b1"));
    assert_eq!(said(&late), ["o1"]);
    assert!(look().await.is_empty());
    assert!(paused(false).await.expect("answers"));
    assert!(everything(true).await.expect("answers"));
    assert!(!everything(true).await.expect("answers"));
    let controls = store.controls().await.expect("answers");
    assert!(controls.paused && controls.since.is_some());
    assert_eq!(controls.actor.as_deref(), Some("o"));
    assert_eq!(bench.take(10).await, []);
    // What was claimed before is finished.
    let done = bench.complete(&late[0], &["bye"]).await;
    assert!(matches!(done, Completed::Done { .. }));
    assert!(everything(false).await.expect("answers"));
    assert_eq!(bench.take(10).await.len(), 2);
}

async fn a_lane_that_says_ready_without_work_is_put_right(bench: &Bench) {
    bench.receive(&[(ALICE, "a1")]).await;
    let claim = bench.take_one().await;
    bench.complete(&claim, &[]).await;
    let ready = "UPDATE lanes SET state = 'ready'";
    bench.sql(ready).await.expect("writes");
    assert_eq!(bench.take(10).await, []);
    assert!(bench.store.outlook(None).await.expect("answers").is_empty());
    bench.receive(&[(ALICE, "a2")]).await;
    assert_eq!(said(&bench.take(10).await), ["a2"]);
}
