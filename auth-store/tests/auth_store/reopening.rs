//! What was written is there again, and only when it is asked for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wacore::appstate::hash::HashState;
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::store::Device;
use wacore::store::device::{CachedNoiseCert, CachedServerCertChain};
use wacore::store::traits::{
    AppStateSyncKey, AppSyncStore, DeviceInfo, DeviceListRecord, DeviceStore, LidPnMappingEntry,
    MsgSecretStore, ProtocolStore, SignalStore,
};

use crate::fixture::{Account, Faulty};

#[tokio::test]
async fn reopening_gives_back_everything() {
    let account = Account::new();
    let opened = account.open(1).await;
    let auth = &opened.auth;
    let certificate = |byte: u8| CachedNoiseCert {
        key: [byte; 32],
        not_before: 1,
        not_after: i64::MAX,
    };
    let device = Device {
        pn: Some("4915112345678:7@s.whatsapp.net".parse().unwrap()),
        lid: Some("100000012345678:7@lid".parse().unwrap()),
        push_name: "Shop \u{1f6d2}".to_owned(),
        nct_salt: Some(vec![1, 2, 3]),
        server_cert_chain: Some(CachedServerCertChain {
            intermediate: certificate(1),
            leaf: certificate(2),
        }),
        ..Device::new()
    };
    auth.save(&device).await.unwrap();
    auth.put_identity("identity", [3; 32]).await.unwrap();
    auth.put_session("session", b"s").await.unwrap();
    auth.put_sender_key("sender", b"k").await.unwrap();
    auth.store_prekey(9, b"p", true).await.unwrap();
    auth.store_signed_prekey(4, b"sp").await.unwrap();
    let key = AppStateSyncKey {
        key_data: vec![1; 32],
        fingerprint: vec![2; 3],
        timestamp: 4,
    };
    auth.set_sync_key(&[0, 255], key).await.unwrap();
    let state = HashState {
        version: 12,
        hash: [7; 128],
        ..HashState::default()
    };
    auth.set_version("regular", state).await.unwrap();
    let mac = AppStateMutationMAC {
        index_mac: vec![5; 32],
        value_mac: vec![6; 32],
    };
    auth.put_mutation_macs("regular", 12, &[mac]).await.unwrap();
    let mapping = LidPnMappingEntry {
        lid: "100000012345678".into(),
        phone_number: "4915112345678".into(),
        created_at: 1,
        updated_at: 2,
        learning_source: "usync".into(),
    };
    auth.put_lid_mapping(&mapping).await.unwrap();
    auth.set_sender_key_status("g@g.us", &[("d", true)])
        .await
        .unwrap();
    let devices = DeviceListRecord {
        user: "4915112345678".into(),
        devices: vec![DeviceInfo::new(3, Some(1))],
        timestamp: 5,
        phash: Some("2:abc".into()),
        raw_id: Some(8),
    };
    auth.update_device_list(devices).await.unwrap();
    auth.store_received_tc_token("1@lid", b"token", 77)
        .await
        .unwrap();
    auth.store_sent_message("c", "id", b"sent").await.unwrap();
    auth.put_msg_secret("c", "s", "id", &[8; 32]).await.unwrap();
    auth.put_group_metadata("g@g.us", b"blob").await.unwrap();
    auth.save_base_key("a", "id", b"base").await.unwrap();
    opened.close().await;

    let opened = account.open(2).await;
    let auth = &opened.auth;
    let loaded = auth.load().await.unwrap().unwrap();
    assert_eq!(
        serde_json::to_value(&loaded).unwrap(),
        serde_json::to_value(&device).unwrap()
    );
    assert_eq!(auth.load_identity("identity").await.unwrap(), Some([3; 32]));
    assert_eq!(auth.get_session("session").await.unwrap().unwrap(), "s");
    assert_eq!(auth.get_sender_key("sender").await.unwrap().unwrap(), b"k");
    assert_eq!(auth.load_prekey(9).await.unwrap().unwrap(), "p");
    assert_eq!(
        auth.load_all_signed_prekeys().await.unwrap(),
        [(4, b"sp".to_vec())]
    );
    let key = auth.get_sync_key(&[0, 255]).await.unwrap().unwrap();
    assert_eq!((key.key_data, key.timestamp), (vec![1; 32], 4));
    assert_eq!(
        auth.get_latest_sync_key_id().await.unwrap(),
        Some(vec![0, 255])
    );
    let state = auth.get_version("regular").await.unwrap();
    assert_eq!((state.version, state.hash), (12, [7; 128]));
    assert_eq!(
        auth.get_mutation_mac("regular", &[5; 32]).await.unwrap(),
        Some(vec![6; 32])
    );
    let mapping = auth.get_pn_mapping("4915112345678").await.unwrap().unwrap();
    assert_eq!(mapping.lid, "100000012345678");
    assert_eq!(
        auth.get_sender_key_devices("g@g.us").await.unwrap(),
        [("d".to_owned(), true)]
    );
    let devices = auth.get_devices("4915112345678").await.unwrap().unwrap();
    assert_eq!((devices.devices[0].device_id, devices.raw_id), (3, Some(8)));
    let token = auth.get_tc_token("1@lid").await.unwrap().unwrap();
    assert_eq!(
        (token.token, token.token_timestamp),
        (b"token".to_vec(), 77)
    );
    assert_eq!(
        auth.take_sent_message("c", "id").await.unwrap().unwrap(),
        b"sent"
    );
    assert_eq!(
        auth.get_msg_secret("c", "s", "id").await.unwrap(),
        Some(vec![8; 32])
    );
    assert_eq!(
        auth.get_group_metadata("g@g.us").await.unwrap().unwrap(),
        b"blob"
    );
    assert!(auth.has_same_base_key("a", "id", b"base").await.unwrap());
}

#[tokio::test]
async fn an_unchanged_value_is_not_written_again() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    auth.put_session("address", b"session").await.unwrap();
    let applied = medium.applied_keys().len();
    auth.put_session("address", b"session").await.unwrap();
    auth.delete_identity("address").await.unwrap();
    auth.delete_identity("address").await.unwrap();
    assert_eq!(medium.applied_keys().len(), applied + 1, "one deletion");
    auth.put_session("address", b"other").await.unwrap();
    assert_eq!(medium.applied_keys().len(), applied + 2);
}

#[tokio::test]
async fn writes_that_meet_share_a_transaction() {
    let account = Account::new();
    let medium = Faulty::new(account.medium(1).await.unwrap());
    let auth = account.over(medium.clone()).await.unwrap();
    let applied = medium.applied_keys().len();
    let writes: Vec<_> = (0..40)
        .map(|n| {
            let auth = Arc::clone(&auth);
            tokio::spawn(async move { auth.put_identity(&n.to_string(), [n; 32]).await })
        })
        .collect();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let transactions = medium.applied_keys().len() - applied;
    assert!(
        transactions <= 3,
        "{transactions} transactions for 40 writes"
    );
    assert_eq!(auth.load_identity("39").await.unwrap(), Some([39; 32]));
}

#[tokio::test]
async fn many_sessions_do_not_delay_opening() {
    let account = Account::new();
    let opened = account.open(1).await;
    let session = Bytes::from(vec![7; 2048]);
    for block in 0..4 {
        let sessions: Vec<_> = (0..2500)
            .map(|n| (format!("{block}-{n}").into(), session.clone()))
            .collect();
        opened.auth.put_sessions_batch(&sessions).await.unwrap();
    }
    opened.close().await;
    let opened = tokio::time::timeout(Duration::from_secs(2), account.open(2))
        .await
        .expect("opening does not read the sessions");
    assert!(opened.auth.has_session("3-2499").await.unwrap());
}
