//! Which workers run, so that they can share the accounts out. Advisory: nobody's writes depend on it.

use std::time::Duration;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Executor, Row, query};

use super::lease::millis;
use super::{Result, Store, Topic, audit};
use crate::ids::OwnerId;

/// Rows of workers that ended so long ago are removed by the next one that starts.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// What a worker tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// This start of it.
    pub owner: OwnerId,
    /// How many accounts it takes.
    pub capacity: i64,
    /// As configured, see [`crate::config::Accounts`].
    pub accounts: String,
    /// Whose local auth state it can open.
    pub installation: String,
    /// It is about to end and takes nothing more.
    pub draining: bool,
    /// Of its binary.
    pub version: String,
}

/// A worker that runs, as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// What it told last.
    pub told: Registration,
    /// When it registered first, by the store's clock.
    pub started_at: i64,
    /// How long ago it registered last.
    pub beat_age_ms: i64,
    /// An operator wants it to give everything away.
    pub drain_asked: bool,
}

impl WorkerRow {
    /// It takes nothing: it is about to end, or was asked to.
    pub fn is_draining(&self) -> bool {
        self.told.draining || self.drain_asked
    }
}

impl Store {
    /// Registers a worker for the next `ttl`: its heartbeat as a process. Others are woken when it is
    /// new or tells something else than before.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn register_worker(&self, worker: &Registration, ttl: Duration) -> Result<()> {
        self.is_still_there()?;
        let beat = query(self.sql(
            "UPDATE workers SET beat_at = {NOW}, expires_at = {NOW} + $7 WHERE owner = $1
               AND capacity = $2 AND accounts = $3 AND installation = $4 AND draining = $5
               AND version = $6 AND expires_at > {NOW}",
        ));
        let same = bind(beat, worker, ttl).execute(&self.beats).await?;
        if same.rows_affected() == 1 {
            return Ok(());
        }
        let upsert = query(self.sql(
            "INSERT INTO workers(owner, capacity, accounts, installation, draining, version,
               started_at, beat_at, expires_at)
             VALUES($1, $2, $3, $4, $5, $6, {NOW}, {NOW}, {NOW} + $7)
             ON CONFLICT(owner) DO UPDATE SET capacity = excluded.capacity,
               accounts = excluded.accounts, installation = excluded.installation,
               draining = excluded.draining, version = excluded.version,
               beat_at = excluded.beat_at, expires_at = excluded.expires_at",
        ));
        let mut tx = self.begin_lease().await?;
        bind(upsert, worker, ttl).execute(&mut tx).await?;
        query(self.sql("DELETE FROM workers WHERE expires_at < {NOW} - $1"))
            .bind(millis(FORGOTTEN))
            .execute(&mut tx)
            .await?;
        self.commit_telling(tx, Some(Topic::Fleet)).await
    }

    /// Asks a running worker to give everything away and take nothing more, or calls that off. It ends
    /// with the process. `false`: it was so already, or the worker does not run.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn ask_to_drain(&self, owner: &OwnerId, drain: bool, actor: &str) -> Result<bool> {
        let mut tx = self.begin_lease().await?;
        let update = tx.sql(
            "UPDATE workers SET drain_asked = $2
             WHERE owner = $1 AND drain_asked <> $2 AND expires_at > {NOW}",
        );
        let asked = query(update)
            .bind(owner.as_str())
            .bind(i64::from(drain))
            .execute(&mut tx)
            .await?;
        let changed = asked.rows_affected() == 1;
        if changed {
            let action = match drain {
                true => "worker.drained",
                false => "worker.undrained",
            };
            audit::write_of_all(&mut tx, actor, action, owner.as_str()).await?;
        }
        self.commit_telling(tx, changed.then_some(Topic::Fleet))
            .await?;
        Ok(changed)
    }

    /// Says that a worker has ended, so that nobody counts on it.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`]: its registration then runs out.
    pub async fn retire_worker(&self, owner: &OwnerId) -> Result<()> {
        let mut tx = self.begin_lease().await?;
        strike_off(&mut tx, owner).await?;
        self.commit_telling(tx, Some(Topic::Fleet)).await
    }

    /// The workers whose registration has not run out, by owner.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn workers(&self) -> Result<Vec<WorkerRow>> {
        query(self.sql(
            "SELECT owner, capacity, accounts, installation, draining, drain_asked, version,
               started_at, {NOW} - beat_at AS beat_age FROM workers WHERE expires_at > {NOW} ORDER BY owner",
        ))
        .fetch_all(&self.readers)
        .await?
        .iter()
        .map(|row| {
            Ok(WorkerRow {
                told: Registration {
                    owner: OwnerId::stored(row.try_get("owner")?),
                    capacity: row.try_get("capacity")?,
                    accounts: row.try_get("accounts")?,
                    installation: row.try_get("installation")?,
                    draining: row.try_get::<i64, _>("draining")? == 1,
                    version: row.try_get("version")?,
                },
                started_at: row.try_get("started_at")?,
                beat_age_ms: row.try_get("beat_age")?,
                drain_asked: row.try_get::<i64, _>("drain_asked")? == 1,
            })
        })
        .collect()
    }
}

/// Nobody counts on `owner` any more, unless it registers again.
pub(super) async fn strike_off<'c>(
    executor: impl Executor<'c, Database = Any>,
    owner: &OwnerId,
) -> Result<()> {
    query("UPDATE workers SET expires_at = 0 WHERE owner = $1 AND expires_at <> 0")
        .bind(owner.as_str())
        .execute(executor)
        .await?;
    Ok(())
}

fn bind<'q>(
    query: Query<'q, Any, AnyArguments>,
    worker: &'q Registration,
    ttl: Duration,
) -> Query<'q, Any, AnyArguments> {
    query
        .bind(worker.owner.as_str())
        .bind(worker.capacity)
        .bind(worker.accounts.as_str())
        .bind(worker.installation.as_str())
        .bind(i64::from(worker.draining))
        .bind(worker.version.as_str())
        .bind(millis(ttl))
}
