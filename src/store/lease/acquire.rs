//! Taking a lease.

use std::time::Duration;

use sqlx::{query, query_scalar};

use super::{LeaseRow, SELECT, millis};
use crate::ids::{AccountId, Epoch, OwnerId, Token};
use crate::store::audit::{self, Entry};
use crate::store::connections::Tx;
use crate::store::{Fence, Result, Store, workers};

/// A bid for a lease.
#[derive(Clone, Debug)]
pub struct AcquireLease<'a> {
    /// Whose lease.
    pub account: &'a AccountId,
    /// Who bids.
    pub owner: &'a OwnerId,
    /// For how long.
    pub ttl: Duration,
    /// Epoch and beat that the bidder saw unchanged for a whole TTL on its own monotonic clock: a
    /// holder that dead may be replaced even when the store's clock stepped back.
    pub unchanged: Option<(Epoch, i64)>,
    /// The bidder holds the file lock that the holder of this epoch had on this machine, so that
    /// holder's process is dead.
    pub dead: Option<Epoch>,
}

impl AcquireLease<'_> {
    fn may_replace(&self, row: &LeaseRow) -> bool {
        row.is_free()
            || self.unchanged == Some((row.epoch, row.beat))
            || self.dead == Some(row.epoch)
    }

    fn why(&self) -> &'static str {
        match (self.dead, self.unchanged) {
            (Some(_), _) => "holder's process is dead",
            (_, Some(_)) => "no beat for a whole TTL",
            _ => "free",
        }
    }
}

impl Store {
    /// Takes the lease when it is free (or its holder proven dead), and writes down who had it before
    /// and who has it now. `None`: somebody holds it.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`]: it is not known whether the lease was taken; the
    /// next bid will tell, since a lost answer leaves a lease that nobody renews.
    pub async fn acquire_lease(&self, bid: AcquireLease<'_>) -> Result<Option<Fence>> {
        // Looks first, without a lock: a bid for a lease that is held must not wait for the holder's
        // transactions, nor they for it.
        let seen = self.lease(bid.account).await?;
        if seen.is_some_and(|row| !bid.may_replace(&row)) {
            return Ok(None);
        }
        let mut tx = self.begin_lease().await?;
        let before = lock_row(&mut tx, bid.account).await?;
        let token = Token::random();
        let Some(epoch) = take(&mut tx, &bid, &token).await? else {
            return Ok(None);
        };
        let fence = Fence::new(bid.account.clone(), Epoch(epoch), token);
        let epochs = Some((Epoch(epoch - 1), fence.epoch()));
        if let Some(before) = before.filter(|row| row.expires_at != 0) {
            let entry = Entry {
                account: bid.account,
                actor: before.owner.as_str(),
                action: "lease.lost",
                detail: bid.why(),
                epochs,
            };
            audit::write(&mut tx, entry).await?;
            if before.owner != *bid.owner {
                workers::strike_off(&mut tx, &before.owner).await?;
            }
        }
        let entry = Entry {
            account: bid.account,
            actor: bid.owner.as_str(),
            action: "lease.acquired",
            detail: bid.why(),
            epochs,
        };
        audit::write(&mut tx, entry).await?;
        tx.commit().await?;
        Ok(Some(fence))
    }
}

/// The row as it is when no protected transaction of its holder is open any more.
async fn lock_row(tx: &mut Tx, account: &AccountId) -> Result<Option<LeaseRow>> {
    let select = tx.sql(&format!("{SELECT} WHERE account_id = $1 {{FOR UPDATE}}"));
    query(select)
        .bind(account.as_str())
        .fetch_optional(tx)
        .await?
        .map(|row| LeaseRow::read(&row))
        .transpose()
}

/// The epoch of the lease, if it could be taken. This statement alone decides.
async fn take(tx: &mut Tx, bid: &AcquireLease<'_>, token: &Token) -> Result<Option<i64>> {
    let (epoch, beat) = bid.unchanged.map_or((-1, -1), |(e, b)| (e.0, b));
    let upsert = tx.sql(
        "INSERT INTO lease(account_id, epoch, token, owner, beat, expires_at)
         VALUES($1, 1, $2, $3, 0, {NOW} + $4)
         ON CONFLICT(account_id) DO UPDATE SET epoch = lease.epoch + 1, token = excluded.token,
           owner = excluded.owner, beat = 0, expires_at = excluded.expires_at, successor = NULL
         WHERE lease.expires_at <= {NOW} OR (lease.epoch = $5 AND lease.beat = $6) OR lease.epoch = $7
         RETURNING epoch",
    );
    Ok(query_scalar(upsert)
        .bind(bid.account.as_str())
        .bind(token.as_str())
        .bind(bid.owner.as_str())
        .bind(millis(bid.ttl))
        .bind(epoch)
        .bind(beat)
        .bind(bid.dead.map_or(-1, |epoch| epoch.0))
        .fetch_optional(tx)
        .await?)
}
