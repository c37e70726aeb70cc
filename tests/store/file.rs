//! The file behind an SQLite store.

use whatsapp_worker::store::Store;

use super::{StoreOptions, open};

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_kept() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("note.txt");
    std::fs::write(&path, "a letter to a friend, longer than a header").expect("writes");
    let error = open(&format!("sqlite:{}", path.display()))
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

#[tokio::test]
async fn a_path_is_taken_as_it_is_written() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("a b#%41.db");
    let url = format!("sqlite:{}", path.display());
    let store = open(&url).await.expect("opens");
    assert_eq!(store.file(), Some(path.as_path()));
    assert!(path.exists());
    let missing = format!("sqlite:{}", dir.path().join("none.db").display());
    let error = Store::open_existing(&missing, StoreOptions::default())
        .await
        .expect_err("none");
    assert!(
        error.to_string().contains("there is no store at"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_was_replaced_takes_no_more_writes() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("store.db");
    let store = open(&format!("sqlite:{}", path.display()))
        .await
        .expect("opens");
    std::fs::remove_file(&path).expect("removes");
    let account = "shop".parse().expect("valid");
    let error = store.add_account(&account, "o").await.expect_err("gone");
    assert!(
        error.to_string().contains("was deleted or replaced"),
        "{error}"
    );
}
