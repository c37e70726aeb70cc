//! Old and new binaries on one store.

use whatsapp_worker::store::{AuthMedium, Engine};

use super::{Bench, message, open, pn, queued};

on_every_engine!(
    processes_may_open_a_new_store_at_once,
    a_newer_schema_that_says_it_is_compatible_is_used,
    a_newer_schema_that_needs_a_newer_binary_is_refused,
    an_older_schema_is_brought_up_to_date_and_keeps_its_rows,
    a_migration_that_stops_in_the_middle_leaves_nothing,
);

async fn processes_may_open_a_new_store_at_once(bench: &Bench) {
    empty(bench).await;
    let (a, b, c, d) = tokio::join!(
        open(&bench.url),
        open(&bench.url),
        open(&bench.url),
        open(&bench.url)
    );
    let ids = [a, b, c, d].map(|store| store.expect("opens").store_id().to_owned());
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(ids[0], bench.store.store_id());
}

async fn a_newer_schema_that_says_it_is_compatible_is_used(bench: &Bench) {
    let later = "ALTER TABLE lease ADD COLUMN later TEXT;
         ALTER TABLE inbox ADD COLUMN later BIGINT NOT NULL DEFAULT 7;
         CREATE TABLE later(id TEXT PRIMARY KEY);
         UPDATE schema_meta SET version = 99";
    let held = bench.fence().await;
    bench.sql(later).await.expect("writes");
    let accepted = bench
        .accept(&held, vec![message("A", pn("49151000001"), "hi")])
        .await
        .expect("a process that runs goes on");
    assert!(queued(&accepted[0]));
    let restarted = bench.another().await;
    assert_eq!(restarted.store_id(), bench.store.store_id());
    let taken = bench.bid(|bid| bid.dead = Some(held.epoch())).await;
    assert_eq!(taken.expect("dead").epoch().0, 2);
}

async fn a_newer_schema_that_needs_a_newer_binary_is_refused(bench: &Bench) {
    let contract = "UPDATE schema_meta SET version = 99, min_compatible = 99";
    bench.sql(contract).await.expect("writes");
    let error = open(&bench.url).await.expect_err("too new").to_string();
    assert!(
        error.contains("needs a binary that knows schema 99"),
        "{error}"
    );
    assert!(!error.contains("rehearsal"), "no password: {error}");
}

/// Leaves a store without any table.
async fn empty(bench: &Bench) {
    let drop_all = match bench.store.engine() {
        Engine::Postgres => "DROP SCHEMA public CASCADE; CREATE SCHEMA public".to_owned(),
        Engine::Sqlite => bench
            .texts(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            )
            .await
            .iter()
            .map(|table| format!("DROP TABLE {table};"))
            .collect(),
    };
    bench.sql(&drop_all).await.expect("empties");
}

/// The store as the first version made it.
async fn back_to_1(bench: &Bench) {
    empty(bench).await;
    let first = include_str!("../../migrations/001_init.sql");
    bench.sql(first).await.expect("writes");
    let meta =
        "INSERT INTO schema_meta(one, version, min_compatible, store_id) VALUES(1, 1, 1, 'one');
         INSERT INTO lease(account_id, epoch, token, owner, beat, expires_at)
         VALUES('shop', 1, 't', 'w#1', 1, 1)";
    bench.sql(meta).await.expect("writes");
}

/// As a crash would have left it between the migrations.
async fn an_older_schema_is_brought_up_to_date_and_keeps_its_rows(bench: &Bench) {
    back_to_1(bench).await;
    let linked =
        "INSERT INTO accounts(account_id, auth_home, created_at) VALUES('shop', 'disk', 1);
         INSERT INTO accounts(account_id, created_at) VALUES('new', 1)";
    bench.sql(linked).await.expect("writes");
    let (a, b) = tokio::join!(open(&bench.url), open(&bench.url));
    assert_eq!(a.expect("opens").store_id(), b.expect("opens").store_id());
    let store = bench.another().await;
    let row = store.lease(&bench.account).await.expect("answers");
    assert_eq!(row.expect("kept").epoch.0, 1);
    assert_eq!(store.workers().await.expect("answers"), []);
    let accounts = store.accounts().await.expect("answers");
    let media: Vec<_> = accounts.iter().map(|account| account.auth_medium).collect();
    assert_eq!(media, [None, Some(AuthMedium::Local)], "new and shop");
}

async fn a_migration_that_stops_in_the_middle_leaves_nothing(bench: &Bench) {
    back_to_1(bench).await;
    // The last table of the second migration cannot be made, after all its columns were added.
    bench
        .sql("CREATE TABLE workers(other BIGINT)")
        .await
        .expect("writes");
    let error = open(&bench.url).await.expect_err("in the way").to_string();
    assert!(error.contains("cannot be migrated"), "{error}");
    bench
        .sql("SELECT successor FROM lease")
        .await
        .expect_err("the column was taken back");
    bench.sql("DROP TABLE workers").await.expect("clears");
    let store = bench.another().await;
    let row = store.lease(&bench.account).await.expect("answers");
    assert_eq!(row.expect("kept").successor, None);
}
