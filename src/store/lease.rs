//! Lease statements. What they promise is told in [`crate::lease`].

use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Fence, Result, Store, StoreError, audit, sql};
use crate::ids::{AccountId, Epoch, OwnerId, Token};

/// A lease as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// The account.
    pub account: AccountId,
    /// Number of the acquisition.
    pub epoch: Epoch,
    /// Who acquired it last.
    pub owner: OwnerId,
    /// Heartbeats since then.
    pub beat: i64,
    /// When it ends by the store's clock; 0 when it was released.
    pub expires_at: i64,
    /// How long it still runs by the store's clock; negative when it ended.
    pub remaining_ms: i64,
}

impl LeaseRow {
    /// Whether nobody holds it.
    pub fn is_free(&self) -> bool {
        self.remaining_ms <= 0
    }

    fn read(row: &SqliteRow) -> Result<Self> {
        let account: String = row.try_get("account_id")?;
        Ok(Self {
            account: account
                .parse()
                .map_err(|error| StoreError::Unusable(format!("in table lease: {error}")))?,
            epoch: Epoch(row.try_get("epoch")?),
            owner: OwnerId::stored(row.try_get("owner")?),
            beat: row.try_get("beat")?,
            expires_at: row.try_get("expires_at")?,
            remaining_ms: row.try_get("remaining_ms")?,
        })
    }
}

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

const SELECT: &str = "SELECT account_id, epoch, owner, beat, expires_at, expires_at - {NOW} AS remaining_ms FROM lease";

impl Store {
    /// Takes the lease when it is free (or its holder proven dead). `None`: somebody holds it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it is not known whether the lease was taken; the next bid will
    /// tell, since a lost answer leaves a lease that nobody renews.
    pub async fn acquire_lease(&self, bid: AcquireLease<'_>) -> Result<Option<Fence>> {
        let token = Token::random();
        let (epoch, beat) = bid.unchanged.map_or((-1, -1), |(e, b)| (e.0, b));
        self.is_still_there()?;
        let mut tx = self.leases.begin_with("BEGIN IMMEDIATE").await?;
        let taken: Option<i64> = sqlx::query_scalar(sql(
            "INSERT INTO lease(account_id, epoch, token, owner, beat, expires_at)
             VALUES($1, 1, $2, $3, 0, {NOW} + $4)
             ON CONFLICT(account_id) DO UPDATE SET epoch = lease.epoch + 1, token = excluded.token,
               owner = excluded.owner, beat = 0, expires_at = excluded.expires_at
             WHERE lease.expires_at <= {NOW} OR (lease.epoch = $5 AND lease.beat = $6) OR lease.epoch = $7
             RETURNING epoch",
        ))
        .bind(bid.account.as_str())
        .bind(token.as_str())
        .bind(bid.owner.as_str())
        .bind(millis(bid.ttl))
        .bind(epoch)
        .bind(beat)
        .bind(bid.dead.map_or(-1, |epoch| epoch.0))
        .fetch_optional(&mut *tx)
        .await?;
        let Some(epoch) = taken else {
            return Ok(None);
        };
        let how = match (bid.dead, bid.unchanged) {
            (Some(_), _) => "holder's process is dead",
            (_, Some(_)) => "no beat for a whole TTL",
            _ => "free",
        };
        let detail = format!("epoch {} -> {epoch}: {how}", epoch - 1);
        audit::write(
            &mut tx,
            Some(bid.account),
            bid.owner.as_str(),
            "lease.acquired",
            &detail,
        )
        .await?;
        tx.commit().await?;
        Ok(Some(Fence::new(bid.account.clone(), Epoch(epoch), token)))
    }

    /// Extends the lease by `ttl` from now and returns its beat. `None`: it is lost, or it ran out
    /// and must be acquired anew.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: unknown; trust runs on until its own deadline.
    pub async fn renew_lease(&self, fence: &Fence, ttl: Duration) -> Result<Option<i64>> {
        self.is_still_there()?;
        Ok(sqlx::query_scalar(sql(
            "UPDATE lease SET beat = beat + 1, expires_at = {NOW} + $4
             WHERE account_id = $1 AND epoch = $2 AND token = $3 AND expires_at > {NOW}
             RETURNING beat",
        ))
        .bind(fence.account().as_str())
        .bind(fence.epoch().0)
        .bind(fence.token().as_str())
        .bind(millis(ttl))
        .fetch_optional(&self.leases)
        .await?)
    }

    /// Gives the lease up, so that a standby may take it at once. `false`: it was lost already.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it then ends by its TTL.
    pub async fn release_lease(&self, fence: &Fence, owner: &OwnerId, why: &str) -> Result<bool> {
        self.is_still_there()?;
        let mut tx = self.leases.begin_with("BEGIN IMMEDIATE").await?;
        let done = sqlx::query(
            "UPDATE lease SET expires_at = 0 WHERE account_id = $1 AND epoch = $2 AND token = $3",
        )
        .bind(fence.account().as_str())
        .bind(fence.epoch().0)
        .bind(fence.token().as_str())
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        if done {
            let detail = format!("epoch {}: {why}", fence.epoch());
            audit::write(
                &mut tx,
                Some(fence.account()),
                owner.as_str(),
                "lease.released",
                &detail,
            )
            .await?;
        }
        tx.commit().await?;
        Ok(done)
    }

    /// An operator takes the lease away from whoever holds it. The old fence dies with it. `None`:
    /// the account never had a lease.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn force_release_lease(
        &self,
        account: &AccountId,
        actor: &str,
    ) -> Result<Option<Epoch>> {
        self.is_still_there()?;
        let mut tx = self.leases.begin_with("BEGIN IMMEDIATE").await?;
        let epoch: Option<i64> = sqlx::query_scalar(
            "UPDATE lease SET epoch = epoch + 1, token = $2, owner = '', expires_at = 0
             WHERE account_id = $1 RETURNING epoch",
        )
        .bind(account.as_str())
        .bind(Token::random().as_str())
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(epoch) = epoch {
            let detail = format!("epoch {} -> {epoch}", epoch - 1);
            audit::write(
                &mut tx,
                Some(account),
                actor,
                "lease.force_released",
                &detail,
            )
            .await?;
        }
        tx.commit().await?;
        Ok(epoch.map(Epoch))
    }

    /// The lease of one account.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn lease(&self, account: &AccountId) -> Result<Option<LeaseRow>> {
        sqlx::query(sql(&format!("{SELECT} WHERE account_id = $1")))
            .bind(account.as_str())
            .fetch_optional(&self.readers)
            .await?
            .map(|row| LeaseRow::read(&row))
            .transpose()
    }

    /// All leases, by account.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn leases(&self) -> Result<Vec<LeaseRow>> {
        sqlx::query(sql(&format!("{SELECT} ORDER BY account_id")))
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(LeaseRow::read)
            .collect()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
