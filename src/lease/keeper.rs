//! Keeps one lease alive, and says when it is gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::beacon::Beacon;
use super::timing::LeaseTiming;
use super::trust::Trust;
use crate::clock::Boot;
use crate::ids::OwnerId;
use crate::store::{Fence, Store};
use crate::telemetry::event::{self, Event};

/// After a failed heartbeat the next one does not wait for its turn.
const RETRY: Duration = Duration::from_secs(1);

/// Why a term ended without being released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The store says that the lease is not ours any more.
    Refused,
    /// No heartbeat was answered until trust ran out.
    Unanswered,
}

impl Loss {
    /// For logs and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "another worker holds it or it ran out",
            Self::Unanswered => "the store did not answer in time",
        }
    }
}

/// A lease that is held: the fence for writes, the trust for everything else, and the task that
/// renews it. Dropping it stops renewing and ends the trust; the lease then runs out.
#[derive(Debug)]
pub struct Term {
    fence: Arc<Fence>,
    trust: Trust,
    owner: OwnerId,
    timing: LeaseTiming,
    store: Store,
    loss: watch::Receiver<Option<Loss>>,
    stop: CancellationToken,
    _keeper: AbortOnDropHandle<()>,
    _beacon: Option<Beacon>,
}

impl Term {
    /// Starts to renew `fence`, which was asked for at `asked`.
    pub fn begin(
        store: Store,
        owner: OwnerId,
        timing: LeaseTiming,
        fence: Fence,
        asked: Boot,
        beacon: Option<Beacon>,
    ) -> Self {
        let fence = Arc::new(fence);
        let trust = Trust::until(timing.trusted_until(asked));
        let (tell, loss) = watch::channel(None);
        let stop = CancellationToken::new();
        let keeper = Keeper {
            store: store.clone(),
            owner: owner.clone(),
            timing,
            fence: fence.clone(),
            trust: trust.clone(),
            tell,
        };
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            // Losing the race drops a renewal whose answer nobody needs any more.
            tokio::select! {
                () = stopped.cancelled() => {}
                () = keeper.run() => {}
            }
        });
        Self {
            fence,
            trust,
            owner,
            timing,
            store,
            loss,
            stop,
            _keeper: AbortOnDropHandle::new(task),
            _beacon: beacon,
        }
    }

    /// What protected writes carry.
    pub fn fence(&self) -> &Arc<Fence> {
        &self.fence
    }

    /// What everything that touches WhatsApp asks first.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Asks the store now, instead of waiting for the next heartbeat: somebody else uses the
    /// account's credentials. `Err`: the lease is lost, or the store cannot tell and nothing may be
    /// concluded from that (`None`).
    pub async fn confirm(&self) -> Result<(), Option<Loss>> {
        let asked = Boot::now();
        let fences = std::slice::from_ref(&self.fence);
        match self.store.renew_leases(fences, self.timing.ttl()).await {
            Ok(kept) if kept.contains(self.fence.account()) => {
                self.trust.extend(self.timing.trusted_until(asked));
                Ok(())
            }
            Ok(_) => {
                self.trust.revoke();
                Err(Some(Loss::Refused))
            }
            Err(_) => Err(None),
        }
    }

    /// Resolves when the lease is lost. Cancel safe.
    pub async fn lost(&self) -> Loss {
        let mut loss = self.loss.clone();
        loss.wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|loss| *loss)
            .unwrap_or(Loss::Unanswered)
    }

    /// Gives the lease up. The caller has closed the socket and flushed everything before. Returns
    /// whether it was still ours. Not cancel safe: a dropped release leaves the lease to its TTL.
    pub async fn release(self, why: &str) -> bool {
        self.trust.revoke();
        self.stop.cancel();
        let Self {
            store,
            fence,
            owner,
            ..
        } = &self;
        match store.release_lease(fence, owner, why).await {
            Ok(ours) => {
                if ours {
                    event::emit(Event::LeaseReleased {
                        account: fence.account(),
                        owner,
                        epoch: fence.epoch(),
                        reason: why,
                    });
                }
                ours
            }
            Err(error) => {
                warn!(%error, "the lease could not be released: it ends by its TTL");
                false
            }
        }
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.trust.revoke();
    }
}

struct Keeper {
    store: Store,
    owner: OwnerId,
    timing: LeaseTiming,
    fence: Arc<Fence>,
    trust: Trust,
    tell: watch::Sender<Option<Loss>>,
}

impl Keeper {
    async fn run(self) {
        let mut wait = self.timing.heartbeat();
        let loss = loop {
            tokio::time::sleep(wait.min(self.trust.deadline().remaining())).await;
            if !self.trust.holds() {
                break Loss::Unanswered;
            }
            match self.beat().await {
                Beat::Renewed => wait = self.timing.heartbeat(),
                Beat::Failed => wait = RETRY.min(self.timing.heartbeat()),
                Beat::Lost(loss) => break loss,
            }
        };
        self.trust.revoke();
        // The term may have been dropped meanwhile; then nobody needs to know.
        let _ = self.tell.send(Some(loss));
    }

    async fn beat(&self) -> Beat {
        let asked = Boot::now();
        let left = self.trust.deadline().remaining();
        let fences = std::slice::from_ref(&self.fence);
        let renewal = self.store.renew_leases(fences, self.timing.ttl());
        match tokio::time::timeout(left, renewal).await {
            Ok(Ok(kept)) if kept.contains(self.fence.account()) => {
                self.trust.extend(self.timing.trusted_until(asked));
                Beat::Renewed
            }
            Ok(Ok(_)) => Beat::Lost(Loss::Refused),
            Ok(Err(error)) => {
                event::emit(Event::HeartbeatError {
                    account: self.fence.account(),
                    owner: &self.owner,
                    message: &error.to_string(),
                });
                Beat::Failed
            }
            Err(_) => Beat::Lost(Loss::Unanswered),
        }
    }
}

enum Beat {
    Renewed,
    Failed,
    Lost(Loss),
}
