//! After a state went back in time, no counter of ours is used again.

use std::sync::Arc;

use auth_store::RecordStore as _;
use wacore::store::Device;
use wacore::store::traits::{DeviceStore as _, ProtocolStore as _, SignalStore as _};
use wacore::types::jid::JidExt as _;
use wacore_binary::Jid;

use crate::fixture::{Account, Faulty};

const GROUP: &str = "120363021033254949@g.us";

#[tokio::test]
async fn forgetting_drops_what_counts_our_messages_and_nothing_else() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    let (pn, lid): (Jid, Jid) = (
        "4915112345678:7@s.whatsapp.net".parse().unwrap(),
        "100000012345678:7@lid".parse().unwrap(),
    );
    let device = Device {
        pn: Some(pn.clone()),
        lid: Some(lid.clone()),
        ..Device::new()
    };
    auth.save(&device).await.unwrap();
    auth.promote().await.unwrap();
    let sessions: Vec<_> = (0..1_200)
        .map(|n| {
            (
                Arc::from(format!("{n}@lid.0")),
                bytes::Bytes::from_static(b"s"),
            )
        })
        .collect();
    auth.put_sessions_batch(&sessions).await.unwrap();
    let key = |jid: &Jid| format!("{GROUP}:{}", jid.to_protocol_address());
    let ours = [
        key(&pn),
        key(&lid),
        key(&pn.to_non_ad()),
        key(&lid.to_non_ad()),
    ];
    let peer: Jid = "4915112345679:7@s.whatsapp.net".parse().unwrap();
    let neighbour: Jid = "100000012345678:8@lid".parse().unwrap();
    let theirs = [key(&peer), key(&neighbour)];
    for name in ours.iter().chain(&theirs) {
        auth.put_sender_key(name, b"k").await.unwrap();
    }
    auth.set_sender_key_status(GROUP, &[("d", true)])
        .await
        .unwrap();
    auth.put_identity("5@lid.0", [1; 32]).await.unwrap();
    auth.store_prekey(1, b"p", true).await.unwrap();

    let applied = medium.applied_keys().len();
    let before = medium.head().await.unwrap().unwrap().writes;
    assert_eq!(auth.forget_ratchets().await.unwrap(), 1_200 + 4 + 1);
    assert!(medium.applied_keys().len() - applied <= 5);
    let after = medium.head().await.unwrap().unwrap().writes;
    assert!(
        before < 1_000 && after > 1_600_000_000_000,
        "newer than what other copies went through"
    );
    assert!(!auth.has_session("7@lid.0").await.unwrap());
    for name in &ours {
        assert_eq!(auth.get_sender_key(name).await.unwrap(), None, "{name}");
    }
    assert!(auth.get_sender_key_devices(GROUP).await.unwrap().is_empty());
    for name in &theirs {
        assert!(auth.get_sender_key(name).await.unwrap().is_some(), "{name}");
    }
    assert_eq!(auth.load_identity("5@lid.0").await.unwrap(), Some([1; 32]));
    assert!(auth.load_prekey(1).await.unwrap().is_some());
    assert!(auth.exists().await.unwrap());
    assert_eq!(auth.forget_ratchets().await.unwrap(), 0);
    auth.close().await.unwrap();

    let auth = account.over(medium).await.unwrap();
    assert!(!auth.has_session("7@lid.0").await.unwrap());
}
