//! One owner at a time, of one store.

use auth_store::{Batch, OpenMediumError, Poison, RecordError, RecordKey, RecordStore as _};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use wacore::store::traits::SignalStore;

use crate::fixture::{Account, STORE, cause};

#[tokio::test]
async fn an_older_epoch_cannot_open() {
    let account = Account::new();
    account.open(5).await.close().await;
    let refused = account.medium(4).await.err().unwrap();
    assert!(matches!(
        refused,
        OpenMediumError::Fenced {
            ours: 4,
            stored: 5,
            ..
        }
    ));
    account.open(5).await.close().await;
    account.open(6).await.close().await;
}

#[tokio::test]
async fn an_overtaken_owner_cannot_write_and_leaves_no_trace() {
    let account = Account::new();
    let old = account.open(1).await;
    old.auth.put_session("address", b"before").await.unwrap();
    let new = account.open(2).await;

    let refused = old.auth.put_session("address", b"after").await.unwrap_err();
    assert!(matches!(
        cause(refused),
        RecordError::Fenced { ours: 1, stored: 2 }
    ));
    assert_eq!(
        *old.auth.poisoned().borrow(),
        Some(Poison::Fenced { ours: 1, stored: 2 })
    );
    let found = new.auth.get_session("address").await.unwrap().unwrap();
    assert_eq!(found, "before");
    new.auth.put_session("address", b"new").await.unwrap();
    new.close().await;

    let last = account.open(3).await;
    let found = last.auth.get_session("address").await.unwrap().unwrap();
    assert_eq!(found, "new");
}

/// Every row of every table, as its bytes.
async fn rows(account: &Account) -> Vec<Vec<u8>> {
    let mut file = SqliteConnectOptions::new()
        .filename(account.file())
        .connect()
        .await
        .unwrap();
    let mut rows = Vec::new();
    for (table, columns) in [
        (
            "header",
            "format, account, store_id, epoch, key_count, hex(key_digest), last_write_ms, lineage, writes, verified_ms, hex(checksum)",
        ),
        ("records", "rowid, key, hex(value)"),
        ("sqlite_master", "name, sql"),
    ] {
        let text = format!("SELECT json_array({columns}) FROM {table} ORDER BY rowid");
        let found: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(text))
            .fetch_all(&mut file)
            .await
            .unwrap();
        rows.extend(found.into_iter().map(String::into_bytes));
    }
    file.close().await.unwrap();
    rows
}

#[tokio::test]
async fn no_write_of_a_stale_epoch_leaves_a_trace() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let account = Account::new();
    let stale = account.medium(1).await.unwrap();
    let owner = account.medium(2).await.unwrap();
    let mut key = || RecordKey::new(format!("k/{}", random.random_range(0..20)));
    let mut batch = |puts: u8, deletes: usize| {
        let mut puts: Vec<_> = (0..puts)
            .map(|n| (key(), Bytes::from(vec![n; 3_000])))
            .collect();
        puts.sort();
        puts.dedup_by(|a, b| a.0 == b.0);
        let mut deletes: Vec<_> = (0..deletes).map(|_| key()).collect();
        deletes.retain(|key| !puts.iter().any(|(put, _)| put == key));
        Batch {
            puts,
            deletes,
            ..Batch::default()
        }
    };
    for _ in 0..50 {
        owner.apply(&batch(3, 2)).await.unwrap();
        let before = rows(&account).await;
        for (puts, deletes) in [(1, 0), (0, 1), (9, 9)] {
            let refused = stale.apply(&batch(puts, deletes)).await.unwrap_err();
            assert!(
                matches!(refused, RecordError::Fenced { ours: 1, stored: 2 }),
                "seed {seed}: {refused}"
            );
        }
        assert_eq!(rows(&account).await, before, "seed {seed}");
    }
}

#[tokio::test]
async fn a_file_of_another_store_is_refused_and_names_both() {
    let account = Account::new();
    account.open(1).await.close().await;
    let refused = auth_store::LocalMedium::open(account.root(), &account.name, "store-b", 9).await;
    let error = refused.err().unwrap();
    let OpenMediumError::ForeignStore { found, ours, .. } = &error else {
        panic!("refused for another reason: {error}");
    };
    assert_eq!((found.as_str(), ours.as_str()), (STORE, "store-b"));
    assert!(error.to_string().contains("auth.db"), "{error}");
    account.open(1).await.close().await;
}

#[tokio::test]
async fn a_file_of_another_account_is_refused() {
    let account = Account::new();
    account.open(1).await.close().await;
    let moved = account.root().join("other");
    std::fs::rename(account.root().join("shop"), &moved).unwrap();
    let other = auth_store::AccountName::new("other").unwrap();
    let refused = auth_store::LocalMedium::open(account.root(), &other, STORE, 1).await;
    assert!(matches!(
        refused.err().unwrap(),
        OpenMediumError::ForeignAccount { found, .. } if found == "shop"
    ));
}

#[tokio::test]
async fn processes_that_open_a_new_account_together_share_one_file() {
    let account = Account::new();
    let (first, second) = tokio::join!(account.medium(1), account.medium(2));
    let second = second.unwrap();
    match first {
        Ok(medium) => medium.close().await,
        Err(error) => assert!(matches!(
            error,
            OpenMediumError::Fenced {
                ours: 1,
                stored: 2,
                ..
            }
        )),
    }
    second.close().await;
    let names: Vec<_> = std::fs::read_dir(account.root().join("shop"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["auth.db"]);
}

#[tokio::test]
async fn files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let account = Account::new();
    let opened = account.open(1).await;
    opened
        .auth
        .put_session("address", b"session")
        .await
        .unwrap();
    let mode = |path: &std::path::Path| {
        let metadata = std::fs::metadata(path).unwrap();
        metadata.permissions().mode() & 0o777
    };
    let directory = account.root().join("shop");
    assert_eq!(mode(&directory), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_owned());
    }
    assert!(names.contains(&"auth.db".into()));
}
