//! What the queue should be, beside what it is.

mod operator;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AnyConnection, Connection};
use whatsapp_worker::ids::{ClaimToken, ConversationId, JobId};
use whatsapp_worker::outbound::message::Draft;
use whatsapp_worker::store::{
    Accepted, ClaimRequest, Completed, Completion, Failed, Failure, Fence, Retries,
};

use super::Step;
use crate::store::{Bench, message, pn};

const RETRIES: Retries = Retries { max: 2 };
const LONG: Duration = Duration::from_secs(3600);

/// A lane as it should be.
#[derive(Debug, Default)]
struct Lane {
    /// Pending jobs, the next one first.
    queue: VecDeque<JobId>,
    active: Option<(JobId, ClaimToken)>,
    /// Its claim has run out, and nobody noticed yet.
    stale: bool,
    /// Its next job waits for its time.
    waits: bool,
    priority: i64,
}

#[derive(Debug, Default)]
struct Job {
    conv: Option<ConversationId>,
    attempts: i64,
    dead: bool,
    over: bool,
    replies: Vec<String>,
}

/// A claim that some agent has, or believes to have.
#[derive(Clone, Debug)]
struct Held {
    job: JobId,
    token: ClaimToken,
}

/// The store and the model of it.
pub(super) struct World<'a> {
    bench: &'a Bench,
    fence: Arc<Fence>,
    said: Vec<(usize, String)>,
    lanes: BTreeMap<ConversationId, Lane>,
    people: BTreeMap<usize, ConversationId>,
    jobs: BTreeMap<JobId, Job>,
    order: Vec<JobId>,
    claims: Vec<Held>,
    paused: bool,
    /// Past the store.
    eye: AnyConnection,
}

impl<'a> World<'a> {
    pub(super) async fn new(bench: &'a Bench) -> Self {
        let added = bench.store.add_account(&bench.account, "o").await;
        assert!(added.expect("answers"));
        Self {
            fence: bench.fence().await,
            bench,
            said: Vec::new(),
            lanes: BTreeMap::new(),
            people: BTreeMap::new(),
            jobs: BTreeMap::new(),
            order: Vec::new(),
            claims: Vec::new(),
            paused: false,
            eye: AnyConnection::connect(&bench.url).await.expect("connects"),
        }
    }

    pub(super) async fn take(&mut self, step: &Step) {
        match *step {
            Step::Receive { person, texts } => self.receive(person, texts).await,
            Step::Redeliver(n) => self.redeliver(n).await,
            Step::TakeOver => {
                let (epoch, beat) = (self.fence.epoch(), self.bench.beat().await);
                let taken = self.bench.bid(|bid| bid.unchanged = Some((epoch, beat)));
                self.fence = taken.await.expect("it did not beat");
            }
            Step::Claim { limit, short } => self.claim(limit, short).await,
            Step::Complete { claim, replies } => {
                if let Some(held) = self.held(claim) {
                    self.complete(&held, replies).await;
                }
            }
            Step::Fail {
                claim,
                retryable,
                at_once,
            } => {
                if let Some(held) = self.held(claim) {
                    self.fail(&held, retryable, at_once).await;
                }
            }
            Step::Renew(claim) => {
                if let Some(held) = self.held(claim) {
                    let renewed = self.bench.store.heartbeat_job(&held.job, &held.token, LONG);
                    let renewed = renewed.await.expect("answers").is_some();
                    assert_eq!(renewed, self.holds(&held));
                    if renewed {
                        self.lane_of(&held.job).stale = false;
                    }
                }
            }
            Step::Reap(limit) => {
                self.reap(limit).await;
            }
            Step::WaitsEnd => self.waits_end().await,
            Step::Retry(n) => self.retry(n).await,
            Step::ReplayAll => self.replay_all().await,
            Step::FailByHand(n) => self.end(n, true).await,
            Step::Cancel(n) => self.end(n, false).await,
            Step::Discard(n) => self.discard(n).await,
            Step::Prioritise { person, priority } => {
                if let Some(conv) = self.people.get(&person).cloned() {
                    let set = self.bench.store.set_lane_priority(&conv, priority, "o");
                    assert!(set.await.expect("answers"));
                    self.lanes.get_mut(&conv).expect("known").priority = priority;
                }
            }
            Step::Pause(paused) => {
                let turned = self.bench.store.pause_everything(paused, "o").await;
                assert_eq!(turned.expect("answers"), paused != self.paused);
                self.paused = paused;
            }
        }
    }

    fn held(&self, n: usize) -> Option<Held> {
        (!self.claims.is_empty()).then(|| self.claims[n % self.claims.len()].clone())
    }

    fn any_job(&self, n: usize) -> Option<JobId> {
        (!self.order.is_empty()).then(|| self.order[n % self.order.len()].clone())
    }

    fn lane_of(&mut self, job: &JobId) -> &mut Lane {
        let conv = self.jobs[job].conv.as_ref().expect("it has one");
        self.lanes.get_mut(conv).expect("known")
    }

    fn holds(&mut self, held: &Held) -> bool {
        let active = self.lane_of(&held.job).active.as_ref();
        active.is_some_and(|(job, token)| *job == held.job && *token == held.token)
    }

    async fn receive(&mut self, person: usize, texts: usize) {
        let who = format!("4915100000{person}");
        let mut messages = Vec::new();
        for _ in 0..texts {
            let text = format!("m{}", self.said.len());
            messages.push(message(&text, pn(&who), &text));
            self.said.push((person, text));
        }
        let accepted = self.bench.accept(&self.fence, messages).await;
        for accepted in accepted.expect("ours") {
            let Accepted::Queued {
                job, conversation, ..
            } = accepted
            else {
                panic!("{accepted:?}");
            };
            let known = self
                .people
                .entry(person)
                .or_insert_with(|| conversation.clone());
            assert_eq!(*known, conversation);
            let lane = self.lanes.entry(conversation.clone()).or_default();
            lane.queue.push_back(job.clone());
            self.order.push(job.clone());
            let conv = Some(conversation);
            self.jobs.insert(
                job,
                Job {
                    conv,
                    ..Job::default()
                },
            );
        }
    }

    async fn redeliver(&mut self, n: usize) {
        if self.said.is_empty() {
            return;
        }
        let (person, text) = &self.said[n % self.said.len()];
        let again = message(text, pn(&format!("4915100000{person}")), text);
        let accepted = self.bench.accept(&self.fence, vec![again]).await;
        assert_eq!(accepted.expect("ours"), [Accepted::Duplicate]);
    }

    async fn claim(&mut self, limit: usize, short: bool) {
        let request = ClaimRequest {
            accounts: None,
            processor_id: "walker".to_owned(),
            limit,
            lock: if short { Duration::ZERO } else { LONG },
        };
        let claims = self
            .bench
            .store
            .claim_jobs(&request)
            .await
            .expect("answers");
        let paused = self.paused;
        let mut eligible: Vec<i64> = self
            .lanes
            .values()
            .filter(|lane| {
                !paused && lane.active.is_none() && !lane.waits && !lane.queue.is_empty()
            })
            .map(|lane| -lane.priority)
            .collect();
        eligible.sort_unstable();
        eligible.truncate(limit);
        let mut taken = Vec::new();
        for claim in claims {
            let job = claim.job.job.job_id.clone();
            let lane = self.lane_of(&job);
            assert_eq!(lane.active, None, "two claims of one lane");
            assert!(!lane.waits, "claimed before its time");
            assert_eq!(lane.queue.pop_front().as_ref(), Some(&job), "out of order");
            lane.active = Some((job.clone(), claim.claim_token.clone()));
            lane.stale = short;
            taken.push(-lane.priority);
            let known = self.jobs.get_mut(&job).expect("known");
            known.attempts += 1;
            assert_eq!(known.attempts, claim.attempt);
            let token = claim.claim_token;
            self.claims.push(Held { job, token });
        }
        assert_eq!(taken, eligible, "high lanes first, and none left out");
    }

    async fn complete(&mut self, held: &Held, replies: usize) {
        let texts: Vec<String> = (0..replies)
            .map(|n| format!("{} {n} {}", held.job.as_str(), held.token.as_str()))
            .collect();
        let completion = Completion {
            result: None,
            replies: texts.iter().map(Draft::text).collect(),
        };
        let store = &self.bench.store;
        let done = store.complete_job(&held.job, &held.token, &completion);
        match done.await.expect("answers") {
            Completed::Done { again: false, .. } => {
                assert!(self.holds(held), "completed by a lost claim");
                let lane = self.lane_of(&held.job);
                (lane.active, lane.stale) = (None, false);
                let job = self.jobs.get_mut(&held.job).expect("known");
                (job.over, job.replies) = (true, texts);
            }
            Completed::Done { messages, .. } => {
                let job = &self.jobs[&held.job];
                assert!(job.over, "done again, but never done");
                assert_eq!(messages.len(), job.replies.len());
            }
            Completed::Stale => assert!(!self.holds(held), "a claim that holds was refused"),
            invalid @ Completed::Invalid { .. } => panic!("{invalid:?}"),
        }
    }

    async fn fail(&mut self, held: &Held, retryable: bool, at_once: bool) {
        let failure = Failure {
            reason: "walk".to_owned(),
            message: None,
            retryable,
            retry_after: Some(if at_once { Duration::ZERO } else { LONG }),
        };
        let store = &self.bench.store;
        let failed = store
            .fail_job(&held.job, &held.token, &failure, RETRIES)
            .await;
        let failed = failed.expect("answers");
        assert_eq!(failed != Failed::Stale, self.holds(held));
        self.give_back(&held.job, &failed, !at_once);
    }

    /// What a failed attempt leaves.
    fn give_back(&mut self, job: &JobId, failed: &Failed, waits: bool) {
        match failed {
            Failed::Stale => return,
            Failed::Retried { work, .. } => {
                assert_eq!(work.attempt, self.jobs[job].attempts);
                let lane = self.lane_of(job);
                lane.queue.push_front(job.clone());
                lane.waits = waits;
            }
            Failed::Dead { .. } => self.jobs.get_mut(job).expect("known").dead = true,
        }
        let lane = self.lane_of(job);
        (lane.active, lane.stale) = (None, false);
    }

    async fn reap(&mut self, limit: i64) -> usize {
        let expired = self.bench.store.requeue_stale(limit, RETRIES).await;
        let expired = expired.expect("answers");
        let stale = self.lanes.values().filter(|lane| lane.stale).count();
        let limit = usize::try_from(limit).expect("small");
        assert_eq!(expired.len(), stale.min(limit));
        for claim in &expired {
            assert!(self.lane_of(&claim.job).stale, "it had not run out");
            self.give_back(&claim.job, &claim.outcome, false);
        }
        expired.len()
    }

    async fn waits_end(&mut self) {
        let due = "UPDATE lanes SET ready_at = 0 WHERE state = 'ready'";
        self.bench.sql(due).await.expect("writes");
        self.lanes.values_mut().for_each(|lane| lane.waits = false);
    }

    /// What must be true at any time.
    pub(super) async fn check(&mut self) {
        for broken in [
            "lanes l WHERE l.state = 'idle' AND EXISTS(SELECT 1 FROM jobs j
               WHERE j.conv = l.conv AND j.status = 'pending')",
            "lanes l WHERE l.state = 'ready' AND NOT EXISTS(SELECT 1 FROM jobs j
               WHERE j.conv = l.conv AND j.status = 'pending')",
            "lanes l WHERE (l.state = 'busy') <> EXISTS(SELECT 1 FROM jobs j WHERE j.conv = l.conv
               AND j.status = 'processing' AND j.claim_token = l.lock_token)",
            "jobs j WHERE j.dead = 1 AND j.status <> 'failed'",
        ] {
            assert_eq!(self.count(broken).await, 0, "{broken}");
        }
        let replies: usize = self.jobs.values().map(|job| job.replies.len()).sum();
        assert_eq!(
            self.count("outbox").await,
            i64::try_from(replies).expect("small")
        );
    }

    async fn count(&mut self, rows: &str) -> i64 {
        let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {rows}"));
        let count = sqlx::query_scalar(count).fetch_one(&mut self.eye);
        count.await.expect("counts")
    }

    /// Works until nothing is left, and looks at all of it.
    pub(super) async fn work_off(&mut self) {
        self.take(&Step::Pause(false)).await;
        while self
            .lanes
            .values()
            .any(|lane| lane.active.is_some() || !lane.queue.is_empty())
        {
            for held in self.claims.clone() {
                if self.holds(&held) {
                    self.complete(&held, 1).await;
                }
            }
            self.reap(1000).await;
            self.waits_end().await;
            self.claim(10, false).await;
        }
        self.check().await;
        let mut expected: Vec<String> = Vec::new();
        for job in self.jobs.values() {
            assert!(job.over || job.dead);
            expected.extend(job.replies.iter().cloned());
        }
        let mut sent = self.bench.outgoing().await;
        expected.sort();
        sent.sort();
        assert_eq!(sent, expected, "each reply once");
    }
}
