//! Nobody without the key reads or changes a record unnoticed.

use std::sync::Arc;

use auth_store::{AccountName, Damage, MasterKey, OpenError, RecordError, RecordKey};
use bytes::Bytes;
use wacore::store::Device;
use wacore::store::traits::{DeviceStore, SignalStore};

use crate::fixture::{Account, cause};
use crate::shelf::Shelf;

const SECRET: &[u8] = b"a ratchet state nobody may see";

async fn sealed_session(account: &Account) -> (Arc<Shelf>, RecordKey) {
    let shelf = Arc::new(Shelf::default());
    let auth = account.over(shelf.clone()).await.unwrap();
    auth.put_session("address", SECRET).await.unwrap();
    auth.close().await.unwrap();
    (shelf, RecordKey::new("g1/session/address"))
}

/// What is found wrong with the session: it is dropped, or refused if a newer release may have written it.
async fn damage_of(account: &Account, shelf: &Arc<Shelf>, key: &RecordKey) -> Damage {
    let auth = account.over(shelf.clone()).await.unwrap();
    let (found, damage) = match auth.get_session("address").await {
        Ok(session) => {
            assert_eq!(session, None);
            let repair = account.repairs.lock().unwrap().pop().unwrap();
            assert_ne!(std::mem::discriminant(&repair.damage), version());
            (repair.record, repair.damage)
        }
        Err(error) => match cause(error) {
            RecordError::Corrupt { key, damage } => {
                assert_eq!(std::mem::discriminant(&damage), version());
                (key, damage)
            }
            other => panic!("not damage: {other}"),
        },
    };
    assert_eq!(&found, key);
    damage
}

fn version() -> std::mem::Discriminant<Damage> {
    std::mem::discriminant(&Damage::Version(0))
}

#[tokio::test]
async fn values_are_not_readable_in_the_medium() {
    let account = Account::new();
    let (shelf, key) = sealed_session(&account).await;
    let sealed = shelf.0.lock().unwrap()[&key].clone();
    assert!(!sealed.windows(8).any(|window| window == &SECRET[..8]));
}

#[tokio::test]
async fn every_changed_bit_is_damage_and_names_the_record() {
    let account = Account::new();
    let (shelf, key) = sealed_session(&account).await;
    let sealed = shelf.0.lock().unwrap()[&key].clone();
    for at in 0..sealed.len() {
        for bit in [0, 3, 7] {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1 << bit;
            shelf.hold(key.as_str(), changed.into());
            damage_of(&account, &shelf, &key).await;
        }
    }
    for length in 0..sealed.len() {
        let cut = sealed.slice(..length);
        shelf.hold(key.as_str(), cut);
        damage_of(&account, &shelf, &key).await;
    }
}

#[tokio::test]
async fn a_record_cannot_be_moved_to_another_name() {
    let account = Account::new();
    let (shelf, key) = sealed_session(&account).await;
    let moved = shelf.0.lock().unwrap()[&key].clone();
    let other = RecordKey::new("g1/sender_key/name");
    shelf.hold(other.as_str(), moved);
    let auth = account.over(shelf).await.unwrap();
    assert_eq!(auth.get_sender_key("name").await.unwrap(), None);
    let repairs = account.repairs.lock().unwrap();
    assert_eq!(repairs[0].record.as_str(), "g1/sender_key/name");
    assert_eq!(repairs[0].damage, Damage::Seal);
}

#[tokio::test]
async fn a_record_cannot_be_moved_to_another_account() {
    let account = Account::new();
    let (shelf, _) = sealed_session(&account).await;
    let mut other = Account::new();
    other.key = account.key.clone();
    other.name = AccountName::new("other").unwrap();
    let error = other.over(shelf).await.err().unwrap();
    assert!(matches!(
        error,
        OpenError::Records(RecordError::Corrupt {
            damage: Damage::Seal,
            ..
        })
    ));
}

#[tokio::test]
async fn the_same_value_is_never_sealed_the_same_way() {
    let account = Account::new();
    let (first, key) = sealed_session(&account).await;
    let (second, _) = sealed_session(&account).await;
    let sealed = |shelf: &Shelf| shelf.0.lock().unwrap()[&key].clone();
    assert_ne!(sealed(&first), sealed(&second));
}

#[tokio::test]
async fn another_key_opens_nothing_and_both_keys_are_named() {
    let mut account = Account::new();
    let (shelf, _) = sealed_session(&account).await;
    let right = account.key.id();
    account.key = MasterKey::generate().unwrap().into();
    let error = account.over(shelf).await.err().unwrap();
    let OpenError::WrongKey { found, ours, .. } = error else {
        panic!("refused for another reason: {error}");
    };
    assert_eq!(found, right);
    assert_eq!(ours, account.key.id());
}

#[tokio::test]
async fn a_list_of_generations_that_is_gone_is_damage() {
    let account = Account::new();
    let (shelf, _) = sealed_session(&account).await;
    shelf
        .0
        .lock()
        .unwrap()
        .remove(&RecordKey::new("generations"));
    let error = account.over(shelf).await.err().unwrap();
    assert!(matches!(
        error,
        OpenError::Records(RecordError::Corrupt {
            damage: Damage::Gone,
            ..
        })
    ));
}

#[tokio::test]
async fn a_damaged_device_is_never_absent() {
    let account = Account::new();
    let shelf = Arc::new(Shelf::default());
    let auth = account.over(shelf.clone()).await.unwrap();
    assert!(auth.load().await.unwrap().is_none());
    auth.save(&Device::new()).await.unwrap();
    auth.close().await.unwrap();
    let key = RecordKey::new("g1/device");
    shelf.hold(key.as_str(), Bytes::from_static(b"garbage"));

    for _ in 0..2 {
        let refused = account.over(shelf.clone()).await.err().unwrap();
        assert!(
            matches!(&refused, OpenError::Records(RecordError::Corrupt { key: found, .. }) if *found == key),
            "{refused}"
        );
    }
    let kept = shelf.0.lock().unwrap()[&key].clone();
    assert_eq!(kept, "garbage", "nothing replaced it");
}

#[test]
fn errors_do_not_show_phone_numbers() {
    let error = RecordError::Corrupt {
        key: RecordKey::new("g1/session/4915112345678@s.whatsapp.net.0"),
        damage: Damage::Seal,
    };
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("49151"), "{text}");
        assert!(text.contains("session/4915…@s.whatsapp.net"), "{text}");
    }
}
