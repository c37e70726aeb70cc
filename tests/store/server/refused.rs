//! Servers that cannot hold a store, and places that are none.

use whatsapp_worker::rehearsal::postgres::{Pooler, Postgres, PostgresOptions};
use whatsapp_worker::store::{Engine, Store, StoreError, StoreOptions};

use crate::store::{Bench, on, open};

async fn refusal(url: &str) -> String {
    match open(url).await {
        Err(StoreError::Unusable(text)) => {
            assert!(!text.contains("rehearsal"), "no password: {text}");
            text
        }
        Err(error) => panic!("a person must act, and this does not say so: {error}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_told_with_their_cure() {
    on(Engine::Postgres, async |bench: &Bench| {
        let text = refusal(&bench.url.replace("rehearsal", "rehearsal-not")).await;
        assert!(text.contains("check user and password"), "{text}");
        let text = refusal(&format!("{}_none", bench.url)).await;
        assert!(text.contains("does not exist"), "{text}");
        assert!(text.contains("createdb"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_may_lose_commits_is_refused_unless_that_is_accepted() {
    on(Engine::Postgres, async |bench: &Bench| {
        let name = bench.url.rsplit('/').next().expect("a name");
        let off = format!("ALTER DATABASE \"{name}\" SET synchronous_commit = off");
        bench.sql(&off).await.expect("writes");
        let text = refusal(&bench.url).await;
        assert!(text.contains("synchronous_commit=off"), "{text}");
        assert!(text.contains("STORE_ALLOW_ASYNC_COMMIT=1"), "{text}");
        let accepted = StoreOptions {
            allow_async_commit: true,
            ..StoreOptions::default()
        };
        let store = Store::open(&bench.url, accepted).await.expect("opens");
        assert_eq!(store.store_id(), bench.store.store_id());
        store.close().await;
    })
    .await;
    let options = PostgresOptions {
        fsync: false,
        settings: vec![("full_page_writes".to_owned(), "off".to_owned())],
        ..PostgresOptions::default()
    };
    let server = Postgres::start_with(options).await.expect("starts");
    let text = refusal(&server.url()).await;
    assert!(text.contains("fsync=off, full_page_writes=off"), "{text}");
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_refused_and_one_in_session_mode_serves() {
    on(Engine::Postgres, async |bench: &Bench| {
        let database = bench.database.as_ref().expect("PostgreSQL");
        for mode in ["transaction", "session"] {
            let Some(pooler) = Pooler::start(database, mode).await.expect("starts") else {
                println!("skipped: this machine has no PgBouncer");
                return;
            };
            let url = database.url_by_port(pooler.port());
            if mode == "transaction" {
                let text = refusal(&url).await;
                assert!(text.contains("pooler in transaction mode"), "{text}");
            } else {
                let store = open(&url).await.expect("opens");
                assert_eq!(store.store_id(), bench.store.store_id());
                store.close().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_may_answer_later() {
    let mut server = Postgres::start().await.expect("starts");
    let url = server.url();
    let store = open(&url).await.expect("opens");
    server.kill().await.expect("dies");
    let error = open(&url).await.expect_err("nobody there");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let error = store.now_ms().await.expect_err("nobody there");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    server.resume().await.expect("recovers");
    store.now_ms().await.expect("the same store answers again");
}
