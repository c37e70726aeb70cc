//! The workers of one store, and which of them should operate which account.
//!
//! There is no leader and no directory: each worker registers itself, reads the same tables, and
//! computes its own part of the same plan ([`share`]). What the plan gets wrong for a moment, because
//! two workers read at different times, costs a handover; it can never cost safety, which is the
//! lease's alone.
//!
//! Failures: a store that does not answer leaves everything as it is. A worker that stops registering
//! is no longer counted after a TTL, and its accounts are bid for as their leases run out.

pub mod share;

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::clock::Boot;
use crate::config::Accounts;
use crate::ids::AccountId;
use crate::lease::keeper::Leases;
use crate::store::{Account, Store, StoreError, Worker};

/// What an account's supervisor is told about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posting {
    /// The account as the store knows it; `None` when the store does not know it.
    pub account: Option<Account>,
    /// How many other live workers may operate it.
    pub standbys: usize,
}

/// Registers this worker, and places the accounts that it is to bid for.
pub struct Roster {
    store: Store,
    leases: Leases,
    wanted: Accounts,
    me: Worker,
    ttl: Duration,
    postings: HashMap<AccountId, watch::Sender<Posting>>,
    /// The account that is being handed over, and since when: one at a time.
    handing: Option<(AccountId, Boot)>,
    unplaced: usize,
}

/// An account that this worker meets for the first time.
pub struct Newcomer {
    /// Its id.
    pub account: AccountId,
    /// What is known about it, now and later.
    pub posting: watch::Receiver<Posting>,
}

impl Roster {
    /// The roster of a worker that registers itself as `me` and operates `wanted`.
    pub fn new(store: Store, leases: Leases, wanted: Accounts, me: Worker, ttl: Duration) -> Self {
        Self {
            store,
            leases,
            wanted,
            me,
            ttl,
            postings: HashMap::new(),
            handing: None,
            unplaced: 0,
        }
    }

    /// One round: registers, reads, places. Returns the accounts that are new. The number of
    /// statements does not depend on the number of accounts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: everything stays as it was.
    pub async fn round(&mut self) -> Result<Vec<Newcomer>, StoreError> {
        self.store.register_worker(&self.me, self.ttl).await?;
        let accounts = self.store.accounts().await?;
        let workers = self.store.workers().await?;
        let rows = self.store.leases().await?;
        let plan = share::plan(&share::Fleet {
            me: &self.me.owner,
            workers: &workers,
            accounts: &accounts,
            leases: &rows,
        });
        let mut newcomers = Vec::new();
        let known: HashMap<&AccountId, &Account> =
            accounts.iter().map(|account| (&account.id, account)).collect();
        let wanted: Vec<AccountId> = match &self.wanted {
            Accounts::Listed(listed) => listed.clone(),
            Accounts::All => accounts.iter().map(|account| account.id.clone()).collect(),
        };
        for id in wanted {
            let account = known.get(&id).copied().cloned();
            let standbys = plan.standbys(&id);
            self.leases.handicap(&id, plan.handicap(&id));
            let posting = Posting { account, standbys };
            match self.postings.get(&id) {
                Some(told) => {
                    told.send_if_modified(|current| {
                        let changed = *current != posting;
                        *current = posting;
                        changed
                    });
                }
                None => {
                    let told = watch::Sender::new(posting);
                    newcomers.push(Newcomer {
                        account: id.clone(),
                        posting: told.subscribe(),
                    });
                    self.postings.insert(id, told);
                }
            }
        }
        self.hand_over(plan.hand_over().cloned());
        self.tell_unplaced(plan.unplaced());
        Ok(newcomers)
    }

    /// This worker stops: others need not count on it any more.
    pub async fn leave(&mut self) {
        self.me.draining = true;
        if let Err(error) = self.store.register_worker(&self.me, self.ttl).await {
            warn!(%error, "the other workers could not be told that this one stops");
        }
    }

    /// Strikes this worker off.
    pub async fn retire(&self) {
        if let Err(error) = self.store.retire_worker(&self.me.owner).await {
            warn!(%error, "the worker could not be struck off: it is forgotten after a TTL");
        }
    }

    fn hand_over(&mut self, next: Option<AccountId>) {
        if let Some((account, since)) = &self.handing {
            let waiting = Boot::now().since(*since) < self.ttl;
            if waiting && self.leases.held().contains(account) {
                return;
            }
        }
        self.handing = next.map(|account| {
            info!(%account, "handing the account over to a worker that has fewer");
            self.leases
                .hand_over(&account, "another worker has fewer accounts");
            (account, Boot::now())
        });
    }

    fn tell_unplaced(&mut self, unplaced: usize) {
        if unplaced != self.unplaced {
            self.unplaced = unplaced;
            if unplaced > 0 {
                warn!(
                    unplaced,
                    "accounts have no worker that may take them: start another, or raise WORKER_CAPACITY"
                );
            }
        }
    }
}
