//! Credentials that leave their medium and come to another one.

use std::sync::atomic::Ordering;

use auth_format::UnreadableBundle;
use auth_store::{AccountName, BundleError, Passphrase, RecordStore as _, Snapshot};
use bytes::Bytes;
use wacore::store::Device;
use wacore::store::traits::{DeviceStore as _, SignalStore as _};
use wacore_binary::Jid;

use crate::fixture::{Account, Faulty, Opened};

const SESSIONS: usize = 700;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).expect("long enough")
}

/// Credentials in use, with `SESSIONS` sessions, and something that waits to be linked.
async fn linked(account: &Account, number: &str) -> Opened {
    let opened = account.open(1).await;
    let device = Device {
        pn: Some(Jid::pn_device(number, 3)),
        lid: Some(Jid::lid_device("777000777", 3)),
        ..Device::new()
    };
    opened.auth.save(&device).await.unwrap();
    let session = |n: usize| (address(n).into(), Bytes::from(vec![7; 20]));
    let sessions: Vec<_> = (0..SESSIONS).map(session).collect();
    opened.auth.put_sessions_batch(&sessions).await.unwrap();
    opened.auth.promote().await.unwrap();
    opened
}

fn address(n: usize) -> String {
    format!("49151{n:07}:2@c.us.0")
}

async fn taken(account: &Account, opened: &Opened) -> Snapshot {
    let taken = Snapshot::take(&*opened.medium, &account.sealer()).await;
    taken.unwrap().expect("they are in use")
}

#[tokio::test]
async fn a_sealed_copy_goes_on_elsewhere_and_what_it_replaces_is_kept() {
    let (from, mut to) = (Account::new(), Account::new());
    to.name = AccountName::new("branch").unwrap();
    let here = linked(&from, "4915100000001").await;
    let there = linked(&to, "4915100000002").await;
    let before = there.auth.generation();

    let snapshot = taken(&from, &here).await;
    assert_eq!(snapshot.number(), Some("4915100000001"));
    assert_eq!(
        snapshot.linked_jid(),
        Some("4915100000001:3@s.whatsapp.net")
    );
    assert_eq!(snapshot.lid(), Some("777000777:3@lid"));
    assert_eq!(snapshot.account_hint(), "shop");
    let head = here.medium.head().await.unwrap().unwrap();
    assert_eq!(
        (snapshot.lineage(), snapshot.writes()),
        (&*head.lineage, head.writes)
    );
    let file = snapshot.seal(&passphrase("correct horse battery")).unwrap();
    for secret in ["777000777", "4915100000001", "session/", "noise_key"] {
        let found = file.windows(secret.len()).any(|at| at == secret.as_bytes());
        assert!(!found, "{secret} is readable");
    }

    there.auth.close().await.unwrap();
    let carried = Snapshot::open(&file, &passphrase("correct horse battery")).unwrap();
    let installed = carried
        .install(there.medium.clone(), &to.sealer(), "imported")
        .await
        .unwrap();
    let auth = to.over(there.medium.clone()).await.unwrap();
    assert_eq!(auth.generation(), installed);
    assert!(auth.is_current().await);
    let device = auth.load().await.unwrap().unwrap();
    assert_eq!(device.pn, Some(Jid::pn_device("4915100000001", 3)));
    for n in [0, SESSIONS - 1] {
        let session = auth.get_session(&address(n)).await.unwrap();
        assert_eq!(session.as_deref(), Some(&[7; 20][..]));
    }
    auth.close().await.unwrap();
    there.medium.close().await;
    let seen = to.inspect().await.unwrap();
    assert_eq!(seen.sessions, SESSIONS as u64);
    let retired: Vec<_> = seen
        .retired
        .iter()
        .map(|one| (one.generation, one.reason.as_str()))
        .collect();
    assert_eq!(retired, [(before, "imported")]);
    here.close().await;
}

#[tokio::test]
async fn an_interrupted_installation_is_never_used_and_swept() {
    let from = Account::new();
    let here = linked(&from, "4915100000001").await;
    let snapshot = taken(&from, &here).await;
    // The list, three batches; the last makes it current.
    for applied in 0..4 {
        let to = Account::new();
        let used = linked(&to, "4915100000002").await.auth.generation();
        let faulty = Faulty::new(to.medium(2).await.unwrap());
        faulty.successes_left.store(applied, Ordering::SeqCst);
        let failed = snapshot
            .install(faulty.clone(), &to.sealer(), "imported")
            .await;
        failed.expect_err("the disk is full");
        drop(faulty);

        let opened = to.open(3).await;
        assert_eq!(opened.auth.generation(), used, "after {applied} batches");
        let device = opened.auth.load().await.unwrap().unwrap();
        assert_eq!(device.pn, Some(Jid::pn_device("4915100000002", 3)));
        let left = opened.medium.count("g2/").await.unwrap();
        assert_eq!(left, 0, "after {applied} batches");
        opened.close().await;
    }
    here.close().await;
}

#[tokio::test]
async fn an_interrupted_installation_into_nothing_leaves_nothing() {
    let from = Account::new();
    let here = linked(&from, "4915100000001").await;
    let snapshot = taken(&from, &here).await;
    let to = Account::new();
    let faulty = Faulty::new(to.medium(1).await.unwrap());
    faulty.successes_left.store(2, Ordering::SeqCst);
    let failed = snapshot
        .install(faulty.clone(), &to.sealer(), "imported")
        .await;
    failed.expect_err("the disk is full");
    faulty.successes_left.store(usize::MAX, Ordering::SeqCst);
    assert!(
        Snapshot::take(&*faulty, &to.sealer())
            .await
            .unwrap()
            .is_none()
    );

    let auth = to.over(faulty.clone()).await.unwrap();
    assert!(
        auth.load().await.unwrap().is_none(),
        "half a device is none"
    );
    auth.close().await.unwrap();
    let again = snapshot
        .install(faulty.clone(), &to.sealer(), "imported")
        .await;
    let auth = to.over(faulty).await.unwrap();
    assert_eq!(auth.generation(), again.unwrap());
    assert!(auth.load().await.unwrap().is_some());
    auth.close().await.unwrap();
    here.close().await;
}

#[tokio::test]
async fn credentials_that_wait_to_be_linked_are_no_snapshot() {
    let account = Account::new();
    let opened = account.open(1).await;
    opened.auth.save(&Device::new()).await.unwrap();
    let taken = Snapshot::take(&*opened.medium, &account.sealer()).await;
    assert!(taken.unwrap().is_none());
    opened.close().await;
}

#[tokio::test]
async fn a_wrong_passphrase_damage_and_other_files_are_told_apart() {
    let account = Account::new();
    let opened = linked(&account, "4915100000001").await;
    let snapshot = taken(&account, &opened).await;
    let (good, bad) = (
        passphrase("correct horse battery"),
        passphrase("correct horse batterz"),
    );
    let file = snapshot.seal(&good).unwrap();
    let open = |bytes: &[u8], passphrase| Snapshot::open(bytes, passphrase).map(|_| ());

    assert_eq!(open(&file, &good), Ok(()));
    let wrong = open(&file, &bad);
    assert_eq!(wrong, Err(BundleError::WrongPassphrase));
    let damaged = Err(UnreadableBundle::Damaged.into());
    for at in (16..file.len()).step_by(file.len() / 97) {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        assert_eq!(open(&flipped, &good), damaged, "flipped at {at}");
        assert_eq!(open(&file[..at], &good), damaged, "cut at {at}");
    }
    let other = open(b"PK\x03\x04 something else", &good);
    assert_eq!(other, Err(UnreadableBundle::NotABundle.into()));
    assert!(Passphrase::new("short").is_err());
    opened.close().await;
}
