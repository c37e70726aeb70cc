//! Lease statements. What they promise is told in [`crate::lease`].

mod acquire;

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Row, query, query_scalar};

use super::audit::{self, Entry};
use super::columns::account_id;
use super::{Fence, Result, Store, Topic};
use crate::ids::{AccountId, Epoch, OwnerId, Token};

pub use acquire::AcquireLease;

/// A lease as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// The account.
    pub account: AccountId,
    /// Number of the acquisition.
    pub epoch: Epoch,
    /// Who acquired it last; empty after a forced release.
    pub owner: OwnerId,
    /// Heartbeats since then.
    pub beat: i64,
    /// When it ends by the store's clock; 0 when it was released.
    pub expires_at: i64,
    /// How long it still runs by the store's clock; negative when it ended.
    pub remaining_ms: i64,
    /// The `WORKER_ID` or owner that should have it next; empty: anybody but its holder.
    pub successor: Option<String>,
}

impl LeaseRow {
    /// Who holds it.
    pub fn holder(&self) -> Option<&OwnerId> {
        (!self.is_free()).then_some(&self.owner)
    }

    /// Whether nobody holds it.
    pub fn is_free(&self) -> bool {
        self.remaining_ms <= 0
    }

    /// Whether its last holder gave it up; otherwise it runs, or ran out.
    pub const fn was_released(&self) -> bool {
        self.expires_at == 0
    }

    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            account: account_id(row, "lease")?,
            epoch: Epoch(row.try_get("epoch")?),
            owner: OwnerId::stored(row.try_get("owner")?),
            beat: row.try_get("beat")?,
            expires_at: row.try_get("expires_at")?,
            remaining_ms: row.try_get("remaining_ms")?,
            successor: row.try_get("successor")?,
        })
    }
}

const SELECT: &str = "SELECT account_id, epoch, owner, beat, expires_at, expires_at - {NOW} AS remaining_ms, successor FROM lease";

/// How many leases one statement renews at most: SQLite takes 32,766 values in a statement.
const RENEWED_AT_ONCE: usize = 8192;

impl Store {
    /// Extends each of the leases by `ttl` from now, all in one statement, and tells whose were
    /// extended. What is missing in the answer is lost, or ran out and must be acquired anew.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: unknown; trust runs on until its own deadline.
    pub async fn renew_leases(
        &self,
        fences: &[Arc<Fence>],
        ttl: Duration,
    ) -> Result<BTreeSet<AccountId>> {
        self.is_still_there()?;
        let mut kept = BTreeSet::new();
        for fences in fences.chunks(RENEWED_AT_ONCE) {
            // Few different texts, so that prepared statements are used again: the places that are
            // left over repeat the last lease, and a row is updated once however often it is named.
            let places = fences.len().next_power_of_two();
            let mut statement = query_scalar(self.sql(&renewal(places))).bind(millis(ttl));
            for place in 0..places {
                let fence = &fences[place.min(fences.len() - 1)];
                statement = statement
                    .bind(fence.account().as_str())
                    .bind(fence.epoch().0)
                    .bind(fence.token().as_str());
            }
            // All rows, because the end of the answer tells of the commit.
            let accounts: Vec<String> = statement.fetch_all(&self.beats).await?;
            let fenced = fences.iter().map(|fence| fence.account());
            let accounts: HashSet<String> = accounts.into_iter().collect();
            kept.extend(
                fenced
                    .filter(|account| accounts.contains(account.as_str()))
                    .cloned(),
            );
        }
        Ok(kept)
    }

    /// Gives the lease up, so that a standby may take it at once. `false`: it was lost already.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it then ends by its TTL.
    pub async fn release_lease(&self, fence: &Fence, owner: &OwnerId, why: &str) -> Result<bool> {
        let mut tx = self.begin_lease().await?;
        let done = query(
            "UPDATE lease SET expires_at = 0
             WHERE account_id = $1 AND epoch = $2 AND token = $3 AND expires_at <> 0",
        )
        .bind(fence.account().as_str())
        .bind(fence.epoch().0)
        .bind(fence.token().as_str())
        .execute(&mut tx)
        .await?
        .rows_affected()
            == 1;
        if done {
            let entry = Entry {
                account: fence.account(),
                actor: owner.as_str(),
                action: "lease.released",
                detail: why,
                epochs: Some((fence.epoch(), fence.epoch())),
            };
            audit::write(&mut tx, entry).await?;
        }
        self.commit_telling(tx, done.then_some(Topic::Fleet))
            .await?;
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
        let mut tx = self.begin_lease().await?;
        let epoch: Option<i64> = query_scalar(
            "UPDATE lease SET epoch = epoch + 1, token = $2, owner = '', expires_at = 0
             WHERE account_id = $1 RETURNING epoch",
        )
        .bind(account.as_str())
        .bind(Token::random().as_str())
        .fetch_optional(&mut tx)
        .await?;
        if let Some(epoch) = epoch {
            let entry = Entry {
                account,
                actor,
                action: "lease.force_released",
                detail: "taken from its holder",
                epochs: Some((Epoch(epoch - 1), Epoch(epoch))),
            };
            audit::write(&mut tx, entry).await?;
        }
        self.commit_telling(tx, epoch.is_some().then_some(Topic::Fleet))
            .await?;
        Ok(epoch.map(Epoch))
    }

    /// Notes that the worker `to` (a `WORKER_ID` or an owner; empty: anybody but the holder) should
    /// have the lease next. `false`: the account never had a lease.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn transfer_lease(&self, account: &AccountId, to: &str, actor: &str) -> Result<bool> {
        self.note_successor(account, to, actor, "").await
    }

    /// As [`Store::transfer_lease`], by the holder itself. `false`: it holds the lease no more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn hand_over_lease(
        &self,
        account: &AccountId,
        to: &OwnerId,
        holder: &OwnerId,
    ) -> Result<bool> {
        let holder = holder.as_str();
        self.note_successor(account, to.as_str(), holder, holder)
            .await
    }

    async fn note_successor(
        &self,
        account: &AccountId,
        to: &str,
        actor: &str,
        holder: &str,
    ) -> Result<bool> {
        let mut tx = self.begin_lease().await?;
        let epoch: Option<i64> = query_scalar(
            "UPDATE lease SET successor = $2 WHERE account_id = $1 AND ($3 = '' OR owner = $3)
             RETURNING epoch",
        )
        .bind(account.as_str())
        .bind(to)
        .bind(holder)
        .fetch_optional(&mut tx)
        .await?;
        if let Some(epoch) = epoch {
            let detail = match to {
                "" => "to anybody else".to_owned(),
                to => format!("to '{to}'"),
            };
            let entry = Entry {
                account,
                actor,
                action: "lease.transfer",
                detail: &detail,
                epochs: Some((Epoch(epoch), Epoch(epoch))),
            };
            audit::write(&mut tx, entry).await?;
        }
        self.commit_telling(tx, epoch.is_some().then_some(Topic::Fleet))
            .await?;
        Ok(epoch.is_some())
    }

    /// The lease of one account.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn lease(&self, account: &AccountId) -> Result<Option<LeaseRow>> {
        query(self.sql(&format!("{SELECT} WHERE account_id = $1")))
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
        query(self.sql(&format!("{SELECT} ORDER BY account_id")))
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(LeaseRow::read)
            .collect()
    }
}

/// The statement that renews as many leases as it has `places`.
fn renewal(places: usize) -> String {
    let mut text = "UPDATE lease SET beat = beat + 1, expires_at = {NOW} + $1
         WHERE expires_at > {NOW} AND (account_id, epoch, token) IN (VALUES "
        .to_owned();
    for place in 0..places {
        let n = 2 + 3 * place;
        let comma = if place == 0 { "" } else { "," };
        write!(text, "{comma}(${n},${},${})", n + 1, n + 2).expect("a String takes everything");
    }
    text.push_str(") RETURNING account_id");
    text
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
