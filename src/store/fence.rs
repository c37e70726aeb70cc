//! The proof of a lease that every protected write carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::connections::Tx;
use super::{Result, StoreError};
use crate::ids::{AccountId, Epoch, Token};
use crate::telemetry::meters;

/// One acquisition of one account's lease. Made by [`super::Store::acquire_lease`] alone; it stays
/// what it is when the lease is lost, and then matches no row.
#[derive(Debug)]
pub struct Fence {
    account: AccountId,
    epoch: Epoch,
    token: Token,
    counter: AtomicI64,
    turn: Arc<Mutex<()>>,
}

impl Fence {
    pub(super) fn new(account: AccountId, epoch: Epoch, token: Token) -> Self {
        Self {
            account,
            epoch,
            token,
            counter: AtomicI64::new(0),
            turn: Arc::default(),
        }
    }

    /// The account that may be written.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Which acquisition this is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// A number greater than every one given out before, by this holder and by earlier ones: the
    /// order of jobs. 40 bits of counter last longer than an epoch.
    pub(super) fn next_order(&self) -> i64 {
        (self.epoch.0 << 40) | self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// The right to the next transaction under this fence. Transactions of one account read before
    /// they write, so within the holder they go one after the other; between holders, the row lock
    /// of [`Fence::check`] keeps them apart.
    pub(super) async fn turn(&self, patience: Duration) -> Result<OwnedMutexGuard<()>> {
        tokio::time::timeout(patience, self.turn.clone().lock_owned())
            .await
            .map_err(|_| StoreError::Unavailable(sqlx::Error::PoolTimedOut))
    }

    /// The first statement of every protected transaction. An expired lease that nobody took is
    /// still this holder's: expiry gives others the right to take it, and only the taking ends it.
    ///
    /// The lock makes a takeover, which changes the row's key, wait for this transaction's end; a
    /// heartbeat, which does not, goes through.
    pub(super) async fn check(&self, tx: &mut Tx) -> Result<()> {
        let held = tx.sql(
            "SELECT 1 FROM lease WHERE account_id = $1 AND epoch = $2 AND token = $3 {FOR KEY SHARE}",
        );
        let held: Option<i64> = sqlx::query_scalar(held)
            .bind(self.account.as_str())
            .bind(self.epoch.0)
            .bind(self.token.as_str())
            .fetch_optional(tx)
            .await?;
        held.map(|_| ()).ok_or_else(|| {
            meters::fenced(&self.account);
            StoreError::Fenced(self.account.clone())
        })
    }
}
