//! A Baileys folder becomes the credentials in use. `tests/data/baileys` was written by Baileys 7 against
//! the simulator; the token was added by hand.

use std::fs;
use std::path::Path;

use auth_store::{BaileysError, BaileysReport, Snapshot};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use wacore::libsignal::protocol::{SenderKeyRecord, SessionRecord};
use wacore::store::traits::{
    AppSyncStore as _, DeviceStore as _, ProtocolStore as _, SignalStore as _,
};
use wacore_binary::Jid;

use crate::fixture::{Account, Opened};

const PHONE: &str = "491550000002";
const LID: &str = "100000007000038";
const OWN_LID: &str = "100000007000001";
const GROUP: &str = "120366465005850106@g.us";

/// A copy of the folder that a test may change.
fn folder() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/baileys");
    for entry in fs::read_dir(made).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn change(folder: &TempDir, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.path().join(file);
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn remove(folder: &TempDir, file: &str) {
    fs::remove_file(folder.path().join(file)).unwrap();
}

/// The account that goes on with the folder's device.
async fn adopted(folder: &TempDir) -> (Account, Opened, BaileysReport) {
    let account = Account::new();
    let (snapshot, report) = Snapshot::from_baileys(folder.path()).unwrap();
    let medium = std::sync::Arc::new(account.medium(1).await.unwrap());
    snapshot
        .install(medium.clone(), &account.sealer(), "imported")
        .await
        .unwrap();
    let auth = account.over(medium.clone()).await.unwrap();
    (account, Opened { medium, auth }, report)
}

fn refusal(folder: &TempDir) -> String {
    let refused = Snapshot::from_baileys(folder.path());
    refused.expect_err("it must be refused").to_string()
}

#[tokio::test]
async fn everything_is_where_the_library_looks_for_it() {
    let (_account, opened, report) = adopted(&folder()).await;
    let expected = BaileysReport {
        pre_keys: 3,
        sessions: 3,
        identities: 2,
        sender_keys: 2,
        own_sender_keys: 1,
        sync_keys: 1,
        sync_versions: 1,
        lid_mappings: 2,
        tc_tokens: 1,
        not_needed: 2,
        skipped: Vec::new(),
    };
    assert_eq!(report, expected);
    let auth = &opened.auth;
    assert!(auth.is_current().await);
    let device = auth.load().await.unwrap().unwrap();
    assert_eq!(device.pn, Some(Jid::pn_device("491550000001", 1)));
    assert_eq!(device.lid, Some(Jid::lid_device(OWN_LID, 1)));
    assert_eq!(device.registration_id, 251);
    assert_eq!(device.push_name, "Shop");
    assert_eq!(
        (device.next_pre_key_id, device.first_unupload_pre_key_id),
        (813, 813)
    );
    assert!(device.account.is_some() && device.server_has_prekeys);

    let address = format!("{LID}:1@lid.0");
    let session = auth.get_session(&address).await.unwrap().unwrap();
    let session = SessionRecord::deserialize(&session).unwrap();
    assert_eq!(session.remote_registration_id().unwrap(), 124);
    assert!(auth.load_identity(&address).await.unwrap().is_some());
    // Without a file of its own, the identity comes from the session.
    let phone = auth.load_identity(&format!("{LID}@lid.0")).await.unwrap();
    assert!(phone.is_some());

    for (sender, is_ours) in [
        (format!("{OWN_LID}:1@lid.0"), true),
        (format!("{LID}@lid.0"), false),
    ] {
        let key = auth
            .get_sender_key(&format!("{GROUP}:{sender}"))
            .await
            .unwrap();
        let record = SenderKeyRecord::deserialize(&key.expect("it is there")).unwrap();
        let state = record.sender_key_state().unwrap();
        assert_eq!(state.signing_key_private().is_ok(), is_ours);
    }
    let devices = auth.get_sender_key_devices(GROUP).await.unwrap();
    assert!(devices.contains(&(format!("{LID}:1@lid"), true)));

    assert!(auth.load_prekey(812).await.unwrap().is_some());
    let mapping = auth.get_pn_mapping(PHONE).await.unwrap().unwrap();
    assert_eq!(mapping.lid, LID);
    let token = auth.get_tc_token(LID).await.unwrap().unwrap();
    assert_eq!(
        (token.token, token.token_timestamp),
        (vec![1, 2, 3, 4], 1_795_404_078)
    );
    let latest = auth.get_latest_sync_key_id().await.unwrap().unwrap();
    assert!(auth.get_sync_key(&latest).await.unwrap().is_some());
    assert_eq!(auth.get_version("critical_block").await.unwrap().version, 1);
    opened.close().await;
}

#[tokio::test]
async fn a_session_under_the_number_is_found_under_the_lid_once_it_is_known() {
    let by_lid = format!("session-{LID}_1.1.json");
    let by_phone = format!("session-{PHONE}.1.json");
    for is_known in [true, false] {
        let folder = folder();
        let from = folder.path().join(&by_lid);
        fs::rename(from, folder.path().join(&by_phone)).unwrap();
        if !is_known {
            remove(&folder, &format!("lid-mapping-{PHONE}.json"));
            remove(&folder, &format!("lid-mapping-{LID}_reverse.json"));
        }
        let (_account, opened, report) = adopted(&folder).await;
        assert_eq!(report.skipped, []);
        let sessions = [format!("{LID}:1@lid.0"), format!("{PHONE}:1@c.us.0")];
        for (address, expected) in sessions.iter().zip([is_known, !is_known]) {
            let session = opened.auth.get_session(address).await.unwrap();
            assert_eq!(session.is_some(), expected, "known: {is_known}");
        }
        opened.close().await;
    }
}

#[tokio::test]
async fn older_ways_of_writing_bytes_are_read_alike() {
    fn as_lists(value: &mut Value) {
        match value {
            Value::Object(object) if object.get("type") == Some(&json!("Buffer")) => {
                let data = object["data"].as_str().unwrap();
                let bytes = STANDARD.decode(data).unwrap();
                *value = json!({"buffer": true, "value": bytes});
            }
            Value::Object(object) => object.values_mut().for_each(as_lists),
            _ => {}
        }
    }
    let folder = folder();
    let names = fs::read_dir(folder.path()).unwrap();
    for entry in names {
        let name = entry.unwrap().file_name().into_string().unwrap();
        change(&folder, &name, as_lists);
    }
    let (_account, opened, report) = adopted(&folder).await;
    assert_eq!(report.skipped, []);
    assert_eq!(
        (report.sessions, report.sender_keys, report.pre_keys),
        (3, 2, 3)
    );
    opened.close().await;
}

#[test]
fn a_device_that_is_not_linked_is_refused() {
    for missing in ["me", "account"] {
        let folder = folder();
        change(&folder, "creds.json", |creds| creds[missing] = Value::Null);
        assert!(refusal(&folder).contains("not linked"));
    }
    let folder = folder();
    remove(&folder, "creds.json");
    assert!(refusal(&folder).contains("creds.json is missing"));
}

#[test]
fn what_the_device_needs_and_lacks_is_named() {
    for field in [
        "noiseKey.private",
        "signedIdentityKey.public",
        "signedPreKey.keyPair.private",
        "signedPreKey.signature",
        "signedPreKey.keyId",
        "registrationId",
        "advSecretKey",
        "account.details",
        "account.accountSignature",
        "me.id",
        "nextPreKeyId",
        "firstUnuploadedPreKeyId",
    ] {
        let folder = folder();
        change(&folder, "creds.json", |creds| {
            let pointer = format!("/{}", field.replace('.', "/"));
            *creds.pointer_mut(&pointer).expect("it is there") = Value::Null;
        });
        assert_eq!(refusal(&folder), format!("creds.json: {field} is missing"));
    }
}

#[test]
fn keys_that_do_not_belong_together_are_refused() {
    let mixed = folder();
    change(&mixed, "creds.json", |creds| {
        creds["noiseKey"]["public"] = creds["signedIdentityKey"]["public"].clone();
    });
    assert!(refusal(&mixed).starts_with("creds.json: noiseKey "));
    let unsigned = folder();
    change(&unsigned, "creds.json", |creds| {
        creds["signedPreKey"]["keyPair"] = creds["noiseKey"].clone();
    });
    let why = refusal(&unsigned);
    assert!(
        why.starts_with("creds.json: signedPreKey.signature "),
        "{why}"
    );
    let torn = folder();
    fs::write(torn.path().join("creds.json"), "{\"me\":{\"id\":\"4915").unwrap();
    let why = Snapshot::from_baileys(torn.path()).unwrap_err();
    assert!(matches!(why, BaileysError::Folder(_)), "{why}");
    assert_eq!(why.to_string(), "creds.json: it is not JSON");
}

#[tokio::test]
async fn a_file_about_one_peer_that_cannot_be_used_is_named_and_the_others_go_on() {
    let folder = folder();
    let torn = format!("session-{LID}_1.0.json");
    let content = fs::read(folder.path().join(&torn)).unwrap();
    fs::write(folder.path().join(&torn), &content[..200]).unwrap();
    let keyless = format!("session-{LID}_1.1.json");
    change(&folder, &keyless, |record| {
        let sessions = record["_sessions"].as_object_mut().unwrap();
        let session = sessions.values_mut().next().unwrap();
        session["currentRatchet"]["rootKey"] = json!("AAAA");
    });
    remove(&folder, &format!("sender-key-{GROUP}--{OWN_LID}_1--1.json"));
    fs::write(folder.path().join("notes.json"), "{}").unwrap();

    let (_account, opened, report) = adopted(&folder).await;
    let skipped: Vec<_> = report.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(
        skipped,
        [
            "notes.json: its name is not understood",
            "session-1000…_1.0.json: it is not JSON",
            "session-1000…_1.1.json: _sessions.0.currentRatchet.rootKey is not 32 bytes",
            "sender-key-memory-1203…@g.us.json: our own sender key is not there",
        ]
    );
    assert_eq!((report.sessions, report.sender_keys), (1, 1));
    // Nobody has the key that was not taken, so everybody will get the next one.
    let devices = opened.auth.get_sender_key_devices(GROUP).await.unwrap();
    assert_eq!(devices, []);
    opened.close().await;
}
