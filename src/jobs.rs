//! The agent queue, as the processes that serve agents use it.
//!
//! Agents claim jobs, work, and complete or fail them; in between they may renew their claims. What is
//! decided about a job is decided in the [store](crate::store), in one transaction each; here are the
//! waiting for work, the events, and the two chores that any process may do: giving back what its agent
//! never finished, and forgetting what is old.
//!
//! Failures: a store that does not answer is told to whoever asked, and the chores try again. An agent
//! that dies loses its claim when that runs out, and the next attempt may find the work half done: the
//! job is worked on at least once, its replies are sent once.

mod janitor;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::Boot;
use crate::ids::{ClaimToken, JobId};
use crate::store::{
    Claim, ClaimRequest, Completed, Completion, Failed, Failure, Retention, Retries, Store,
    StoreError, Topic,
};
use crate::telemetry::event::{Event, emit};

/// How often those who wait look by themselves, should they not be woken.
const LOOK: Duration = Duration::from_secs(5);

/// When others claim the same lanes at the same moment, until they have committed.
const BREATH: Duration = Duration::from_millis(10);

/// How often claims that ran out are looked for.
const REAP: Duration = Duration::from_secs(1);

/// How many of them one transaction gives back.
const REAPED: i64 = 100;

/// How the queue works.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// How long a claim holds unless it says otherwise.
    pub lock: Duration,
    /// How often a failed job is tried again.
    pub retries: Retries,
    /// How long what is finished is kept.
    pub retention: Retention,
}

/// The queue. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Queue {
    store: Store,
    options: QueueOptions,
}

impl Queue {
    /// The queue of `store`.
    pub fn new(store: Store, options: QueueOptions) -> Self {
        Self { store, options }
    }

    /// How long a claim holds unless it says otherwise.
    pub fn lock(&self) -> Duration {
        self.options.lock
    }

    /// Claims jobs as soon as there are any; none when `wait` is over or at `stop`. When it is dropped
    /// in between, what it had just claimed stays claimed until that runs out.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn claim(
        &self,
        request: &ClaimRequest,
        wait: Duration,
        stop: &CancellationToken,
    ) -> Result<Vec<Claim>, StoreError> {
        let until = Boot::now().plus(wait);
        let mut changes = self.store.watch(Topic::Jobs);
        loop {
            let outlook = self.store.outlook(request.accounts.as_deref()).await?;
            let pause = if outlook.is_empty() {
                outlook.next_in.map_or(LOOK, |next| next.min(LOOK))
            } else {
                let claims = self.store.claim_where(request, outlook).await?;
                if !claims.is_empty() {
                    claims.iter().for_each(|claim| tell_claim(claim, request));
                    return Ok(claims);
                }
                BREATH
            };
            let left = until.remaining();
            if left.is_zero() {
                return Ok(Vec::new());
            }
            // Whoever loses the race is asked again in the next round.
            tokio::select! {
                () = stop.cancelled() => return Ok(Vec::new()),
                () = changes.next() => {}
                () = tokio::time::sleep(pause.min(left)) => {}
            }
        }
    }

    /// Renews a claim for `lock`, or for as long as is set; returns until when, by the store's clock.
    /// `None`: it was lost.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn heartbeat(
        &self,
        job: &JobId,
        token: &ClaimToken,
        lock: Option<Duration>,
    ) -> Result<Option<i64>, StoreError> {
        let lock = lock.unwrap_or(self.options.lock);
        let until = self.store.heartbeat_job(job, token, lock).await?;
        if until.is_none() {
            tell_loss(job);
        }
        Ok(until)
    }

    /// As [`Store::complete_job`].
    ///
    /// # Errors
    /// As there.
    pub async fn complete(
        &self,
        job: &JobId,
        token: &ClaimToken,
        completion: &Completion,
    ) -> Result<Completed, StoreError> {
        let completed = self.store.complete_job(job, token, completion).await?;
        match &completed {
            Completed::Done {
                account,
                messages,
                again: false,
                work,
            } => emit(Event::JobCompleted {
                account,
                job_id: job.as_str(),
                replies: messages.len(),
                attempt: work.attempt,
                took_ms: work.took_ms,
            }),
            Completed::Done { again: true, .. } | Completed::Invalid { .. } => {}
            Completed::Stale => tell_loss(job),
        }
        Ok(completed)
    }

    /// As [`Store::fail_job`], with the retries that are set.
    ///
    /// # Errors
    /// As there.
    pub async fn fail(
        &self,
        job: &JobId,
        token: &ClaimToken,
        failure: &Failure,
    ) -> Result<Failed, StoreError> {
        let retries = self.options.retries;
        let failed = self.store.fail_job(job, token, failure, retries).await?;
        tell_failure(job, &failure.reason, &failed);
        Ok(failed)
    }

    /// Does the chores until `stop`. Not cancel safe in the sense that what it just did may not be told
    /// as an event.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::join!(
            self.reap(&stop),
            janitor::run(&self.store, self.options.retention, &stop)
        );
    }

    async fn reap(&self, stop: &CancellationToken) {
        loop {
            let expired = self.store.requeue_stale(REAPED, self.options.retries).await;
            let expired = expired.unwrap_or_else(|error| {
                warn!(%error, "claims that ran out could not be given back, retrying...");
                Vec::new()
            });
            for claim in &expired {
                emit(Event::JobLeaseLost {
                    account: claim.outcome.account(),
                    job_id: claim.job.as_str(),
                    processor_id: claim.processor_id.as_deref(),
                });
                tell_failure(&claim.job, claim.reason(), &claim.outcome);
            }
            let full = i64::try_from(expired.len()).is_ok_and(|done| done == REAPED);
            let pause = if full { Duration::ZERO } else { REAP };
            // A pause holds nothing.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

fn tell_claim(claim: &Claim, request: &ClaimRequest) {
    emit(Event::JobClaimed {
        account: &claim.job.job.account_id,
        job_id: claim.job.job.job_id.as_str(),
        processor_id: &request.processor_id,
        attempt: claim.attempt,
    });
}

fn tell_loss(job: &JobId) {
    emit(Event::JobLeaseLost {
        account: None,
        job_id: job.as_str(),
        processor_id: None,
    });
}

fn tell_failure(job: &JobId, reason: &str, failed: &Failed) {
    match failed {
        Failed::Retried { account, at, work } => emit(Event::JobRetried {
            account,
            job_id: job.as_str(),
            reason,
            attempt: work.attempt,
            took_ms: work.took_ms,
            at: *at,
        }),
        Failed::Dead { account, work } => emit(Event::JobFailed {
            account,
            job_id: job.as_str(),
            reason,
            attempt: work.attempt,
            took_ms: work.took_ms,
        }),
        Failed::Stale => tell_loss(job),
    }
}
