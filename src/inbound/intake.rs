//! Gathers messages that arrive together and commits them as one transaction.
//!
//! One task per term owns the commits of its account, so they happen in the order of arrival. While
//! one transaction is being flushed to disk, the next messages gather: a busy account pays for few
//! flushes, an idle one waits for none.

mod told;

use std::iter::repeat_n;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::backfill::Gap;
use super::disposition::{Awaited, Disposition, dispose};
use super::identity::Identity;
use super::message::Inbound;
use super::policy::Policy;
use super::summary::summary;
use crate::clock::Boot;
use crate::lease::trust::Trust;
use crate::store::{Accepted, Arrival, Fence, Store, StoreError};
use crate::telemetry::meters;

/// Batches that may wait for the committer; the session's hook waits when it is full.
const WAITING: usize = 256;
/// Messages in one transaction, so that it stays short for other writers: replies of the same account wait
/// their turn behind it, some times each.
const TOGETHER: usize = 100;
/// Between two tries of a commit that the store did not take.
const RETRY: Duration = Duration::from_millis(200);

/// Why messages were not committed. They must not be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The lease is lost.
    #[error("the lease is lost")]
    Fenced,
    /// The store did not take them before trust ran out.
    #[error("the store did not take the messages before trust in the lease ran out")]
    Untrusted,
    /// The committer has ended.
    #[error("the intake is closed")]
    Closed,
}

/// The way in. Clones lead to the same committer.
#[derive(Clone, Debug)]
pub struct Intake {
    way: mpsc::Sender<Batch>,
    policy: Arc<Policy>,
}

#[derive(Debug)]
struct Batch {
    arrivals: Vec<Arrival>,
    /// When they were handed in.
    came: Boot,
    done: oneshot::Sender<Result<(), Arc<IntakeError>>>,
}

/// A message on its way in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// What is known of it.
    pub message: Inbound,
    /// It cannot be read so far: how to await it.
    pub awaited: Option<Awaited>,
}

/// Messages that were handed in: their place before those that are handed in later is certain.
#[derive(Debug)]
#[must_use]
pub struct Committing(oneshot::Receiver<Result<(), Arc<IntakeError>>>);

impl Committing {
    /// `Ok`: durable, acknowledge them. If the call is dropped they may be committed all the same, which
    /// dedupe then sees.
    ///
    /// # Errors
    /// [`IntakeError`]: none of them may be acknowledged.
    pub async fn done(self) -> Result<(), Arc<IntakeError>> {
        self.0.await.map_err(|_| Arc::new(IntakeError::Closed))?
    }
}

/// The task behind an [`Intake`]. Dropping it ends the intake.
#[derive(Debug)]
pub struct Committer {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Committer {
    /// Takes nothing more in, and resolves when what was handed in before is committed or refused.
    pub async fn finish(mut self) {
        self.stop.cancel();
        // A panic has been reported by the runtime; either way nothing is committed any more.
        let _ = (&mut self.task).await;
    }
}

/// Opens the intake of one term.
pub fn open(store: Store, fence: Arc<Fence>, trust: Trust, policy: Policy) -> (Intake, Committer) {
    let (way, waiting) = mpsc::channel(WAITING);
    let stop = CancellationToken::new();
    let task = tokio::spawn(commit_all(store, fence, trust, waiting, stop.clone()));
    let intake = Intake {
        way,
        policy: Arc::new(policy),
    };
    let task = AbortOnDropHandle::new(task);
    (intake, Committer { stop, task })
}

/// An intake that commits nothing and refuses nothing: what a benchmark compares with.
#[cfg(feature = "simulator")]
pub fn discard(policy: Policy) -> (Intake, Committer) {
    let (way, mut waiting) = mpsc::channel::<Batch>(WAITING);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let discarding = async {
            while let Some(batch) = waiting.recv().await {
                // The hook that asked may be gone with its connection.
                let _ = batch.done.send(Ok(()));
            }
        };
        // Nothing is kept, so nothing is lost with the branch that is dropped.
        tokio::select! {
            () = stopped.cancelled() => {}
            () = discarding => {}
        }
    });
    let intake = Intake {
        way,
        policy: Arc::new(policy),
    };
    let task = AbortOnDropHandle::new(task);
    (intake, Committer { stop, task })
}

impl Intake {
    /// Hands in messages, which are committed in their order, each as the closed table says. One that
    /// cannot be read is awaited if it would be a job, and forgotten otherwise.
    ///
    /// # Errors
    /// [`IntakeError::Closed`].
    pub async fn hand_in(&self, incoming: Vec<Incoming>) -> Result<Committing, Arc<IntakeError>> {
        let decide = |incoming: Incoming| {
            let disposition = dispose(&incoming.message, &self.policy);
            match (incoming.awaited, disposition) {
                (None, disposition) => Some((disposition, incoming.message)),
                (Some(awaited), Disposition::Failed { .. }) => {
                    Some((Disposition::Awaited(awaited), incoming.message))
                }
                (Some(_), _) => None,
            }
        };
        self.queue(incoming.into_iter().filter_map(decide).collect())
            .await
    }

    /// Whether nothing is taken in any more.
    pub fn is_closed(&self) -> bool {
        self.way.is_closed()
    }

    /// Commits `messages` of the past in their order, each as `gap` says.
    ///
    /// # Errors
    /// As [`Intake::accept`].
    pub async fn accept_past(
        &self,
        messages: Vec<Inbound>,
        gap: &Gap,
    ) -> Result<(), Arc<IntakeError>> {
        let decided = messages
            .into_iter()
            .map(|inbound| (gap.dispose(&inbound, &self.policy), inbound));
        self.queue(decided.collect()).await?.done().await
    }

    async fn queue(
        &self,
        decided: Vec<(Disposition, Inbound)>,
    ) -> Result<Committing, Arc<IntakeError>> {
        let arrivals: Vec<Arrival> = decided
            .into_iter()
            .map(|(disposition, inbound)| Arrival {
                identity: Identity::of(&inbound),
                disposition,
                summary: inbound
                    .content
                    .as_ref()
                    .map_or_else(|_| "malformed".to_owned(), summary),
                inbound,
            })
            .collect();
        let came = Boot::now();
        let (done, outcome) = oneshot::channel();
        if arrivals.is_empty() {
            // Nothing to commit is no transaction.
            let _ = done.send(Ok(()));
            return Ok(Committing(outcome));
        }
        self.way
            .send(Batch {
                arrivals,
                came,
                done,
            })
            .await
            .map_err(|_| Arc::new(IntakeError::Closed))?;
        Ok(Committing(outcome))
    }
}

async fn commit_all(
    store: Store,
    fence: Arc<Fence>,
    trust: Trust,
    mut waiting: mpsc::Receiver<Batch>,
    stop: CancellationToken,
) {
    let mut gathered = Vec::new();
    loop {
        // A batch that loses the race stays in the queue, which is emptied after it is closed.
        let received = tokio::select! {
            biased;
            () = stop.cancelled(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
            received = waiting.recv_many(&mut gathered, WAITING) => received,
        };
        if received == 0 {
            return;
        }
        while !gathered.is_empty() {
            let mut messages = 0;
            let together = gathered
                .iter()
                .take_while(|batch| {
                    let first = messages == 0;
                    messages += batch.arrivals.len();
                    first || messages <= TOGETHER
                })
                .count();
            let batches: Vec<Batch> = gathered.drain(..together).collect();
            if !commit(&store, &fence, &trust, batches).await {
                // Nothing can be committed any more: nothing may be done for the account either.
                trust.revoke();
                return;
            }
        }
    }
}

/// Commits `batches` and answers them; `false` when no later commit can succeed either.
async fn commit(store: &Store, fence: &Fence, trust: &Trust, batches: Vec<Batch>) -> bool {
    let came: Vec<Boot> = batches
        .iter()
        .flat_map(|batch| repeat_n(batch.came, batch.arrivals.len()))
        .collect();
    let (arrivals, answers): (Vec<_>, Vec<_>) = batches
        .into_iter()
        .map(|batch| (batch.arrivals, batch.done))
        .unzip();
    let mut arrivals: Vec<Arrival> = arrivals.into_iter().flatten().collect();
    let outcome = match commit_until_trust_ends(store, fence, trust, &arrivals).await {
        Err(Obstacle::Rejected(_)) => commit_one_by_one(store, fence, trust, &mut arrivals).await,
        outcome => outcome,
    };
    let outcome = outcome.map_err(|obstacle| match obstacle {
        Obstacle::Fenced => IntakeError::Fenced,
        Obstacle::Untrusted | Obstacle::Rejected(_) => IntakeError::Untrusted,
    });
    let alive = outcome.is_ok();
    if let Ok(results) = &outcome {
        let now = Boot::now();
        for ((arrival, accepted), came) in arrivals.iter().zip(results).zip(came) {
            told::tell(fence, arrival, accepted, now.since(came));
        }
    }
    let outcome = outcome.map(drop).map_err(Arc::new);
    for done in answers {
        // The hook that asked may be gone with its connection; the commit stands.
        let _ = done.send(outcome.clone());
    }
    alive
}

/// Why a commit did not happen.
enum Obstacle {
    Fenced,
    Untrusted,
    Rejected(String),
}

/// One message that the store refuses must not hold up its neighbours: it becomes a failed job.
async fn commit_one_by_one(
    store: &Store,
    fence: &Fence,
    trust: &Trust,
    arrivals: &mut [Arrival],
) -> Result<Vec<Accepted>, Obstacle> {
    let mut results = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        let one = std::slice::from_ref(arrival);
        let mut outcome = commit_until_trust_ends(store, fence, trust, one).await;
        if let (Err(Obstacle::Rejected(reason)), Disposition::Awaited(_)) =
            (&outcome, &arrival.disposition)
        {
            warn!(account = %fence.account(), reason, "no place can be kept for a message that cannot be read");
            results.push(Accepted::Awaited);
            continue;
        }
        if let Err(Obstacle::Rejected(reason)) = &outcome {
            warn!(account = %fence.account(), reason, "the store refuses a message: it becomes a failed job");
            arrival.disposition = Disposition::Failed {
                reason: reason.clone(),
            };
            let one = std::slice::from_ref(arrival);
            outcome = commit_until_trust_ends(store, fence, trust, one).await;
        }
        results.extend(outcome?);
    }
    Ok(results)
}

async fn commit_until_trust_ends(
    store: &Store,
    fence: &Fence,
    trust: &Trust,
    arrivals: &[Arrival],
) -> Result<Vec<Accepted>, Obstacle> {
    let mut told = false;
    loop {
        if !trust.holds() {
            return Err(Obstacle::Untrusted);
        }
        let began = Boot::now();
        match store.accept_inbound(fence, arrivals).await {
            Ok(results) => {
                meters::committed(Boot::now().since(began));
                return Ok(results);
            }
            Err(StoreError::Fenced(_)) => return Err(Obstacle::Fenced),
            Err(error @ StoreError::Rejected(_)) => {
                return Err(Obstacle::Rejected(error.to_string()));
            }
            Err(error) => {
                if !told {
                    warn!(account = %fence.account(), %error, "messages wait for the store");
                    told = true;
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
