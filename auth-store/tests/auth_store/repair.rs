//! A record that cannot be used is dropped or refused as its family says, and never missing in silence.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use auth_store::{Damage, KeyRing, OpenError, Poison, RecordError, RecordKey};
use bytes::Bytes;
use wacore::store::Device;
use wacore::store::traits::{ProtocolStore as _, SignalStore as _};

use crate::contents::{Item, Seen, fill, items, read_all};
use crate::first_release;
use crate::fixture::{Account, Faulty, cause};
use crate::shelf::Shelf;
use crate::signal_pair::ALICE;

async fn filled(account: &Account) -> Shelf {
    let shelf = Arc::new(Shelf::default());
    let auth = account.over(shelf.clone()).await.unwrap();
    fill(&auth).await;
    auth.close().await.unwrap();
    shelf.copy()
}

/// Changes the last bit of a record.
fn damage(shelf: &Shelf, record: &str) {
    let key = format!("g1/{record}");
    let mut value = shelf.0.lock().unwrap()[&RecordKey::new(key.as_str())].to_vec();
    *value.last_mut().unwrap() ^= 1;
    shelf.hold(&key, value.into());
}

fn shown(seen: Vec<Seen>) -> Vec<String> {
    let show = |seen: Seen| seen.unwrap_or_else(|error| error.to_string());
    seen.into_iter().map(show).collect()
}

/// What every item reads as when it is there, and when it is not.
async fn baselines(account: &Account, full: &Shelf, items: &[Item]) -> (Vec<String>, Vec<String>) {
    let auth = account.over(Arc::new(full.copy())).await.unwrap();
    let present = shown(read_all(&auth, items).await);
    let auth = account.over(Arc::new(Shelf::default())).await.unwrap();
    let absent = shown(read_all(&auth, items).await);
    (present, absent)
}

#[tokio::test]
async fn a_damaged_record_of_each_family_is_dropped_with_its_companions_or_refused() {
    let account = Account::new();
    let full = filled(&account).await;
    let items = items();
    let (present, absent) = baselines(&account, &full, &items).await;
    let mut refused = Vec::new();
    for (hit, item) in items.iter().enumerate() {
        let key = RecordKey::new(format!("g1/{}", item.record));
        let shelf = Arc::new(full.copy());
        damage(&shelf, &item.record);
        account.repairs.lock().unwrap().clear();
        let auth = match account.over(shelf.clone()).await {
            Ok(auth) => auth,
            Err(OpenError::Records(RecordError::Corrupt { key: named, .. })) => {
                assert_eq!(named, key);
                refused.push(item.record.as_str());
                continue;
            }
            Err(other) => panic!("{}: refused for another reason: {other}", item.record),
        };
        // The damaged one first, so that its companions are gone when they are read.
        assert_eq!(
            shown(vec![item.read(&auth).await])[0],
            absent[hit],
            "{}",
            item.record
        );
        let seen = shown(read_all(&auth, &items).await);
        for (at, other) in items.iter().enumerate() {
            let expected = match at == hit || other.gone_with.contains(&item.record) {
                true => &absent[at],
                false => &present[at],
            };
            assert_eq!(
                &seen[at], expected,
                "{} after {}",
                other.record, item.record
            );
        }
        let repairs = account.repairs.lock().unwrap().clone();
        assert_eq!(repairs.len(), 1, "{repairs:?}");
        assert_eq!((&repairs[0].record, repairs[0].times), (&key, 1));
        assert!(item.record.starts_with(repairs[0].family));
        assert!(
            !shelf.0.lock().unwrap().contains_key(&key),
            "it is gone for good"
        );
    }
    assert_eq!(refused, ["device", "signed_prekey/4"]);
}

#[tokio::test]
async fn a_value_that_opens_and_does_not_decode_is_treated_as_damaged() {
    let mut account = Account::new();
    account.key = KeyRing::parse(&hex::encode(first_release::MASTER)).unwrap();
    let shelf = Arc::new(Shelf::default());
    let hold = |record: &str, value: &[u8]| {
        let key = format!("g2/{record}");
        shelf.hold(&key, first_release::seal(2, &key, value));
    };
    shelf.hold("generations", first_release::list());
    hold("device", &serde_json::to_vec(&Device::new()).unwrap());
    let mut decoded = Vec::new();
    for item in items() {
        // Of these any bytes are right.
        let opaque = [
            "session",
            "sender_key/",
            "group",
            "base_key",
            "mutation",
            "sync_key_latest",
        ];
        let known = ["device", "signed_prekey"];
        let record = item.record.as_str();
        if known
            .iter()
            .chain(&opaque)
            .any(|name| record.starts_with(name))
            && !record.starts_with("device_list")
        {
            continue;
        }
        let prefix_only: &[u8] = if record.starts_with("prekey") {
            b""
        } else {
            b"\xff"
        };
        hold(record, prefix_only);
        decoded.push(item);
    }
    let absent = account.over(Arc::new(Shelf::default())).await.unwrap();
    let absent = shown(read_all(&absent, &decoded).await);
    let auth = account.over(shelf.clone()).await.unwrap();
    for (item, absent) in decoded.iter().zip(&absent) {
        account.repairs.lock().unwrap().clear();
        assert_eq!(
            &shown(vec![item.read(&auth).await])[0],
            absent,
            "{}",
            item.record
        );
        let repairs = account.repairs.lock().unwrap();
        let key = format!("g2/{}", item.record);
        let found = repairs.iter().find(|repair| repair.record.as_str() == key);
        let found = found.unwrap_or_else(|| panic!("{} is gone in silence", item.record));
        assert!(matches!(found.damage, Damage::Value(_)), "{found:?}");
    }
    assert!(decoded.len() > 10);

    // The device is never given up for that.
    hold("device", b"{}");
    let refused = account.over(shelf.clone()).await.err().unwrap();
    assert!(refused.to_string().contains("g2/device"), "{refused}");
}

#[tokio::test]
async fn what_a_newer_release_wrote_is_never_dropped() {
    let account = Account::new();
    let shelf = Arc::new(filled(&account).await);
    let key = RecordKey::new("g1/tc_token/1@lid");
    let mut value = shelf.0.lock().unwrap()[&key].to_vec();
    // Field 1 of the envelope, its version.
    assert_eq!(value[..2], [8, 1]);
    value[1] = 2;
    shelf.hold(key.as_str(), value.clone().into());
    let auth = account.over(shelf.clone()).await.unwrap();
    for _ in 0..2 {
        let error = cause(auth.get_tc_token("1@lid").await.unwrap_err());
        assert!(
            matches!(&error, RecordError::Corrupt { key: named, damage: Damage::Version(2) } if *named == key),
            "{error}"
        );
    }
    assert_eq!(shelf.0.lock().unwrap()[&key], value);
    assert!(account.repairs.lock().unwrap().is_empty());
}

#[tokio::test]
async fn credentials_in_use_without_a_device_are_refused() {
    let account = Account::new();
    let shelf = Arc::new(filled(&account).await);
    let key = RecordKey::new("g1/device");
    shelf.0.lock().unwrap().remove(&key);
    let refused = account.over(shelf).await.err().unwrap();
    assert!(
        matches!(&refused, OpenError::Records(RecordError::Corrupt { key: named, damage: Damage::Gone }) if *named == key),
        "{refused}"
    );
}

#[tokio::test]
async fn a_damaged_row_is_dropped_and_its_message_asked_for() {
    let account = Account::new();
    let shelf = Arc::new(filled(&account).await);
    damage(&shelf, &format!("pending/{ALICE}/{ALICE}/A"));
    let auth = account.over(shelf.clone()).await.unwrap();
    let error = cause(
        auth.get_pending_inbound(ALICE, ALICE, "A")
            .await
            .unwrap_err(),
    );
    assert!(matches!(error, RecordError::MessageMissing), "{error}");
    assert_eq!(*account.ledger.missing.lock().unwrap(), ["A"]);
    assert_eq!(account.repairs.lock().unwrap()[0].family, "pending");

    // The other row is there, and a committed message is not asked for.
    let row = auth.get_pending_inbound(ALICE, ALICE, "B").await.unwrap();
    assert_eq!(row.unwrap(), b"not committed yet");
    account
        .ledger
        .committed
        .lock()
        .unwrap()
        .insert("A".to_owned());
    let row = auth.get_pending_inbound(ALICE, ALICE, "A").await.unwrap();
    assert_eq!(row, None);
}

#[tokio::test]
async fn repairs_of_a_name_are_counted_across_restarts() {
    let account = Account::new();
    let shelf = Arc::new(filled(&account).await);
    let record = "tc_token/1@lid";
    for times in 1..=3 {
        let auth = account.over(shelf.clone()).await.unwrap();
        auth.store_received_tc_token("1@lid", b"again", 78)
            .await
            .unwrap();
        auth.close().await.unwrap();
        damage(&shelf, record);
        let auth = account.over(shelf.clone()).await.unwrap();
        assert!(auth.get_tc_token("1@lid").await.unwrap().is_none());
        let repair = account.repairs.lock().unwrap().pop().unwrap();
        assert_eq!(repair.times, times);
        assert!(repair.at_ms > 1_600_000_000_000);
        auth.close().await.unwrap();
        let seen = auth_store::inspect(&*shelf, &account.sealer()).await;
        assert_eq!(seen.unwrap().unwrap().repairs, 1, "one name");
    }
    // A damaged note begins anew.
    let note = {
        let records = shelf.0.lock().unwrap();
        let note = records.keys().find(|key| key.as_str().contains("/repair/"));
        note.unwrap().as_str()["g1/".len()..].to_owned()
    };
    damage(&shelf, &note);
    damage_again(&account, &shelf).await;
    assert_eq!(account.repairs.lock().unwrap().pop().unwrap().times, 1);
}

async fn damage_again(account: &Account, shelf: &Arc<Shelf>) {
    let auth = account.over(shelf.clone()).await.unwrap();
    auth.store_received_tc_token("1@lid", b"again", 79)
        .await
        .unwrap();
    auth.close().await.unwrap();
    damage(shelf, "tc_token/1@lid");
    let auth = account.over(shelf.clone()).await.unwrap();
    assert!(auth.get_tc_token("1@lid").await.unwrap().is_none());
}

#[tokio::test]
async fn a_repair_that_is_not_durable_is_an_error_and_no_absence() {
    let account = Account::new();
    let opened = account.open(1).await;
    opened
        .auth
        .put_session("address", b"session")
        .await
        .unwrap();
    opened.close().await;
    let inner = account.medium(1).await.unwrap();
    let mut batch = auth_store::Batch::default();
    batch.puts.push((
        RecordKey::new("g1/session/address"),
        Bytes::from_static(b"garbage"),
    ));
    auth_store::RecordStore::apply(&inner, &batch)
        .await
        .unwrap();
    let medium = Faulty::new(inner);
    let auth = account.over(medium.clone()).await.unwrap();
    account.may_write.store(false, Ordering::SeqCst);
    let error = cause(auth.get_session("address").await.unwrap_err());
    assert!(matches!(error, RecordError::NotTrusted), "{error}");
    assert!(account.repairs.lock().unwrap().is_empty());
    account.may_write.store(true, Ordering::SeqCst);
    assert_eq!(auth.get_session("address").await.unwrap(), None);
    assert_eq!(account.repairs.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn readers_that_meet_at_a_damaged_record_repair_it_once() {
    let account = Account::new();
    let shelf = Arc::new(filled(&account).await);
    damage(&shelf, "sent/c/id");
    let auth = account.over(shelf).await.unwrap();
    let taken = tokio::join!(
        auth.take_sent_message("c", "id"),
        auth.take_sent_message("c", "id"),
        auth.take_sent_message("c", "id"),
    );
    for taken in [taken.0, taken.1, taken.2] {
        assert_eq!(taken.unwrap(), None);
    }
    assert_eq!(account.repairs.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_broken_medium_is_refused_instead_of_repaired() {
    let account = Account::new();
    let shelf = Arc::new(filled(&account).await);
    damage(&shelf, "tc_token/1@lid");
    shelf.2.store(true, Ordering::SeqCst);
    let auth = account.over(shelf.clone()).await.unwrap();
    let error = cause(auth.get_tc_token("1@lid").await.unwrap_err());
    assert!(matches!(error, RecordError::Damaged { .. }), "{error}");
    assert!(matches!(
        &*auth.poisoned().borrow(),
        Some(Poison::Damaged(_))
    ));
    let key = RecordKey::new("g1/tc_token/1@lid");
    assert!(shelf.0.lock().unwrap().contains_key(&key));
    assert!(account.repairs.lock().unwrap().is_empty());
}

#[tokio::test]
async fn sessions_that_are_dropped_as_useless_are_counted_by_device() {
    let account = Account::new();
    let shelf = Arc::new(Shelf::default());
    let auth = account.over(shelf.clone()).await.unwrap();
    let other = "100000000000001:3@lid.0";
    let drop = async |device| auth.note_dropped_session(device, "unreadable").await;
    assert_eq!(drop(ALICE).await.unwrap(), 1);
    assert_eq!(drop(ALICE).await.unwrap(), 2);
    assert_eq!(drop(other).await.unwrap(), 1);
    auth.close().await.unwrap();
    let auth = account.over(shelf).await.unwrap();
    let again = auth.note_dropped_session(ALICE, "unreadable").await;
    assert_eq!(again.unwrap(), 3, "a restart goes on counting");
}
