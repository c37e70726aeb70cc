//! What a standby does: watch the lease, and take it the moment it may be taken.

use std::time::Duration;

use rand::RngExt;
use tracing::{info, warn};

use super::beacon::{Beacon, Beacons};
use super::keeper::Term;
use super::timing::LeaseTiming;
use crate::clock::Boot;
use crate::ids::{AccountId, Epoch, OwnerId};
use crate::store::{AcquireLease, LeaseRow, Store};
use crate::telemetry::event::{self, Event};

/// How often a standby looks whether the holder released: SQLite has no notifications.
const LOOK: Duration = Duration::from_millis(150);
/// Standbys of one account do not bid in the same millisecond.
const JITTER: Duration = Duration::from_millis(50);
/// Contention is told when it begins, when the holder changes, and then this often.
const REMIND: Duration = Duration::from_mins(1);

/// Bids for one account's lease.
#[derive(Debug)]
pub struct Bidder {
    store: Store,
    beacons: Option<Beacons>,
    account: AccountId,
    owner: OwnerId,
    timing: LeaseTiming,
    seen: Option<Seen>,
    told: Option<(OwnerId, Boot)>,
}

/// Epoch and beat as last read, and since when they have not changed.
#[derive(Clone, Copy, Debug)]
struct Seen {
    epoch: Epoch,
    beat: i64,
    since: Boot,
}

impl Bidder {
    /// A bidder for `account`.
    pub fn new(store: Store, account: AccountId, owner: OwnerId, timing: LeaseTiming) -> Self {
        Self {
            beacons: store.file().map(Beacons::beside),
            store,
            account,
            owner,
            timing,
            seen: None,
            told: None,
        }
    }

    /// Waits until the lease is ours. Cancel safe: a lease that was taken by a bid whose answer was
    /// dropped runs out by its TTL, or is found dead by its beacon.
    pub async fn win(&mut self) -> Term {
        let mut failing = false;
        loop {
            match self.try_once().await {
                Ok(Some(term)) => return term,
                Ok(None) => failing = false,
                Err(error) => {
                    if !failing {
                        warn!(account = %self.account, %error, "[whatsapp] The store does not answer, retrying...");
                    }
                    failing = true;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// One look, and one bid when it may succeed. `None`: somebody else holds the lease.
    ///
    /// # Errors
    /// The store's.
    pub async fn try_once(&mut self) -> Result<Option<Term>, crate::store::StoreError> {
        let Some(row) = self.store.lease(&self.account).await? else {
            return self.bid(None, None).await;
        };
        let unchanged = self.observe(&row);
        if row.is_free() || unchanged {
            let spread = rand::rng().random_range(Duration::ZERO..JITTER);
            tokio::time::sleep(spread).await;
            let proof = unchanged.then_some((row.epoch, row.beat));
            return self.bid(proof, None).await;
        }
        if let Some(beacon) = self
            .beacons
            .as_ref()
            .and_then(|beacons| beacons.proof_of_death(&self.account, &row.owner))
        {
            info!(account = %self.account, holder = %row.owner, "the holder's process on this machine is dead: taking over");
            return self.bid(None, Some((row.epoch, beacon))).await;
        }
        self.tell_contended(&row);
        Ok(None)
    }

    /// After a loss: when an operator took the lease away, this process sits out one TTL, so that
    /// another may have it.
    pub async fn step_aside_if_ousted(&self) {
        let ousted = self.store.lease(&self.account).await;
        if matches!(ousted, Ok(Some(row)) if row.owner.as_str().is_empty()) {
            info!(account = %self.account, "an operator released the lease: sitting out one TTL");
            tokio::time::sleep(self.timing.ttl()).await;
        }
    }

    async fn bid(
        &mut self,
        unchanged: Option<(Epoch, i64)>,
        dead: Option<(Epoch, Beacon)>,
    ) -> Result<Option<Term>, crate::store::StoreError> {
        let asked = Boot::now();
        let won = self
            .store
            .acquire_lease(AcquireLease {
                account: &self.account,
                owner: &self.owner,
                ttl: self.timing.ttl(),
                unchanged,
                dead: dead.as_ref().map(|(epoch, _)| *epoch),
            })
            .await?;
        Ok(won.map(|fence| {
            self.told = None;
            self.seen = None;
            event::emit(Event::LeaseAcquired {
                account: &self.account,
                owner: &self.owner,
                epoch: fence.epoch(),
                ttl: self.timing.ttl(),
            });
            // The dead holder's beacon becomes ours without being let go in between.
            let beacon = match dead {
                Some((_, beacon)) => beacon.take_over(&self.owner),
                None => self
                    .beacons
                    .as_ref()
                    .and_then(|beacons| beacons.light(&self.account, &self.owner)),
            };
            Term::begin(
                self.store.clone(),
                self.owner.clone(),
                self.timing,
                fence,
                asked,
                beacon,
            )
        }))
    }

    fn observe(&mut self, row: &LeaseRow) -> bool {
        let now = Boot::now();
        match self.seen {
            Some(seen) if seen.epoch == row.epoch && seen.beat == row.beat => {
                now.since(seen.since) >= self.timing.ttl()
            }
            _ => {
                self.seen = Some(Seen {
                    epoch: row.epoch,
                    beat: row.beat,
                    since: now,
                });
                false
            }
        }
    }

    fn tell_contended(&mut self, holder: &LeaseRow) {
        let now = Boot::now();
        let known = self
            .told
            .as_ref()
            .is_some_and(|(owner, at)| *owner == holder.owner && now.since(*at) < REMIND);
        if !known {
            self.told = Some((holder.owner.clone(), now));
            event::emit(Event::LeaseContended {
                account: &self.account,
                owner: &self.owner,
                holder: &holder.owner,
                remaining_ms: holder.remaining_ms,
            });
        }
    }
}
