//! What only a PostgreSQL server does: locks, time-outs, and being unfit.

mod erased;
mod frozen;
mod refused;
mod silent;
mod statements;
mod tls;

use sqlx::{Connection, PgConnection, Row, raw_sql};

use super::Bench;

/// A connection past the store, that looks at the server and gets into the store's way.
struct Witness(PgConnection);

impl Witness {
    async fn of(bench: &Bench) -> Self {
        Self(PgConnection::connect(&bench.url).await.expect("connects"))
    }

    async fn run(&mut self, sql: &'static str) {
        raw_sql(sql).execute(&mut self.0).await.expect(sql);
    }

    async fn count(&mut self, sql: &'static str) -> i64 {
        let row = raw_sql(sql).fetch_one(&mut self.0).await.expect(sql);
        row.get(0)
    }

    /// How many of this database's transactions wait for a lock.
    async fn waiting(&mut self) -> i64 {
        self.count(
            "SELECT COUNT(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await
    }

    /// How many transactions of the store have locked a row, and wait for their client.
    async fn idle_with_a_lock(&mut self) -> i64 {
        // Who locks a row gets a transaction id.
        self.count(
            "SELECT COUNT(*) FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'idle in transaction'
               AND application_name = 'whatsapp-worker' AND backend_xid IS NOT NULL",
        )
        .await
    }

    /// Until no statement of the store runs.
    async fn all_quiet(&mut self) {
        let active = "SELECT COUNT(*) FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'active'
               AND application_name = 'whatsapp-worker'";
        while self.count(active).await > 0 {}
    }
}
