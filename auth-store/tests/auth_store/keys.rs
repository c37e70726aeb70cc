//! Data keys are the generation's own; a master key is replaced without sealing anything else anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use auth_store::{KeyRing, MasterKey, OpenError, RecordKey, RecordStore as _, Sealer, inspect};
use bytes::Bytes;
use wacore::store::Device;
use wacore::store::traits::{DeviceStore as _, SignalStore as _};

use crate::first_release;
use crate::fixture::Account;
use crate::shelf::Shelf;

fn fresh() -> MasterKey {
    MasterKey::generate().unwrap()
}

fn records(shelf: &Shelf) -> BTreeMap<RecordKey, Bytes> {
    shelf.0.lock().unwrap().clone()
}

async fn root_key(account: &Account, shelf: &Shelf) -> String {
    let seen = inspect(shelf, &account.sealer()).await.unwrap().unwrap();
    seen.root_key.unwrap()
}

/// A session on a shelf, in credentials that are in use.
async fn linked(account: &Account) -> Arc<Shelf> {
    let shelf = Arc::new(Shelf::default());
    let auth = account.over(shelf.clone()).await.unwrap();
    auth.save(&Device::new()).await.unwrap();
    auth.put_session("address", b"session").await.unwrap();
    auth.promote().await.unwrap();
    auth.close().await.unwrap();
    shelf
}

#[tokio::test]
async fn a_rotation_seals_the_root_record_anew_and_nothing_else() {
    let mut account = Account::new();
    let shelf = linked(&account).await;
    let before = records(&shelf);
    let old = account.key.clone();
    account.key = old.with_fresh().unwrap();

    let auth = account.over(shelf.clone()).await.unwrap();
    auth.close().await.unwrap();
    let changed: Vec<_> = records(&shelf)
        .into_iter()
        .filter(|(key, value)| before[key] != value)
        .map(|(key, _)| key.as_str().to_owned())
        .collect();
    assert_eq!(changed, ["generations"]);
    assert_eq!(root_key(&account, &shelf).await, account.key.id());

    // The new key alone opens what was sealed before it was there.
    account.key = account.key.with_only(&[]);
    let auth = account.over(shelf.clone()).await.unwrap();
    let session = auth.get_session("address").await.unwrap();
    assert_eq!(session.unwrap(), "session");
    auth.close().await.unwrap();

    account.key = old;
    let refused = account.over(shelf).await.err().unwrap();
    assert!(matches!(refused, OpenError::WrongKey { .. }), "{refused}");
}

#[tokio::test]
async fn a_ring_opens_what_any_of_its_keys_sealed_and_seals_with_the_first() {
    let mut account = Account::new();
    let shelf = linked(&account).await;
    let old = account.key.first().clone();
    let (first, last) = (fresh(), fresh());
    let mut ring = KeyRing::from(old).with_fresh().unwrap();
    account.key = ring.clone();
    account.over(shelf.clone()).await.unwrap();
    assert_eq!(root_key(&account, &shelf).await, ring.id());

    // A state that is sealed by the first key is left as it is.
    let before = records(&shelf);
    account.over(shelf.clone()).await.unwrap();
    assert_eq!(records(&shelf), before);

    ring = KeyRing::from(first);
    account.key = ring;
    let refused = account.over(shelf.clone()).await.err().unwrap();
    assert!(matches!(refused, OpenError::WrongKey { .. }), "{refused}");
    account.key = last.into();
    assert!(account.over(shelf).await.is_err());
}

#[tokio::test]
async fn a_wrong_ring_is_told_with_every_id() {
    let account = Account::new();
    let shelf = linked(&account).await;
    let ring = KeyRing::from(fresh()).with_fresh().unwrap();
    let sealer = Sealer::new(ring.clone(), account.name.clone());
    let refused = inspect(&*shelf, &sealer).await.err().unwrap();
    let text = refused.to_string();
    let OpenError::WrongKey { found, ours, .. } = refused else {
        panic!("refused for another reason: {text}");
    };
    assert_eq!(found, account.key.id());
    assert_eq!(ours, ring.ids().join(", "));
    assert!(text.contains(&found) && text.contains(&ours), "{text}");
}

#[tokio::test]
async fn a_state_of_the_first_release_goes_on_and_can_be_rotated() {
    let mut account = Account::new();
    account.key = KeyRing::parse(&hex::encode(first_release::MASTER)).unwrap();
    let shelf = Arc::new(Shelf::default());
    let device = serde_json::to_vec(&Device::new()).unwrap();
    shelf.hold("generations", first_release::list());
    shelf.hold("g2/device", first_release::seal(2, "g2/device", &device));
    let sealed = first_release::seal(2, "g2/session/old", b"old session");
    shelf.hold("g2/session/old", sealed);
    let sealed = first_release::seal(1, "g1/session/older", b"older");
    shelf.hold("g1/session/older", sealed);

    let auth = account.over(shelf.clone()).await.unwrap();
    assert_eq!(auth.generation().number(), 2);
    let session = auth.get_session("old").await.unwrap();
    assert_eq!(session.unwrap(), "old session");
    auth.put_session("new", b"new session").await.unwrap();
    auth.close().await.unwrap();

    // After a rotation the derived keys are in the root record.
    account.key = account.key.with_fresh().unwrap();
    let auth = account.over(shelf.clone()).await.unwrap();
    auth.close().await.unwrap();
    account.key = account.key.with_only(&[]);
    let auth = account.over(shelf.clone()).await.unwrap();
    for (address, value) in [("old", "old session"), ("new", "new session")] {
        assert_eq!(auth.get_session(address).await.unwrap().unwrap(), value);
    }
    assert!(account.repairs.lock().unwrap().is_empty());
    let seen = auth_store::verify(&*shelf, &account.sealer())
        .await
        .unwrap();
    assert!(seen.is_clean(), "{seen:?}");
    auth.retire("logged out").await.unwrap();
    let fresh = account.over(shelf.clone()).await.unwrap();
    fresh.put_session("newest", b"newest").await.unwrap();
    let sealed = shelf.load(&RecordKey::new("g3/session/newest")).await;
    let sealed = auth_format::SealedRecord::decode(sealed.unwrap().unwrap()).unwrap();
    assert_ne!(
        hex::encode(sealed.key_id),
        account.key.id(),
        "a key of its own"
    );
}
