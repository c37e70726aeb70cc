//! Verifying opens everything and repairs nothing.

use std::sync::Arc;
use std::time::Duration;

use auth_store::{Damage, OpenError, Poison, RecordKey, RecordStore as _, verify};
use wacore::store::traits::SignalStore as _;

use crate::contents::{NUMBER, fill};
use crate::fixture::Account;
use crate::shelf::Shelf;

#[tokio::test]
async fn a_sound_state_is_stamped_while_it_is_in_use() {
    let account = Account::new();
    let opened = account.open(1).await;
    fill(&opened.auth).await;
    assert_eq!(account.inspect().await.unwrap().head.verified_ms, None);
    let view = auth_store::LocalMedium::view(account.root(), &account.name).await;
    let view = view.unwrap().unwrap();
    let seen = verify(&view, &account.sealer()).await.unwrap();
    assert!(seen.is_clean(), "{seen:?}");
    assert!(seen.records > 50, "{}", seen.records);
    assert_eq!(seen.root_key, Some(account.key.id()));
    let stamped = account.inspect().await.unwrap().head.verified_ms;
    assert!(stamped.unwrap() > 1_600_000_000_000);
    view.close().await;
    opened.close().await;
}

#[tokio::test]
async fn damaged_records_of_every_generation_are_named_and_left_alone() {
    let account = Account::new();
    let shelf = Arc::new(Shelf::default());
    let auth = account.over(shelf.clone()).await.unwrap();
    fill(&auth).await;
    auth.retire("logged out").await.unwrap();
    let auth = account.over(shelf.clone()).await.unwrap();
    auth.put_session("address", b"session").await.unwrap();
    auth.close().await.unwrap();
    shelf.hold("g1/device", "garbage".into());
    let phone = format!("g1/phone_lid/{NUMBER}");
    let other = shelf.load(&RecordKey::new("g2/session/address")).await;
    shelf.hold(&phone, other.unwrap().unwrap());
    shelf.hold("g7/session/address", "of nobody".into());

    let before = shelf.0.lock().unwrap().clone();
    let seen = verify(&*shelf, &account.sealer()).await.unwrap();
    let damaged: Vec<_> = seen
        .damaged
        .iter()
        .map(|damaged| (damaged.record.as_str(), damaged.damage.clone()))
        .collect();
    assert_eq!(damaged[0], ("g1/device", Damage::Envelope));
    assert_eq!(damaged[1].0, phone);
    assert!(matches!(damaged[1].1, Damage::KeyId { .. }), "{damaged:?}");
    assert_eq!(damaged[2], ("g7/session/address", Damage::Unlisted));
    assert_eq!(damaged.len(), 3);
    assert!(!format!("{:?}", seen.damaged).contains(NUMBER), "masked");
    assert!(!seen.is_clean());
    assert_eq!(shelf.head().await.unwrap().unwrap().verified_ms, None);
    assert_eq!(*shelf.0.lock().unwrap(), before);
}

#[tokio::test]
async fn a_key_that_is_gone_is_noticed_and_nothing_is_stamped() {
    let account = Account::new();
    let shelf = Arc::new(Shelf::default());
    let auth = account.over(shelf.clone()).await.unwrap();
    fill(&auth).await;
    auth.close().await.unwrap();
    let clean = verify(&*shelf, &account.sealer()).await.unwrap();
    assert!(clean.is_clean());
    shelf.1.lock().unwrap().verified_ms = None;
    let gone = RecordKey::new(format!("g1/lid/{}", crate::contents::LID));
    shelf.0.lock().unwrap().remove(&gone).unwrap();
    let seen = verify(&*shelf, &account.sealer()).await.unwrap();
    assert_eq!((seen.keys_agree, seen.damaged.len()), (Some(false), 0));
    assert_eq!(shelf.head().await.unwrap().unwrap().verified_ms, None);

    shelf
        .0
        .lock()
        .unwrap()
        .remove(&RecordKey::new("generations"));
    let refused = verify(&*shelf, &account.sealer()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Records(_)), "{refused}");
}

#[tokio::test]
async fn a_medium_that_does_not_check_itself_is_checked_after_opening() {
    let account = Account::new();
    let shelf = Arc::new(Shelf::default());
    let auth = account.over(shelf.clone()).await.unwrap();
    auth.put_session("a", b"a").await.unwrap();
    auth.put_session("b", b"b").await.unwrap();
    auth.close().await.unwrap();
    let gone = RecordKey::new("g1/session/a");
    shelf.0.lock().unwrap().remove(&gone).unwrap();

    let auth = account.over(shelf.clone()).await.unwrap();
    let mut poisoned = auth.poisoned();
    let found = poisoned.wait_for(Option::is_some);
    let found = tokio::time::timeout(Duration::from_secs(10), found).await;
    let reason = found.unwrap().unwrap().clone().unwrap();
    let Poison::Damaged(text) = reason else {
        panic!("poisoned for another reason: {reason}");
    };
    assert!(
        text.contains("a shelf") && text.contains("2 there, 3 expected"),
        "{text}"
    );
}
