//! A lease that is held.

use std::sync::Arc;

use tokio::sync::watch;

use super::Bureau;
use crate::lease::core::Loss;
use crate::lease::trust::Trust;
use crate::store::Fence;

/// A lease that is held, from its acquisition to its loss or release: the fence for writes, and the
/// trust for everything else. Dropping it ends the trust at once and releases the lease.
#[derive(Debug)]
pub struct Term {
    bureau: Arc<Bureau>,
    fence: Arc<Fence>,
    trust: Trust,
    loss: watch::Receiver<Option<Loss>>,
    call: watch::Receiver<Option<&'static str>>,
    given_up: bool,
}

impl Term {
    pub(super) const fn new(
        bureau: Arc<Bureau>,
        fence: Arc<Fence>,
        trust: Trust,
        loss: watch::Receiver<Option<Loss>>,
        call: watch::Receiver<Option<&'static str>>,
    ) -> Self {
        Self {
            bureau,
            fence,
            trust,
            loss,
            call,
            given_up: false,
        }
    }

    /// What protected writes carry.
    pub const fn fence(&self) -> &Arc<Fence> {
        &self.fence
    }

    /// What everything that touches WhatsApp asks first.
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Asks the store now, instead of waiting for the next heartbeat: somebody else uses the
    /// account's credentials. `Err`: the lease is lost, or the store cannot tell and nothing may be
    /// concluded from that (`None`). Cancel safe.
    pub async fn confirm(&self) -> Result<(), Option<Loss>> {
        let mut beats = self.bureau.beats.subscribe();
        let before = self.bureau.step(|desk, now| desk.confirm(now));
        // Losing the race loses nothing: both are levels.
        let answered = tokio::select! {
            biased;
            loss = self.lost() => return Err(Some(loss)),
            beat = beats.wait_for(|beat| beat.number > before) => beat.is_ok_and(|beat| beat.answered),
        };
        match *self.loss.borrow() {
            Some(loss) => Err(Some(loss)),
            None if answered => Ok(()),
            None => Err(None),
        }
    }

    /// Resolves when the lease is lost. Cancel safe.
    pub async fn lost(&self) -> Loss {
        let mut loss = self.loss.clone();
        let lost = loss.wait_for(Option::is_some).await;
        lost.ok().and_then(|loss| *loss).unwrap_or(Loss::Unanswered)
    }

    /// Resolves with a reason when another worker should have the account: drain and release it.
    /// Cancel safe.
    pub async fn called_for(&self) -> &'static str {
        let mut call = self.call.clone();
        let called = call.wait_for(Option::is_some).await;
        match called.ok().and_then(|why| *why) {
            Some(why) => why,
            // The lease is gone, and `lost` tells.
            None => std::future::pending().await,
        }
    }

    /// Gives the lease up. The caller has closed the socket and flushed everything before. Returns
    /// whether it was still ours. Not cancel safe: a dropped release may still happen.
    pub async fn release(mut self, why: &'static str) -> bool {
        self.given_up = true;
        self.trust.revoke();
        let released = self
            .bureau
            .step(|desk, now| desk.release(&self.fence, why, now));
        released.await.unwrap_or(false)
    }

    /// Ends it because a protected write found the fence gone: there is nothing to release.
    pub fn fenced(mut self) {
        self.given_up = true;
        self.trust.revoke();
        self.bureau.step(|desk, now| desk.fenced(&self.fence, now));
    }

    /// Ends it without telling the desk, which knows.
    pub(super) fn forget(mut self) {
        self.given_up = true;
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.trust.revoke();
        if !self.given_up {
            // Nobody waits for the answer.
            drop(
                self.bureau
                    .step(|desk, now| desk.release(&self.fence, "dropped", now)),
            );
        }
    }
}
