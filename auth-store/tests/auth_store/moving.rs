//! A file is made of what another medium held, and goes out of use whole.

use std::os::unix::fs::PermissionsExt as _;

use auth_store::{LocalMedium, OpenMediumError, RecordError, RecordStore as _};
use wacore::store::traits::{DeviceStore as _, SignalStore as _};

use crate::contents::{fill, items, read_all};
use crate::fixture::{Account, STORE};

#[tokio::test]
async fn a_moved_state_is_the_same_state_with_its_lineage() {
    let source = Account::new();
    let opened = source.open(4).await;
    fill(&opened.auth).await;
    opened.auth.close().await.unwrap();
    let head = opened.medium.head().await.unwrap().unwrap();
    let records = opened.medium.page(None, usize::MAX).await.unwrap();
    let auth = source.over(opened.medium.clone()).await.unwrap();
    let items = items();
    let expected = read_all(&auth, &items).await;

    let mut target = Account::new();
    target.key = source.key.clone();
    let create =
        |records| LocalMedium::create_from(target.root(), &target.name, STORE, 9, &head, records);
    let refused = create(&records[1..]).await.unwrap_err();
    assert!(
        matches!(
            refused,
            OpenMediumError::Records(RecordError::Damaged { .. })
        ),
        "{refused}"
    );
    assert!(!target.file().exists());
    create(&records).await.unwrap();
    let mode = std::fs::metadata(target.file()).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let again = create(&records).await.unwrap_err();
    assert!(matches!(&again, OpenMediumError::Exists(file) if *file == target.file()));

    let refused = target.medium(8).await.unwrap_err();
    assert!(
        matches!(refused, OpenMediumError::Fenced { stored: 9, .. }),
        "{refused}"
    );
    let medium = std::sync::Arc::new(target.medium(9).await.unwrap());
    let moved = medium.head().await.unwrap().unwrap();
    assert_eq!((&moved.lineage, moved.writes), (&head.lineage, head.writes));
    assert_eq!(moved.last_write_ms, head.last_write_ms);
    let auth = target.over(medium).await.unwrap();
    let text = |seen: &Vec<crate::contents::Seen>| format!("{seen:?}");
    assert_eq!(text(&read_all(&auth, &items).await), text(&expected));
}

#[tokio::test]
async fn a_file_that_is_set_aside_is_kept_whole_and_makes_room() {
    let account = Account::new();
    let none = LocalMedium::set_aside(account.root(), &account.name).await;
    assert_eq!(none.unwrap(), None);
    let opened = account.open(1).await;
    fill(&opened.auth).await;
    opened.auth.put_session("last", b"word").await.unwrap();
    // Killed: what it wrote last is in the log.
    opened.kill().await;

    let aside = LocalMedium::set_aside(account.root(), &account.name).await;
    let aside = aside.unwrap().unwrap();
    let name = aside.file_name().unwrap().to_str().unwrap();
    assert!(name["auth.db.".len()..].parse::<i64>().unwrap() > 1_600_000_000_000);
    let directory = account.root().join("shop");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);

    let fresh = account.open(1).await;
    assert!(fresh.auth.load().await.unwrap().is_none());
    fresh.close().await;
    std::fs::remove_file(account.file()).unwrap();
    std::fs::rename(&aside, account.file()).unwrap();
    let back = account.open(1).await;
    assert_eq!(
        back.auth.get_session("last").await.unwrap().unwrap(),
        "word"
    );
    assert!(back.auth.is_current().await);
    back.close().await;
}

#[tokio::test]
async fn a_log_whose_file_is_gone_is_set_aside_and_makes_room() {
    let account = Account::new();
    let opened = account.open(1).await;
    fill(&opened.auth).await;
    let directory = account.root().join("shop");
    let log = std::fs::read(directory.join("auth.db-wal")).unwrap();
    assert!(!log.is_empty());
    opened.kill().await;
    std::fs::remove_file(account.file()).unwrap();
    std::fs::write(directory.join("auth.db-wal"), &log).unwrap();
    let aside = LocalMedium::set_aside(account.root(), &account.name).await;
    let aside = aside.unwrap().unwrap();
    assert!(!directory.join("auth.db-wal").exists());
    let kept = format!("{}-wal", aside.display());
    assert_eq!(std::fs::read(kept).unwrap(), log);
    let fresh = account.open(1).await;
    assert!(fresh.auth.load().await.unwrap().is_none());
    fresh.close().await;
}

#[tokio::test]
async fn a_file_that_another_process_writes_is_not_set_aside() {
    let account = Account::new();
    let opened = account.open(1).await;
    opened
        .auth
        .put_session("address", b"session")
        .await
        .unwrap();
    let reader = sqlx::SqlitePool::connect_with(
        sqlx::sqlite::SqliteConnectOptions::new().filename(account.file()),
    )
    .await
    .unwrap();
    // A snapshot that keeps the log from being emptied.
    let mut snapshot = reader.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM records")
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
    opened.auth.put_session("address", b"newer").await.unwrap();
    let refused = LocalMedium::set_aside(account.root(), &account.name).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, OpenMediumError::Records(error) if error.is_transient()),
        "{refused}"
    );
    assert!(account.file().exists());
    drop(snapshot);
    reader.close().await;
    opened.close().await;
}
