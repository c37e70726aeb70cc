//! A damaged file is refused or read right, and never read as empty.

use std::sync::Arc;

use auth_store::{OpenMediumError, RecordError};
use wacore::store::traits::SignalStore;

use crate::fixture::Account;

const RECORDS: usize = 60;

fn address(n: usize) -> String {
    format!("49151{n:06}@s.whatsapp.net.0")
}

fn value(n: usize) -> Vec<u8> {
    format!("session {n}").repeat(20).into_bytes()
}

async fn filled() -> (Account, Vec<u8>) {
    let account = Account::new();
    let opened = account.open(1).await;
    for n in 0..RECORDS {
        opened
            .auth
            .put_session(&address(n), &value(n))
            .await
            .unwrap();
    }
    opened.close().await;
    let bytes = std::fs::read(account.file()).unwrap();
    (account, bytes)
}

/// Opens and reads everything; `true` if something was refused.
async fn read_all(account: &Account) -> bool {
    let Ok(medium) = account.medium(1).await else {
        return true;
    };
    let medium = Arc::new(medium);
    let mut refused = false;
    match account.over(medium.clone()).await {
        Err(_) => refused = true,
        Ok(auth) => {
            for n in 0..RECORDS {
                match auth.get_session(&address(n)).await {
                    Ok(found) => assert_eq!(found.as_deref(), Some(value(n).as_slice())),
                    Err(_) => refused = true,
                }
            }
        }
    }
    medium.close().await;
    refused
}

fn forget_log(account: &Account) {
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut name = account.file().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
}

#[tokio::test]
async fn flipped_bits_are_never_read_as_absence() {
    let (account, bytes) = filled().await;
    assert!(!read_all(&account).await);
    let mut refused = 0;
    let mut tried = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 400) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(account.file(), &flipped).unwrap();
        forget_log(&account);
        tried += 1;
        refused += usize::from(read_all(&account).await);
    }
    // Much of a page is unused, and a flip there changes nothing.
    assert!(refused * 4 > tried, "{refused} of {tried} were noticed");
}

#[tokio::test]
async fn a_truncated_file_is_refused_by_name() {
    let (account, bytes) = filled().await;
    for length in [0, 1, 100, 4096, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(account.file(), &bytes[..length]).unwrap();
        forget_log(&account);
        let error = match account.medium(2).await {
            Err(error) => error,
            Ok(medium) => {
                medium.close().await;
                assert!(read_all(&account).await, "cut to {length} bytes");
                continue;
            }
        };
        assert!(
            matches!(&error, OpenMediumError::Records(RecordError::Damaged { place, .. }) if place.ends_with("shop/auth.db")),
            "cut to {length} bytes: {error}"
        );
        let kept = std::fs::read(account.file()).unwrap();
        assert!(
            kept == bytes[..length],
            "cut to {length} bytes: it was changed"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_gone_beside_its_log_is_refused() {
    let (account, _) = filled().await;
    let opened = account.open(1).await;
    opened
        .auth
        .put_session("address", b"session")
        .await
        .unwrap();
    std::fs::remove_file(account.file()).unwrap();
    let error = account.medium(2).await.err().unwrap();
    assert!(matches!(
        error,
        OpenMediumError::Records(RecordError::Damaged { .. })
    ));
    assert!(!account.file().exists());
}
