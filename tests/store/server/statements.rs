//! How much a write asks of the server.

use auth_store::{Batch, RecordKey, RecordStore};
use bytes::Bytes;
use whatsapp_worker::ids::OwnerId;
use whatsapp_worker::rehearsal::postgres::{Postgres, PostgresOptions};
use whatsapp_worker::store::{AcquireLease, RemoteMedium};

use crate::store::{TTL, open};

fn records(from: usize, to: usize, value: &'static str) -> Vec<(RecordKey, Bytes)> {
    let key = |n| RecordKey::new(format!("g1/session/{n}"));
    (from..to)
        .map(|n| (key(n), Bytes::from_static(value.as_bytes())))
        .collect()
}

#[tokio::test]
async fn a_flush_of_a_hundred_records_is_one_transaction_of_few_statements() {
    let options = PostgresOptions {
        settings: vec![("log_statement".to_owned(), "all".to_owned())],
        ..PostgresOptions::default()
    };
    let server = Postgres::start_with(options).await.expect("starts");
    let store = open(&server.url()).await.expect("opens");
    let bid = AcquireLease {
        account: &"shop".parse().expect("valid"),
        owner: &OwnerId::incarnate("w").expect("valid"),
        ttl: TTL,
        unchanged: None,
        dead: None,
    };
    let fence = store.acquire_lease(bid).await.expect("answers");
    let medium = RemoteMedium::open(store.clone(), fence.expect("free").into()).await;
    let medium = medium.expect("opens");
    let before = Batch {
        puts: records(0, 60, "before"),
        deletes: Vec::new(),
        ..Batch::default()
    };
    medium.apply(&before).await.expect("ours");
    let from = server.log().expect("readable").len();
    let flush = Batch {
        puts: records(20, 100, "after"),
        deletes: records(0, 20, "").into_iter().map(|(key, _)| key).collect(),
        ..Batch::default()
    };
    medium.apply(&flush).await.expect("ours");
    let log = server.log().expect("readable");
    let said: Vec<_> = log[from..]
        .lines()
        .filter_map(|line| line.split_once("LOG:  "))
        .map(|(_, said)| said)
        .filter(|said| said.starts_with("execute") || said.starts_with("statement:"))
        // How a pool looks at a connection that was given back.
        .filter(|said| !said.contains("ROLLBACK"))
        .collect();
    let count = |wanted: &str| said.iter().filter(|said| said.contains(wanted)).count();
    assert_eq!((count("BEGIN"), count("COMMIT")), (1, 1), "{said:#?}");
    // The fence, the head, which keys are known, what is put, what is deleted, the head again.
    assert_eq!(said.len(), 8, "{said:#?}");
    let head = medium.head().await.expect("answers").expect("there");
    assert_eq!((head.writes, head.keys.count()), (2, 80));
    store.close().await;
}
