//! What each storage method of the library means.

use std::sync::Arc;

use auth_store::AuthStore;
use bytes::Bytes;
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::store::traits::{
    AppStateSyncKey, AppSyncStore, Backend, DeviceListRecord, LidPnMappingEntry, MsgSecretEntry,
    MsgSecretStore, ProtocolStore, SignalStore, TcTokenEntry,
};

use crate::fixture::Account;
use crate::shelf::Shelf;

async fn store() -> Arc<AuthStore> {
    let account = Account::new();
    account.over(Arc::new(Shelf::default())).await.unwrap()
}

#[tokio::test]
async fn it_is_a_backend() {
    let backend: Arc<dyn Backend> = store().await;
    assert!(!backend.exists().await.unwrap());
    assert_eq!(backend.create().await.unwrap(), 1);
    assert!(backend.exists().await.unwrap());
    let first = backend.load().await.unwrap().unwrap();
    assert_eq!(backend.create().await.unwrap(), 1);
    let second = backend.load().await.unwrap().unwrap();
    assert_eq!(first.registration_id, second.registration_id);
}

#[tokio::test]
async fn sessions_and_identities_come_and_go() {
    let auth = store().await;
    assert!(!auth.has_session("a").await.unwrap());
    let batch: Vec<(Arc<str>, Bytes)> = vec![("a".into(), "1".into()), ("b".into(), "2".into())];
    auth.put_sessions_batch(&batch).await.unwrap();
    auth.put_session("a", b"3").await.unwrap();
    assert_eq!(auth.get_session("a").await.unwrap().unwrap(), "3");
    assert_eq!(auth.get_session("b").await.unwrap().unwrap(), "2");
    auth.delete_session("a").await.unwrap();
    assert!(!auth.has_session("a").await.unwrap());

    let identities: Vec<(Arc<str>, [u8; 32])> = vec![("a".into(), [1; 32]), ("b".into(), [2; 32])];
    auth.put_identities_batch(&identities).await.unwrap();
    auth.delete_identity("a").await.unwrap();
    assert_eq!(auth.load_identity("a").await.unwrap(), None);
    assert_eq!(auth.load_identity("b").await.unwrap(), Some([2; 32]));

    let keys: Vec<(Arc<str>, Bytes)> = vec![("g:a".into(), "1".into())];
    auth.put_sender_keys_batch(&keys).await.unwrap();
    assert_eq!(auth.get_sender_key("g:a").await.unwrap().unwrap(), b"1");
    auth.delete_sender_key("g:a").await.unwrap();
    assert_eq!(auth.get_sender_key("g:a").await.unwrap(), None);
}

#[tokio::test]
async fn a_user_has_signal_state_by_whole_name_only() {
    let auth = store().await;
    auth.put_session("4915@s.whatsapp.net", b"s").await.unwrap();
    auth.put_identity("77:5@lid", [7; 32]).await.unwrap();
    for (user, expected) in [("4915", true), ("491", false), ("77", true), ("7", false)] {
        assert_eq!(
            auth.has_signal_state_for_user(user).await.unwrap(),
            expected,
            "{user}"
        );
    }
}

#[tokio::test]
async fn a_used_pre_key_is_not_revived_by_marking_it_uploaded() {
    let auth = store().await;
    assert_eq!(auth.get_max_prekey_id().await.unwrap(), 0);
    let keys: Vec<(u32, Bytes)> = (1..=12).map(|id| (id, format!("k{id}").into())).collect();
    auth.store_prekeys_batch(&keys, false).await.unwrap();
    assert_eq!(auth.get_max_prekey_id().await.unwrap(), 12);
    auth.remove_prekey(12).await.unwrap();
    auth.mark_prekeys_uploaded(&[11, 12]).await.unwrap();
    assert_eq!(auth.load_prekey(12).await.unwrap(), None);
    assert_eq!(auth.load_prekey(11).await.unwrap().unwrap(), "k11");
    assert_eq!(auth.get_max_prekey_id().await.unwrap(), 11);
    let mut loaded = auth.load_prekeys_batch(&[2, 99, 1]).await.unwrap();
    loaded.sort();
    assert_eq!(loaded, [(1, "k1".into()), (2, "k2".into())]);

    auth.store_signed_prekey(1, b"a").await.unwrap();
    auth.store_signed_prekey(2, b"b").await.unwrap();
    auth.remove_signed_prekey(1).await.unwrap();
    assert_eq!(auth.load_signed_prekey(1).await.unwrap(), None);
    assert_eq!(
        auth.load_all_signed_prekeys().await.unwrap(),
        [(2, b"b".to_vec())]
    );
}

#[tokio::test]
async fn mutation_macs_belong_to_their_collection() {
    let auth = store().await;
    let mac = |byte: u8| AppStateMutationMAC {
        index_mac: vec![byte; 32],
        value_mac: vec![byte],
    };
    let all = [mac(1), mac(2), mac(3)];
    auth.put_mutation_macs("regular", 1, &all).await.unwrap();
    auth.put_mutation_macs("regular_low", 1, &all)
        .await
        .unwrap();
    auth.delete_mutation_macs("regular", &[vec![1; 32]])
        .await
        .unwrap();
    let found = auth
        .get_mutation_macs("regular", &[[1; 32], [2; 32]])
        .await
        .unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [([2; 32], vec![2])]);
    auth.clear_mutation_macs("regular").await.unwrap();
    assert_eq!(
        auth.get_mutation_mac("regular", &[3; 32]).await.unwrap(),
        None
    );
    let other = auth.get_mutation_mac("regular_low", &[3; 32]).await;
    assert_eq!(other.unwrap(), Some(vec![3]));
}

#[tokio::test]
async fn the_latest_sync_key_is_the_last_one_set() {
    let auth = store().await;
    assert_eq!(auth.get_latest_sync_key_id().await.unwrap(), None);
    for id in [2_u8, 1] {
        let key = AppStateSyncKey::default();
        auth.set_sync_key(&[id], key).await.unwrap();
    }
    assert_eq!(auth.get_latest_sync_key_id().await.unwrap(), Some(vec![1]));
    assert!(auth.get_sync_key(&[2]).await.unwrap().is_some());
    assert!(auth.get_sync_key(&[3]).await.unwrap().is_none());
    assert_eq!(auth.get_version("regular").await.unwrap().version, 0);
}

#[tokio::test]
async fn sender_key_devices_are_forgotten_one_by_one_by_group_and_altogether() {
    let auth = store().await;
    let status = |group: &'static str| {
        let auth = &auth;
        async move { auth.get_sender_key_devices(group).await.unwrap() }
    };
    for group in ["a", "b", "c"] {
        auth.set_sender_key_status(group, &[("x", true), ("y", true)])
            .await
            .unwrap();
    }
    auth.set_sender_key_status("a", &[("y", false)])
        .await
        .unwrap();
    assert_eq!(status("a").await, [("x".into(), true), ("y".into(), false)]);
    auth.delete_sender_key_device_rows(&["x"]).await.unwrap();
    assert_eq!(status("b").await, [("y".into(), true)]);
    auth.clear_sender_key_devices("b").await.unwrap();
    assert_eq!(status("b").await, []);
    auth.clear_all_sender_key_devices().await.unwrap();
    assert_eq!(status("a").await, []);
    assert_eq!(status("c").await, []);
}

#[tokio::test]
async fn a_lid_that_changes_its_phone_number_leaves_the_old_number_behind() {
    let auth = store().await;
    let mapping = |lid: &str, phone: &str| LidPnMappingEntry {
        lid: lid.into(),
        phone_number: phone.into(),
        created_at: 1,
        updated_at: 1,
        learning_source: "usync".into(),
    };
    auth.put_lid_mapping(&mapping("L1", "P1")).await.unwrap();
    auth.put_lid_mappings(&[mapping("L1", "P2"), mapping("L2", "P2")])
        .await
        .unwrap();
    let lid_of = |phone: &'static str| {
        let auth = &auth;
        async move {
            auth.get_pn_mapping(phone)
                .await
                .unwrap()
                .map(|entry| entry.lid)
        }
    };
    assert_eq!(lid_of("P1").await, None);
    assert_eq!(lid_of("P2").await.as_deref(), Some("L2"), "the most recent");
    let first = auth.get_lid_mapping("L1").await.unwrap().unwrap();
    assert_eq!(first.phone_number, "P2");
    assert_eq!(auth.get_all_lid_mappings().await.unwrap().len(), 2);
}

#[tokio::test]
async fn device_lists_groups_and_base_keys_are_replaced_and_deleted() {
    let auth = store().await;
    let list = |user: &str, timestamp| DeviceListRecord {
        user: user.into(),
        devices: Vec::new(),
        timestamp,
        phash: None,
        raw_id: None,
    };
    auth.update_device_lists(vec![list("a", 1), list("b", 1), list("a", 2)])
        .await
        .unwrap();
    assert_eq!(auth.get_devices("a").await.unwrap().unwrap().timestamp, 2);
    auth.delete_devices("a").await.unwrap();
    assert!(auth.get_devices("a").await.unwrap().is_none());

    auth.put_group_metadata("g", b"1").await.unwrap();
    auth.put_group_metadata("g", b"2").await.unwrap();
    assert_eq!(auth.get_group_metadata("g").await.unwrap().unwrap(), b"2");
    auth.delete_group_metadata("g").await.unwrap();
    assert_eq!(auth.get_group_metadata("g").await.unwrap(), None);

    auth.save_base_key("a", "1", b"key").await.unwrap();
    assert!(auth.has_same_base_key("a", "1", b"key").await.unwrap());
    assert!(!auth.has_same_base_key("a", "1", b"other").await.unwrap());
    assert!(!auth.has_same_base_key("a", "2", b"key").await.unwrap());
    auth.delete_base_key("a", "1").await.unwrap();
    assert!(!auth.has_same_base_key("a", "1", b"key").await.unwrap());
}

#[tokio::test]
async fn a_received_token_and_our_own_issue_do_not_overwrite_each_other() {
    let auth = store().await;
    auth.touch_tc_token_sender_timestamp("a", 50).await.unwrap();
    auth.touch_tc_token_sender_timestamp("a", 40).await.unwrap();
    auth.store_received_tc_token("a", b"first", 10)
        .await
        .unwrap();
    auth.store_received_tc_token("a", b"stale", 9)
        .await
        .unwrap();
    let entry = auth.get_tc_token("a").await.unwrap().unwrap();
    assert_eq!(
        (
            entry.token.as_slice(),
            entry.token_timestamp,
            entry.sender_timestamp
        ),
        (b"first".as_slice(), 10, Some(50))
    );
    auth.store_received_tc_token("a", b"newer", 10)
        .await
        .unwrap();
    assert_eq!(
        auth.get_tc_token("a").await.unwrap().unwrap().token,
        b"newer"
    );
}

#[tokio::test]
async fn a_token_expires_when_neither_side_of_it_is_live() {
    let auth = store().await;
    let entry = |token: &[u8], at, sender| TcTokenEntry {
        token: token.to_vec(),
        token_timestamp: at,
        sender_timestamp: sender,
    };
    auth.put_tc_token("live token", &entry(b"t", 100, None))
        .await
        .unwrap();
    auth.put_tc_token("live issue", &entry(b"t", 1, Some(200)))
        .await
        .unwrap();
    auth.put_tc_token("no token", &entry(b"", 100, Some(1)))
        .await
        .unwrap();
    auth.put_tc_token("dead/100%", &entry(b"t", 1, Some(1)))
        .await
        .unwrap();
    assert_eq!(auth.delete_expired_tc_tokens(100, 200).await.unwrap(), 2);
    let mut left = auth.get_all_tc_token_jids().await.unwrap();
    left.sort();
    assert_eq!(left, ["live issue", "live token"]);
    auth.delete_tc_token("live issue").await.unwrap();
    assert!(auth.get_tc_token("live issue").await.unwrap().is_none());
}

#[tokio::test]
async fn a_sent_message_is_taken_once_and_expires() {
    let auth = store().await;
    auth.store_sent_message("c/1", "id", b"one").await.unwrap();
    auth.store_sent_message("c", "1/id", b"two").await.unwrap();
    let first = auth.take_sent_message("c/1", "id").await.unwrap();
    assert_eq!(first.as_deref(), Some(b"one".as_slice()));
    assert_eq!(auth.take_sent_message("c/1", "id").await.unwrap(), None);
    let now = wacore::time::now_secs();
    assert_eq!(
        auth.delete_expired_sent_messages(now - 60).await.unwrap(),
        0
    );
    assert_eq!(
        auth.delete_expired_sent_messages(now + 60).await.unwrap(),
        1
    );
    assert_eq!(auth.take_sent_message("c", "1/id").await.unwrap(), None);
    assert_eq!(
        auth.delete_expired_sent_messages(now + 60).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn a_secrets_life_is_only_ever_prolonged() {
    let auth = store().await;
    let entry = |id: &str, byte: u8, expires_at, message_ts| MsgSecretEntry {
        chat: "c".into(),
        sender: "s".into(),
        msg_id: id.into(),
        secret: [byte; 32],
        expires_at,
        message_ts,
    };
    let first = vec![
        entry("a", 1, 100, 5),
        entry("b", 1, 300, 0),
        entry("n", 1, 0, 0),
    ];
    assert_eq!(auth.put_msg_secrets(first).await.unwrap(), 3);
    let again = vec![
        entry("a", 2, 400, 0),
        entry("b", 2, 200, 7),
        entry("n", 2, 1, 0),
    ];
    auth.put_msg_secrets(again).await.unwrap();
    let secret = |id: &'static str| {
        let auth = &auth;
        async move { auth.get_msg_secret_with_ts("c", "s", id).await.unwrap() }
    };
    assert_eq!(secret("a").await, Some((vec![2; 32], 5)));
    assert_eq!(secret("b").await, Some((vec![2; 32], 7)));
    assert_eq!(auth.delete_expired_msg_secrets(299).await.unwrap(), 0);
    assert_eq!(auth.delete_expired_msg_secrets(300).await.unwrap(), 1);
    assert_eq!(secret("b").await, None);
    assert_eq!(secret("a").await, Some((vec![2; 32], 5)));
    assert_eq!(auth.delete_expired_msg_secrets(i64::MAX).await.unwrap(), 1);
    assert_eq!(secret("n").await, Some((vec![2; 32], 0)), "never expires");
    assert_eq!(auth.get_msg_secret("c", "s", "x").await.unwrap(), None);
}

#[tokio::test]
async fn expiry_works_through_more_than_one_transaction() {
    let auth = store().await;
    let entries: Vec<_> = (0..1200)
        .map(|n: i32| MsgSecretEntry {
            chat: "c".into(),
            sender: "s".into(),
            msg_id: n.to_string().into(),
            secret: [1; 32],
            expires_at: i64::from(n) + 1,
            message_ts: 0,
        })
        .collect();
    auth.put_msg_secrets(entries).await.unwrap();
    assert_eq!(auth.delete_expired_msg_secrets(1100).await.unwrap(), 1100);
    assert_eq!(auth.delete_expired_msg_secrets(2000).await.unwrap(), 100);
}

#[tokio::test]
async fn the_librarys_probe_of_the_buffer_round_trips() {
    let auth = store().await;
    auth.store_pending_inbound("0@s.whatsapp.net", "0@s.whatsapp.net", "probe", b"probe")
        .await
        .unwrap();
    let row = auth
        .get_pending_inbound("0@s.whatsapp.net", "0@s.whatsapp.net", "probe")
        .await;
    assert_eq!(row.unwrap().as_deref(), Some(b"probe".as_slice()));
    auth.delete_pending_inbound("0@s.whatsapp.net", "0@s.whatsapp.net", "probe")
        .await
        .unwrap();
    assert_eq!(*auth.in_flight_rows().borrow(), 0);
}
