//! What the core asks for, on its way to the store.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::warn;

use crate::ids::{AccountId, Epoch, OwnerId};
use crate::store::{Fence, StoreError};
use crate::telemetry::event::{self, Event as Told};

/// What the store is to be asked.
#[derive(Debug)]
pub(super) enum Work {
    Look,
    Acquire {
        account: AccountId,
        unchanged: Option<(Epoch, i64)>,
        dead: Option<Epoch>,
    },
    Renew {
        number: u64,
        fences: Vec<Arc<Fence>>,
    },
    Release(Parting),
}

/// A lease that is being given up.
#[derive(Debug)]
pub(super) struct Parting {
    pub(super) fence: Arc<Fence>,
    pub(super) why: &'static str,
    pub(super) waits: Option<oneshot::Sender<bool>>,
}

impl Parting {
    /// Tells everybody how it went.
    pub(super) fn settle(self, owner: &OwnerId, outcome: Result<bool, StoreError>) {
        let account = self.fence.account();
        let ours = match outcome {
            Ok(true) => {
                event::emit(Told::LeaseReleased {
                    account,
                    owner,
                    epoch: self.fence.epoch(),
                    reason: self.why,
                });
                true
            }
            Ok(false) => false,
            Err(error) => {
                warn!(%account, %error, "the lease could not be released: it ends by its TTL");
                false
            }
        };
        if let Some(waits) = self.waits {
            // Whoever released may have gone since.
            let _ = waits.send(ours);
        }
    }
}
