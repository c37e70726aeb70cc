//! Waking those who wait for the store to change, instead of letting them ask all the time.
//!
//! A wake-up says only that it is worth looking: it may come for nothing, several may become one, and
//! nothing is decided by it. On PostgreSQL it comes by LISTEN, and while that does not work, every
//! [`FALLBACK`]. On SQLite every commit of another connection to the file is seen within [`GLANCE`].

use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::connections::bounded;
use super::{Place, PostgresUrl, Result, Store, StoreError, sqlite};

/// What workers listen on.
const CHANNEL: &str = "whatsapp_worker";

/// How often those who cannot hear look by themselves.
const FALLBACK: Duration = Duration::from_secs(1);

/// How often SQLite is asked whether anything was committed: it reads one number in shared memory.
const GLANCE: Duration = Duration::from_millis(150);

/// A connection that was silent for so long is asked whether it still lives.
const SILENCE: Duration = Duration::from_secs(3);

/// How long connecting, and the answer to that question, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells when the store may have changed. Dropping it ends its connection.
#[derive(Debug)]
pub struct Changes {
    stirred: Arc<Notify>,
    _watcher: AbortOnDropHandle<()>,
}

impl Changes {
    /// Waits until the store may have changed since the last call. Cancel safe: what was not told to
    /// anybody is told to the next call.
    pub async fn next(&mut self) {
        self.stirred.notified().await;
    }
}

impl Store {
    /// Watches for changes from now on. It must be called within a tokio runtime.
    pub fn changes(&self) -> Changes {
        let stirred = Arc::new(Notify::new());
        let (place, told) = (self.place.clone(), stirred.clone());
        let watcher = tokio::spawn(async move {
            loop {
                let Err(error) = match &*place {
                    Place::Sqlite(path) => glance(path, &told).await,
                    Place::Postgres(url) => listen(url, &told).await,
                };
                debug!(%error, "the store's changes cannot be seen, retrying...");
                told.notify_one();
                tokio::time::sleep(FALLBACK).await;
            }
        });
        Changes {
            stirred,
            _watcher: AbortOnDropHandle::new(watcher),
        }
    }

    /// Wakes those who watch, after a commit that concerns them. Best effort: who is not woken looks
    /// by itself in time.
    pub(super) async fn wake(&self) {
        if let Place::Postgres(_) = &*self.place {
            let notify = sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL);
            // Outside the transaction: at commit, a notification waits for all others' commits.
            if let Err(error) = notify.execute(&self.leases).await {
                debug!(%error, "the store did not pass a notification on");
            }
        }
    }
}

/// Returns only when it cannot see any more.
async fn glance(path: &std::path::Path, stirred: &Notify) -> Result<std::convert::Infallible> {
    let mut connection = sqlite::connect(path, FALLBACK).await?;
    let mut before: Option<i64> = None;
    loop {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut connection)
            .await?;
        if before.replace(version) != Some(version) {
            stirred.notify_one();
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Returns only when it cannot hear any more.
async fn listen(url: &PostgresUrl, stirred: &Notify) -> Result<std::convert::Infallible> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(url.options());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    bounded(Some(PATIENCE), listener.listen(CHANNEL)).await?;
    loop {
        // Now, and after each notification: what happened before this connection heard is not told.
        stirred.notify_one();
        loop {
            match tokio::time::timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(_))) => break,
                Ok(Ok(None)) => return Err(StoreError::Unavailable(connection_lost())),
                Ok(Err(error)) => return Err(error.into()),
                Err(_silent) => {
                    bounded(Some(PATIENCE), listener.execute("SELECT 1")).await?;
                }
            }
        }
    }
}

fn connection_lost() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into())
}
