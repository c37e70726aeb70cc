//! New credentials replace nothing before they are linked.

use std::sync::Arc;

use auth_store::{Credentials, Poison, RecordError};
use wacore::store::Device;
use wacore::store::traits::{DeviceStore, SignalStore};

use crate::fixture::{Account, cause};

fn linked(user: &str) -> Device {
    Device {
        pn: Some(format!("{user}:7@s.whatsapp.net").parse().unwrap()),
        ..Device::new()
    }
}

#[tokio::test]
async fn a_first_link_is_prepared_then_promoted() {
    let account = Account::new();
    let opened = account.open(1).await;
    assert!(!opened.auth.is_current().await);
    opened.auth.create().await.unwrap();
    let identity = opened.auth.load().await.unwrap().unwrap().registration_id;
    opened.close().await;

    // Not linked yet: the same identity is offered again.
    let opened = account.open(2).await;
    let device = opened.auth.load().await.unwrap().unwrap();
    assert_eq!(device.registration_id, identity);
    opened.auth.save(&linked("4915112345678")).await.unwrap();
    opened.auth.promote().await.unwrap();
    assert!(opened.auth.is_current().await);
    opened.close().await;

    let opened = account.open(3).await;
    assert!(opened.auth.is_current().await);
    let device = opened.auth.load().await.unwrap().unwrap();
    assert_eq!(device.pn.unwrap().user.as_str(), "4915112345678");
}

#[tokio::test]
async fn a_relink_replaces_nothing_before_it_is_promoted() {
    let account = Account::new();
    let medium = Arc::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    auth.save(&linked("111111111")).await.unwrap();
    auth.put_session("address", b"old").await.unwrap();
    auth.promote().await.unwrap();
    auth.close().await.unwrap();

    let fresh = account
        .over_as(medium.clone(), Credentials::Fresh)
        .await
        .unwrap();
    assert!(fresh.load().await.unwrap().is_none());
    assert_eq!(fresh.get_session("address").await.unwrap(), None);
    fresh.save(&linked("222222222")).await.unwrap();
    fresh.close().await.unwrap();

    let auth = account.over(medium.clone()).await.unwrap();
    let device = auth.load().await.unwrap().unwrap();
    assert_eq!(device.pn.unwrap().user.as_str(), "111111111");
    auth.close().await.unwrap();

    let fresh = account
        .over_as(medium.clone(), Credentials::Fresh)
        .await
        .unwrap();
    fresh.promote().await.unwrap();
    fresh.close().await.unwrap();
    let auth = account.over(medium.clone()).await.unwrap();
    let device = auth.load().await.unwrap().unwrap();
    assert_eq!(device.pn.unwrap().user.as_str(), "222222222");

    let seen = account.inspect().await.unwrap();
    assert_eq!(seen.current, Some(auth.generation()));
    assert_eq!(seen.retired.len(), 1);
    assert_eq!(seen.retired[0].reason, "replaced by a new link");
}

#[tokio::test]
async fn retired_credentials_are_kept_and_take_no_writes() {
    let account = Account::new();
    let opened = account.open(1).await;
    opened.auth.save(&linked("111111111")).await.unwrap();
    opened.auth.promote().await.unwrap();
    opened.auth.retire("logged out").await.unwrap();
    let late = opened.auth.put_session("address", b"late").await;
    assert!(matches!(
        cause(late.unwrap_err()),
        RecordError::Stopped(Poison::Retired)
    ));
    opened.auth.close().await.unwrap_err();
    opened.medium.close().await;

    let opened = account.open(2).await;
    assert!(opened.auth.load().await.unwrap().is_none());
    assert_eq!(opened.auth.generation().number(), 2);
    let seen = account.inspect().await.unwrap();
    assert_eq!((seen.current, seen.retired.len()), (None, 1));
    assert_eq!(seen.retired[0].reason, "logged out");
    assert!(seen.retired[0].retired_at_ms > 1_600_000_000_000);
}

#[tokio::test]
async fn an_inspection_sees_a_state_in_use_and_changes_nothing() {
    let account = Account::new();
    assert_eq!(account.inspect().await, None);
    let opened = account.open(3).await;
    opened.auth.save(&linked("4915112345678")).await.unwrap();
    opened.auth.promote().await.unwrap();
    opened.auth.put_session("a", b"s").await.unwrap();
    opened.auth.put_session("b", b"s").await.unwrap();
    opened.auth.store_prekey(1, b"key", false).await.unwrap();

    let seen = account.inspect().await.unwrap();
    assert!(seen.place.ends_with("shop/auth.db"), "{}", seen.place);
    assert_eq!((seen.head.epoch, seen.sessions, seen.pre_keys), (3, 2, 1));
    assert_eq!(
        seen.linked_jid.as_deref(),
        Some("4915112345678:7@s.whatsapp.net")
    );
    assert!(seen.head.last_write_ms.unwrap() > 1_600_000_000_000);
    opened.auth.put_session("c", b"s").await.unwrap();
    opened.close().await;

    let seen = account.inspect().await.unwrap();
    assert_eq!((seen.head.epoch, seen.sessions), (3, 3));
    account.open(3).await.close().await;
}
