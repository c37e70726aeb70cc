//! The file behind the store.

use std::time::Duration;

use whatsapp_worker::store::Store;

use super::Bench;

#[tokio::test]
async fn two_processes_may_open_a_new_store_at_once_and_a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let url = format!("sqlite:{}", dir.path().join("store.db").display());
    let open = || Store::open(&url, Duration::from_secs(5));
    let (a, b, c) = tokio::join!(open(), open(), open());
    let ids = [a, b, c].map(|store| store.expect("opens").store_id().to_owned());
    assert!(ids.iter().all(|id| *id == ids[0]));

    let raw = sqlx::SqlitePool::connect(&url).await.expect("opens");
    sqlx::query("UPDATE schema_meta SET version = 9, min_compatible = 9")
        .execute(&raw)
        .await
        .expect("writes");
    let error = open().await.expect_err("too new");
    assert!(
        error
            .to_string()
            .contains("needs a binary that knows schema 9"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_kept() {
    let bench = Bench::new().await;
    let path = bench.dir.path().join("note.txt");
    std::fs::write(&path, "a letter to a friend, longer than a header").expect("writes");
    let error = Store::open(
        &format!("sqlite:{}", path.display()),
        Duration::from_secs(1),
    )
    .await
    .expect_err("no store");
    assert!(
        error.to_string().contains("is not a usable SQLite file"),
        "{error}"
    );
    assert_eq!(
        std::fs::read_to_string(&path).expect("reads"),
        "a letter to a friend, longer than a header"
    );
}
