//! One webhook at work: claims, posts, settles.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::Webhook;
use super::answer::Verdict;
use super::post::Courier;
use crate::api::present;
use crate::jobs::Queue;
use crate::outbound::media::Accepting;
use crate::store::{Claim, ClaimRequest, Completed, Failure, Store, StoreError};

/// How long one claim waits for work.
const WAIT: Duration = Duration::from_secs(30);

/// Between the attempts to ask a receiver that fails: the first wait, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often the store is asked to take an outcome, and the first wait between.
const TRIES: u32 = 6;
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// What all webhooks of a process share.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The shared store.
    pub store: Store,
    /// Where work comes from.
    pub queue: Queue,
    /// Takes the files of replies in.
    pub accepting: Accepting,
    /// Brings work to receivers.
    pub courier: Courier,
}

/// One webhook of this process.
#[derive(Debug)]
pub(super) struct Consumer {
    desk: Desk,
    webhook: Webhook,
    grace: Duration,
    /// How often in a row the receiver failed.
    failures: AtomicU32,
}

impl Consumer {
    pub(super) fn new(desk: Desk, webhook: Webhook, grace: Duration) -> Self {
        Self {
            desk,
            webhook,
            grace,
            failures: AtomicU32::new(0),
        }
    }

    /// Takes jobs until `ending`, then waits for what was posted; after `stop` for no longer than the
    /// grace.
    pub(super) async fn run(self, ending: CancellationToken, stop: CancellationToken) {
        let seats = self.webhook.target.concurrency;
        let free = Arc::new(Semaphore::new(seats as usize));
        let posts = TaskTracker::new();
        let this = Arc::new(self);
        while !ending.is_cancelled() {
            // Nothing is claimed before the claim itself, which ends early by `ending`.
            let mut taken = tokio::select! {
                () = ending.cancelled() => break,
                taken = this.seats(&free, seats) => taken,
            };
            let request = this.request(taken.num_permits());
            let claims = match this.desk.queue.claim(&request, WAIT, &ending).await {
                Ok(claims) => claims,
                Err(error) => {
                    warn!(webhook = %this.webhook.name, %error, "[agent] Nothing can be claimed, retrying...");
                    // The loop looks at `ending` again, whichever it was.
                    let _ = tokio::time::timeout(FIRST_PAUSE, ending.cancelled()).await;
                    continue;
                }
            };
            for claim in claims {
                let seat = taken.split(1);
                let (this, stop) = (this.clone(), stop.clone());
                posts.spawn(async move {
                    this.serve(claim, stop).await;
                    drop(seat);
                });
            }
        }
        posts.close();
        posts.wait().await;
    }

    /// Waits for room. While the receiver fails: for a while, and until nothing is under way, so that
    /// one job after the other finds out whether it serves again.
    async fn seats(&self, free: &Arc<Semaphore>, all: u32) -> OwnedSemaphorePermit {
        let open = "the semaphore is never closed";
        loop {
            let Some(pause) = pause(self.failures.load(Ordering::Relaxed)) else {
                let mut taken = free.clone().acquire_owned().await.expect(open);
                let more = u32::try_from(free.available_permits()).unwrap_or(0);
                if let Ok(more) = free.clone().try_acquire_many_owned(more) {
                    taken.merge(more);
                }
                return taken;
            };
            let mut whole = free.clone().acquire_many_owned(all).await.expect(open);
            tokio::time::sleep(pause).await;
            if self.failures.load(Ordering::Relaxed) > 0 {
                return whole.split(1).expect("there is at least one");
            }
        }
    }

    fn request(&self, limit: usize) -> ClaimRequest {
        ClaimRequest {
            accounts: self.webhook.target.accounts.clone(),
            processor_id: self.webhook.processor_id(),
            limit,
            lock: self.desk.queue.lock(),
        }
    }

    /// Posts one job and settles it.
    async fn serve(&self, claim: Claim, stop: CancellationToken) {
        let (id, shown) = (&claim.job.job.job_id, present::claim(&claim));
        let courier = &self.desk.courier;
        let post = async {
            let posted = courier.post(&self.webhook, "agent.job", id.as_str(), &shown);
            self.with_files(posted.await).await
        };
        // What loses is dropped: a post that may have arrived, whose job will be posted again.
        let verdict = tokio::select! {
            verdict = post => verdict,
            () = self.keep(&claim) => return,
            () = self.overtime(&stop) => Verdict::Fail {
                failure: Failure {
                    reason: "worker_stopping".to_owned(),
                    message: None,
                    retryable: true,
                    retry_after: Some(Duration::ZERO),
                },
                down: false,
            },
        };
        match &verdict {
            Verdict::Fail { down: true, .. } => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Complete(_) | Verdict::Fail { .. } => {
                self.failures.store(0, Ordering::Relaxed);
            }
        }
        let mut wait = TRY_PAUSE;
        for _ in 0..TRIES {
            match self.settle(&claim, &verdict).await {
                Ok(()) => return,
                Err(error) => {
                    info!(webhook = %self.webhook.name, job = id.as_str(), %error, "[agent] An outcome is not taken, retrying...");
                }
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        warn!(webhook = %self.webhook.name, job = id.as_str(), "[agent] An outcome was not taken: the job will be posted again");
    }

    /// Renews the claim; returns when it is lost.
    async fn keep(&self, claim: &Claim) {
        let (queue, id) = (&self.desk.queue, &claim.job.job.job_id);
        loop {
            tokio::time::sleep(queue.lock() / 3).await;
            match queue.heartbeat(id, &claim.claim_token, None).await {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => {
                    info!(webhook = %self.webhook.name, %error, "[agent] A claim was not renewed, retrying...");
                }
            }
        }
    }

    /// Returns when the process has stopped for so long that an answer would come too late.
    async fn overtime(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        tokio::time::sleep(self.grace).await;
    }

    /// The files that replies name are taken in. One that cannot be had is the job's failure.
    async fn with_files(&self, verdict: Verdict) -> Verdict {
        let Verdict::Complete(mut completion) = verdict else {
            return verdict;
        };
        let mut replies = Vec::with_capacity(completion.replies.len());
        for (index, draft) in completion.replies.into_iter().enumerate() {
            if let Err(invalid) = draft.check() {
                return bad_reply(index, &invalid.field, &invalid.why);
            }
            match self.desk.accepting.prepare(draft).await {
                Ok(draft) => replies.push(draft),
                Err(problem) => {
                    return bad_reply(index, "content.media", &problem.to_string());
                }
            }
        }
        completion.replies = replies;
        Verdict::Complete(completion)
    }

    async fn settle(&self, claim: &Claim, verdict: &Verdict) -> Result<(), StoreError> {
        let (queue, id, token) = (&self.desk.queue, &claim.job.job.job_id, &claim.claim_token);
        let bad = match verdict {
            Verdict::Fail { failure, .. } => {
                queue.fail(id, token, failure).await?;
                return Ok(());
            }
            Verdict::Complete(completion) => match queue.complete(id, token, completion).await? {
                Completed::Done { .. } | Completed::Stale => return Ok(()),
                Completed::Invalid { reply, field, why } => bad_reply(reply, &field, &why),
            },
        };
        if let Verdict::Fail { failure, .. } = bad {
            queue.fail(id, token, &failure).await?;
        }
        Ok(())
    }
}

fn bad_reply(index: usize, field: &str, why: &str) -> Verdict {
    Verdict::never(
        "webhook_bad_answer",
        format!("replies[{index}].{field}: {why}"),
    )
}

/// How long a receiver that failed so often in a row is left alone.
fn pause(failures: u32) -> Option<Duration> {
    let doublings = failures.checked_sub(1)?.min(16);
    Some((FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_fails_is_asked_ever_more_seldom() {
        let seconds = |failures| pause(failures).map(|pause| pause.as_secs());
        assert_eq!(
            [0, 1, 2, 3, 6, 7, u32::MAX].map(seconds),
            [
                None,
                Some(1),
                Some(2),
                Some(4),
                Some(32),
                Some(60),
                Some(60)
            ]
        );
    }
}
