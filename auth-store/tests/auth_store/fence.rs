//! One owner at a time, of one store.

use auth_store::{OpenMediumError, Poison, RecordError};
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
