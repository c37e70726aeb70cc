//! What the store's rows say about who wrote when.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::any::AnyPoolOptions;

use crate::theatre::Theatre;

/// Looks at the store past every proxy.
pub struct Witness {
    pool: sqlx::AnyPool,
}

impl Witness {
    pub async fn of(theatre: &Theatre) -> Self {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .connect(theatre.store_url())
            .await
            .expect("the store opens");
        Self { pool }
    }

    /// How many messages each epoch committed.
    pub async fn committed(&self) -> BTreeMap<i64, i64> {
        let rows = sqlx::query("SELECT epoch, COUNT(*) AS n FROM inbox GROUP BY epoch")
            .fetch_all(&self.pool)
            .await
            .expect("the store answers");
        rows.iter()
            .map(|row| (row.get("epoch"), row.get("n")))
            .collect()
    }

    /// Rows of an epoch that are younger than the acquisition of a later one, by the store's clock.
    pub async fn stale_rows(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT COUNT(*) FROM inbox
             JOIN audit ON audit.account_id = inbox.account_id AND audit.action = 'lease.acquired'
             WHERE audit.epoch_after > inbox.epoch AND inbox.committed_at > audit.at",
        )
        .fetch_one(&self.pool)
        .await
        .expect("the store answers")
    }

    /// Jobs whose place in their conversation contradicts the order of their epochs.
    pub async fn disordered_jobs(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT COUNT(*) FROM jobs
             JOIN inbox ON inbox.account_id = jobs.account_id AND inbox.key = jobs.key
             WHERE jobs.ord / 1099511627776 <> inbox.epoch",
        )
        .fetch_one(&self.pool)
        .await
        .expect("the store answers")
    }

    /// Takeovers so far.
    pub async fn epoch(&self) -> i64 {
        sqlx::query_scalar("SELECT epoch FROM lease")
            .fetch_one(&self.pool)
            .await
            .expect("the store answers")
    }

    /// The store's clock (PostgreSQL).
    pub async fn now_ms(&self) -> i64 {
        sqlx::query_scalar("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT")
            .fetch_one(&self.pool)
            .await
            .expect("the store answers")
    }

    /// Whether a worker has a transaction open that waits for the worker (PostgreSQL).
    pub async fn idle_in_transaction(&self) -> bool {
        let n: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'idle in transaction'",
        )
        .fetch_one(&self.pool)
        .await
        .expect("the store answers");
        n > 0
    }

    /// Transactions that nobody goes on with (PostgreSQL). A connection that is in one and that its
    /// worker takes for free would answer writes and never commit them.
    pub async fn forgotten_transactions(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'
             AND state_change < clock_timestamp() - INTERVAL '600 milliseconds'",
        )
        .fetch_one(&self.pool)
        .await
        .expect("the store answers")
    }

    pub async fn assert_no_stale_write(&self) {
        assert_eq!(
            self.stale_rows().await,
            0,
            "rows of an old epoch behind a newer acquisition"
        );
        assert_eq!(
            self.disordered_jobs().await,
            0,
            "jobs ordered by another epoch than their own"
        );
    }
}
