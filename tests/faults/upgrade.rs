//! A newer release has migrated the store: this release's binary runs on, restarts and takes over,
//! until a release says that it must not.

use sqlx::any::AnyPoolOptions;

use super::{Pair, acquired, assert_unharmed, contended, established};
use crate::load::Load;
use crate::theatre::{Engine, PATIENCE, Theatre, on_each_engine};
use std::time::Duration;

on_each_engine!(a_worker_runs_restarts_and_takes_over_on_a_newer_schema);

/// What a later release might add: columns with and without a default, a table, an index.
const LATER: [&str; 6] = [
    "ALTER TABLE lease ADD COLUMN later TEXT",
    "ALTER TABLE accounts ADD COLUMN later BIGINT NOT NULL DEFAULT 1",
    "ALTER TABLE inbox ADD COLUMN later TEXT",
    "CREATE TABLE later(id TEXT PRIMARY KEY)",
    "CREATE INDEX jobs_later ON jobs(account_id, status)",
    "UPDATE schema_meta SET version = version + 1",
];

async fn migrate(theatre: &Theatre, statements: &'static [&'static str]) {
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new()
        .max_connections(1)
        .connect(theatre.store_url())
        .await
        .expect("the store opens");
    for statement in statements {
        sqlx::query(*statement)
            .execute(&pool)
            .await
            .expect("it migrates while workers run");
    }
    pool.close().await;
}

async fn a_worker_runs_restarts_and_takes_over_on_a_newer_schema(engine: Engine) {
    let mut pair = Pair::open(engine, Duration::from_secs(10)).await;
    let load = Load::start(&pair.theatre, Duration::from_millis(40));
    migrate(&pair.theatre, &LATER).await;
    // The standby takes over, and the one that was active restarts.
    for _ in 0..2 {
        let so_far = pair.standby.so_far();
        assert_eq!(pair.active.terminate().await.expect("ours"), Some(0));
        acquired(&pair.standby, so_far).await;
        established(&pair.standby, so_far).await;
        let name = pair.active.name().to_owned();
        pair.active = pair.theatre.stage.start(&name).expect("starts");
        pair.change_places();
        contended(&pair.standby, 0, &pair.active).await;
    }
    assert_unharmed(&pair.theatre, load).await;

    migrate(
        &pair.theatre,
        &["UPDATE schema_meta SET min_compatible = version"],
    )
    .await;
    let refused = pair.theatre.stage.command("three", &["run"]).output().await;
    let refused = refused.expect("it runs");
    assert_eq!(refused.status.code(), Some(78));
    let said = String::from_utf8_lossy(&refused.stderr) + String::from_utf8_lossy(&refused.stdout);
    assert!(said.contains("Use the newer binary"), "{said}");
    // Whoever runs already is not stopped in the middle of its work.
    let last = pair.theatre.text("after the contraction");
    pair.active
        .wait_for("whatsapp.inbound.queued", PATIENCE, |line| {
            line["channelMessageId"] == last.as_str()
        })
        .await
        .expect("queued");
}
