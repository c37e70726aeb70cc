//! Old and new binaries on one store.

use whatsapp_worker::store::AuthMedium;

use super::{Bench, message, open, pn, queued};

on_every_engine!(
    processes_may_open_a_new_store_at_once,
    a_newer_schema_that_says_it_is_compatible_is_used,
    a_newer_schema_that_needs_a_newer_binary_is_refused,
    an_older_schema_is_brought_up_to_date_and_keeps_its_rows,
    a_migration_that_stops_in_the_middle_leaves_nothing,
);

async fn processes_may_open_a_new_store_at_once(bench: &Bench) {
    let empty = "DROP TABLE hints; DROP TABLE lookups; DROP TABLE contacts; DROP TABLE upload_chunks; DROP TABLE uploads;
         DROP TABLE auth_marks; DROP TABLE auth_orders; DROP TABLE auth_records; DROP TABLE auth_heads;
         DROP TABLE workers; DROP TABLE audit; DROP TABLE missing; DROP TABLE jobs; DROP TABLE lanes;
         DROP TABLE messages; DROP TABLE inbox; DROP TABLE conversations; DROP TABLE link_wishes;
         DROP TABLE link_codes; DROP TABLE session_status; DROP TABLE lease; DROP TABLE accounts;
         DROP TABLE schema_meta";
    bench.sql(empty).await.expect("empties");
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
         UPDATE schema_meta SET version = 9";
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
    let contract = "UPDATE schema_meta SET version = 9, min_compatible = 9";
    bench.sql(contract).await.expect("writes");
    let error = open(&bench.url).await.expect_err("too new").to_string();
    assert!(
        error.contains("needs a binary that knows schema 9"),
        "{error}"
    );
    assert!(!error.contains("rehearsal"), "no password: {error}");
}

const BACK_TO_1: &str = "DROP TABLE hints; DROP TABLE lookups; DROP TABLE contacts; DROP TABLE upload_chunks; DROP TABLE uploads;
     ALTER TABLE conversations DROP COLUMN read_until; ALTER TABLE conversations DROP COLUMN merged_into;
     DROP INDEX outbox_upload; ALTER TABLE outbox DROP COLUMN upload_id; DROP TABLE auth_marks; DROP TABLE auth_orders; DROP TABLE auth_records; DROP TABLE auth_heads;
     ALTER TABLE accounts DROP COLUMN auth_medium; ALTER TABLE link_wishes DROP COLUMN replace_number;
     ALTER TABLE lease DROP COLUMN successor;
     ALTER TABLE accounts DROP COLUMN paused; ALTER TABLE accounts DROP COLUMN resumed_at;
     ALTER TABLE audit DROP COLUMN epoch_before; ALTER TABLE audit DROP COLUMN epoch_after;
     DROP TABLE workers; UPDATE schema_meta SET version = 1";

/// As a crash would have left it between the migrations.
async fn an_older_schema_is_brought_up_to_date_and_keeps_its_rows(bench: &Bench) {
    bench.fence().await;
    let linked =
        "INSERT INTO accounts(account_id, auth_home, created_at) VALUES('shop', 'disk', 1);
         INSERT INTO accounts(account_id, created_at) VALUES('new', 1)";
    bench.sql(linked).await.expect("writes");
    bench.sql(BACK_TO_1).await.expect("writes");
    let (a, b) = tokio::join!(open(&bench.url), open(&bench.url));
    assert_eq!(a.expect("opens").store_id(), b.expect("opens").store_id());
    let row = bench.store.lease(&bench.account).await.expect("answers");
    assert_eq!(row.expect("kept").epoch.0, 1);
    assert_eq!(bench.store.workers().await.expect("answers"), []);
    let accounts = bench.store.accounts().await.expect("answers");
    let media: Vec<_> = accounts.iter().map(|account| account.auth_medium).collect();
    assert_eq!(media, [None, Some(AuthMedium::Local)], "new and shop");
}

async fn a_migration_that_stops_in_the_middle_leaves_nothing(bench: &Bench) {
    bench.fence().await;
    bench.sql(BACK_TO_1).await.expect("writes");
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
