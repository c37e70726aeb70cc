//! The workers of one store, and which of them should operate which account.
//!
//! There is no leader and no directory: each worker registers itself, reads the same tables, and
//! computes its own part of the same plan ([`share`]). What the plan gets wrong for a moment, because
//! two workers read at different times, costs a handover; it can never cost safety, which is the
//! lease's alone.
//!
//! Failures: a store that does not answer leaves everything as it is. A worker that stops registering
//! is no longer counted after a TTL, and its accounts are bid for as their leases run out.

pub mod handing;
pub mod share;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use self::share::{Fleet, Holding, Planner, Seat};
use crate::clock::Boot;
use crate::config::Accounts;
use crate::ids::{AccountId, OwnerId};
use crate::lease::keeper::Leases;
use crate::store::{Account, LeaseRow, Registration, Store, StoreError, WorkerRow};

/// What an account's supervisor is told about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posting {
    /// The account as the store knows it; `None` when the store does not know it.
    pub account: Option<Account>,
    /// How many other live workers would take it.
    pub standbys: usize,
}

/// An account that this worker meets for the first time.
pub struct Newcomer {
    /// Its id.
    pub account: AccountId,
    /// What is known about it, now and later.
    pub posting: watch::Receiver<Posting>,
}

/// Registers this worker, and places the accounts that it is to bid for.
pub struct Roster {
    store: Store,
    leases: Leases,
    me: share::Worker,
    ttl: Duration,
    period: Duration,
    registered: Option<Boot>,
    planner: Planner,
    postings: HashMap<AccountId, watch::Sender<Posting>>,
    unplaced: usize,
}

impl Roster {
    /// The roster of a worker that registers itself as `me`, each `period`. `ttl` is how long others
    /// count on it afterwards.
    pub fn new(
        store: Store,
        leases: Leases,
        me: share::Worker,
        ttl: Duration,
        period: Duration,
    ) -> Self {
        Self {
            store,
            leases,
            me,
            ttl,
            period,
            registered: None,
            planner: Planner::default(),
            postings: HashMap::new(),
            unplaced: 0,
        }
    }

    /// One round: registers, reads, places. Returns the accounts that are new. The number of
    /// statements does not depend on the number of accounts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: everything stays as it was.
    pub async fn round(&mut self) -> Result<Vec<Newcomer>, StoreError> {
        let now = Boot::now();
        // Registering stirs the store, which asks for the next round.
        if self
            .registered
            .is_none_or(|at| now.since(at) >= self.period)
        {
            self.register().await?;
            self.registered = Some(now);
        }
        let accounts = self.store.accounts().await?;
        let rows = self.store.leases().await?;
        let workers: Vec<share::Worker> = self
            .store
            .workers()
            .await?
            .into_iter()
            .map(Into::into)
            .collect();
        let held = self.leases.held();
        let rows: HashMap<&AccountId, &LeaseRow> =
            rows.iter().map(|row| (&row.account, row)).collect();
        let me = &self.me;
        let seat = |account: &Account| {
            let row = rows.get(&account.id).copied();
            let ours = held.contains(&account.id);
            seat(account, row, &me.owner, ours)
        };
        let seats: Vec<Seat> = accounts
            .iter()
            .filter(|account| account.enabled)
            .map(seat)
            .collect();
        let fleet = Fleet {
            me,
            workers: &workers,
            seats: &seats,
        };
        let plan = self.planner.plan(fleet, now);
        self.leases.place(plan.bids.into_iter().collect());
        let mut newcomers = Vec::new();
        let wanted = accounts
            .iter()
            .filter(|account| me.wants.include(&account.id));
        for account in wanted {
            let posting = Posting {
                standbys: share::standbys(fleet, &seat(account)),
                account: Some(account.clone()),
            };
            newcomers.extend(post(&mut self.postings, &account.id, posting));
        }
        tell_unplaced(&mut self.unplaced, plan.unplaced.len());
        if let Some(share::HandOver { account, to }) = plan.hand_over {
            info!(%account, %to, "handing the account over to a worker that has fewer");
            let recorded = self.store.hand_over_lease(&account, &to, &me.owner).await;
            // The newcomers must be told in any case, and the next plan says it again.
            if let Err(error) = recorded {
                warn!(%account, %error, "the hand-over was not recorded");
            }
        }
        Ok(newcomers)
    }

    async fn register(&self) -> Result<(), StoreError> {
        let me = Registration {
            owner: self.me.owner.clone(),
            capacity: i64::from(self.me.capacity),
            accounts: self.me.wants.to_string(),
            installation: self.me.installation.clone(),
            draining: self.me.draining,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.store.register_worker(&me, self.ttl).await
    }

    /// This worker stops: others need not count on it any more.
    pub async fn leave(&mut self) {
        self.me.draining = true;
        if let Err(error) = self.register().await {
            warn!(%error, "the other workers could not be told that this one stops");
        }
    }

    /// Strikes this worker off.
    pub async fn retire(&self) {
        if let Err(error) = self.store.retire_worker(&self.me.owner).await {
            warn!(%error, "the worker could not be struck off: it is forgotten after a TTL");
        }
    }
}

/// Tells the supervisor of `account`, or that there is none yet.
fn post(
    postings: &mut HashMap<AccountId, watch::Sender<Posting>>,
    account: &AccountId,
    posting: Posting,
) -> Option<Newcomer> {
    if let Some(told) = postings.get(account) {
        told.send_if_modified(|current| {
            let changed = *current != posting;
            *current = posting;
            changed
        });
        return None;
    }
    let told = watch::Sender::new(posting);
    let posting = told.subscribe();
    postings.insert(account.clone(), told);
    Some(Newcomer {
        account: account.clone(),
        posting,
    })
}

fn tell_unplaced(before: &mut usize, unplaced: usize) {
    if unplaced != *before && unplaced > 0 {
        warn!(
            unplaced,
            "accounts have no worker that may take them: start another, or raise WORKER_CAPACITY"
        );
    }
    *before = unplaced;
}

impl From<WorkerRow> for share::Worker {
    fn from(row: WorkerRow) -> Self {
        let draining = row.is_draining();
        let told = row.told;
        Self {
            // What this version cannot read is nothing that it could reckon with.
            wants: told
                .accounts
                .parse()
                .unwrap_or_else(|_| Accounts::Listed(BTreeSet::new())),
            owner: told.owner,
            capacity: u32::try_from(told.capacity).unwrap_or(0),
            draining,
            installation: told.installation,
        }
    }
}

/// `ours`: we hold the lease. A row may name this process without that: an answer was lost, or trust.
fn seat(account: &Account, row: Option<&LeaseRow>, me: &OwnerId, ours: bool) -> Seat {
    let holding = match row {
        None => Holding::Free(None),
        Some(row) if row.owner.as_str().is_empty() => Holding::Free(None),
        Some(row) if row.expires_at == 0 => Holding::Free(Some(row.owner.clone())),
        Some(row) if row.owner == *me && !ours => Holding::Free(Some(row.owner.clone())),
        Some(row) if row.is_free() => Holding::Lapsed(row.owner.clone()),
        Some(row) => Holding::Held {
            by: row.owner.clone(),
            beat: row.beat,
        },
    };
    Seat {
        account: account.id.clone(),
        auth_home: account.auth_home.clone(),
        successor: row.and_then(|row| row.successor.clone()),
        epoch: row.map_or(0, |row| row.epoch.0),
        holding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    #[test]
    fn a_row_that_names_us_counts_as_held_only_while_we_hold_it() {
        let me = OwnerId::incarnate("w").expect("valid");
        let account = Account::fresh("shop");
        let row = LeaseRow {
            account: account.id.clone(),
            epoch: Epoch(3),
            owner: me.clone(),
            beat: 7,
            expires_at: 10_000,
            remaining_ms: 5_000,
            successor: None,
        };
        let held = Holding::Held {
            by: me.clone(),
            beat: 7,
        };
        assert_eq!(seat(&account, Some(&row), &me, true).holding, held);
        let free = Holding::Free(Some(me.clone()));
        assert_eq!(seat(&account, Some(&row), &me, false).holding, free);
        let other = OwnerId::incarnate("other").expect("valid");
        assert_eq!(seat(&account, Some(&row), &other, false).holding, held);
    }
}
