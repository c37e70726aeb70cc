//! What a file knows of itself, through versions and owners.

use auth_store::{
    Batch, Head, KeySet, LocalMedium, OpenMediumError, RecordError, RecordKey, RecordStore,
};
use bytes::Bytes;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use wacore::store::traits::SignalStore;

use crate::fixture::Account;

async fn sql(account: &Account) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(account.file())
        .connect()
        .await
        .unwrap()
}

async fn head(medium: &LocalMedium) -> Head {
    medium.head().await.unwrap().unwrap()
}

#[tokio::test]
async fn every_batch_counts_and_the_lineage_stays() {
    let account = Account::new();
    let medium = account.medium(1).await.unwrap();
    let before = head(&medium).await;
    assert_eq!((before.epoch, before.writes), (1, 0));
    let batch = |key: &str| Batch {
        puts: vec![(RecordKey::new(key), Bytes::from_static(b"value"))],
        deletes: Vec::new(),
        ..Batch::default()
    };
    medium.apply(&batch("a")).await.unwrap();
    medium.apply(&batch("a")).await.unwrap();
    medium.apply(&batch("b")).await.unwrap();
    medium.close().await;

    let medium = account.medium(2).await.unwrap();
    let after = head(&medium).await;
    assert_eq!((after.epoch, after.writes), (2, 3));
    assert_eq!(after.lineage, before.lineage);
    assert_eq!(after.keys, KeySet::from_iter(["a", "b"]));
    medium.close().await;
    let other = Account::new();
    let other = other.medium(1).await.unwrap();
    assert_ne!(head(&other).await.lineage, after.lineage);
}

#[tokio::test]
async fn pages_show_every_record_once_in_order() {
    let account = Account::new();
    let medium = account.medium(1).await.unwrap();
    let keys: Vec<_> = (10..17).map(|n| RecordKey::new(format!("k/{n}"))).collect();
    let puts = keys
        .iter()
        .map(|key| (key.clone(), Bytes::from_static(b"v")));
    let batch = Batch {
        puts: puts.collect(),
        deletes: Vec::new(),
        ..Batch::default()
    };
    medium.apply(&batch).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let page = medium.page(seen.last(), 3).await.unwrap();
        seen.extend(page.iter().map(|(key, _)| key.clone()));
        if page.len() < 3 {
            break;
        }
    }
    assert_eq!(seen, keys);
    assert_eq!(medium.count("k/").await.unwrap(), 7);
    assert_eq!(medium.count("k/1").await.unwrap(), 7);
    assert_eq!(medium.count("l/").await.unwrap(), 0);
}

#[tokio::test]
async fn a_view_reads_stamps_and_writes_nothing_else() {
    let account = Account::new();
    let none = LocalMedium::view(account.root(), &account.name).await;
    assert!(none.unwrap().is_none());
    assert!(!account.file().exists(), "looking makes nothing");

    let owner = account.open(7).await;
    owner.auth.put_session("address", b"s").await.unwrap();
    let view = LocalMedium::view(account.root(), &account.name).await;
    let view = view.unwrap().unwrap();
    let batch = Batch {
        puts: Vec::new(),
        deletes: vec![RecordKey::new("g1/session/address")],
        ..Batch::default()
    };
    let refused = view.apply(&batch).await.unwrap_err();
    assert!(matches!(refused, RecordError::ReadOnly), "{refused}");
    let before = head(&view).await;
    view.stamp_verified().await.unwrap();
    let after = head(&view).await;
    assert!(after.verified_ms.unwrap() > 1_600_000_000_000);
    let unstamped = Head {
        verified_ms: None,
        ..after
    };
    assert_eq!(unstamped, before);
    view.close().await;
    owner.auth.put_session("address", b"t").await.unwrap();
    owner.close().await;
}

#[tokio::test]
async fn a_stamp_of_an_overtaken_owner_is_harmless() {
    let account = Account::new();
    let old = account.medium(1).await.unwrap();
    let new = account.medium(2).await.unwrap();
    old.stamp_verified().await.unwrap();
    assert_eq!(head(&new).await.epoch, 2);
    new.apply(&Batch {
        puts: vec![(RecordKey::new("a"), Bytes::from_static(b"v"))],
        deletes: Vec::new(),
        ..Batch::default()
    })
    .await
    .unwrap();
}

/// Brings the file to the layout of the first release: fewer columns, another checksum.
async fn to_format_1(account: &Account) {
    let mut file = sql(account).await;
    for column in ["lineage", "writes", "verified_ms"] {
        let statement = format!("ALTER TABLE header DROP COLUMN {column}");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut file)
            .await
            .unwrap();
    }
    let (name, store, epoch, count, digest, last): (
        String,
        String,
        i64,
        i64,
        Vec<u8>,
        Option<i64>,
    ) = sqlx::query_as(
        "SELECT account, store_id, epoch, key_count, key_digest, last_write_ms FROM header",
    )
    .fetch_one(&mut file)
    .await
    .unwrap();
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for text in [&name, &store] {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    for number in [1, epoch, count] {
        context.update(&number.to_be_bytes());
    }
    context.update(&digest);
    context.update(&[u8::from(last.is_some())]);
    context.update(&last.unwrap_or_default().to_be_bytes());
    sqlx::query("UPDATE header SET format = 1, checksum = ?1")
        .bind(context.finish().as_ref())
        .execute(&mut file)
        .await
        .unwrap();
    file.close().await.unwrap();
}

#[tokio::test]
async fn a_file_of_the_first_format_is_looked_at_and_then_brought_up() {
    let account = Account::new();
    let opened = account.open(3).await;
    opened.auth.put_session("address", b"s").await.unwrap();
    opened.close().await;
    to_format_1(&account).await;

    let seen = account.inspect().await.unwrap();
    assert_eq!((seen.head.epoch, seen.sessions), (3, 1));
    assert_eq!(seen.head.lineage, "", "looking changes nothing");

    let opened = account.open(3).await;
    let upgraded = head(&opened.medium).await;
    assert_eq!(upgraded.lineage.len(), 32);
    let session = opened.auth.get_session("address").await.unwrap();
    assert_eq!(session.unwrap(), "s");
    opened.auth.put_session("address", b"t").await.unwrap();
    assert_eq!(head(&opened.medium).await.lineage, upgraded.lineage);
    assert!(head(&opened.medium).await.writes > upgraded.writes);
    opened.close().await;
}

#[tokio::test]
async fn a_refused_owner_does_not_upgrade_a_file() {
    let account = Account::new();
    account.open(3).await.close().await;
    to_format_1(&account).await;
    let refused = account.medium(2).await.unwrap_err();
    assert!(matches!(refused, OpenMediumError::Fenced { .. }));
    assert_eq!(account.inspect().await.unwrap().head.lineage, "");
}

#[tokio::test]
async fn a_file_of_a_newer_release_is_refused_as_such() {
    let account = Account::new();
    account.open(1).await.close().await;
    let mut file = sql(&account).await;
    sqlx::query("UPDATE header SET format = 3")
        .execute(&mut file)
        .await
        .unwrap();
    file.close().await.unwrap();
    let opened = account.medium(1).await.map(|_| ());
    let viewed = LocalMedium::view(account.root(), &account.name).await;
    for refused in [opened.unwrap_err(), viewed.map(|_| ()).unwrap_err()] {
        assert!(
            matches!(
                refused,
                OpenMediumError::NewerFormat {
                    found: 3,
                    known: 2,
                    ..
                }
            ),
            "{refused}"
        );
    }
}
