//! What somebody sees who has the file and no key.

use auth_store::RecordStore as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wacore::libsignal::protocol::KeyPair;
use wacore::store::traits::DeviceStore as _;

use crate::contents::{LID, NUMBER, fill};
use crate::fixture::Account;

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// A secret as somebody may have written it.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let list = serde_json::to_vec(secret).unwrap();
    vec![
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
        STANDARD.encode(secret).into_bytes(),
        list[1..list.len() - 1].to_vec(),
    ]
}

#[tokio::test]
async fn no_key_number_or_jid_is_readable_in_the_values() {
    let account = Account::new();
    let opened = account.open(1).await;
    let filled = fill(&opened.auth).await;
    let pair = |pair: &KeyPair| pair.private_key.serialize().to_vec();
    let device = &filled.device;
    let mut secrets = vec![
        pair(&device.noise_key),
        pair(&device.identity_key),
        pair(&device.signed_pre_key),
        device.adv_secret_key.to_vec(),
        filled.session.clone(),
        filled.sender_key.clone(),
        b"not committed yet".to_vec(),
    ];
    secrets.extend(filled.pre_keys.iter().map(|key| key.to_vec()));
    // They are what is stored: the sealed value of a record is as long.
    let stored = opened.auth.load().await.unwrap().unwrap();
    let stored = serde_json::to_vec(&stored).unwrap();
    assert!(
        spellings(&secrets[0])
            .iter()
            .any(|spelling| holds(&stored, spelling))
    );
    assert!(holds(&stored, NUMBER.as_bytes()));

    let records = opened.medium.page(None, usize::MAX).await.unwrap();
    assert!(records.len() > 50);
    for (key, value) in &records {
        for text in [NUMBER, LID, "@s.whatsapp.net", "@lid", "@g.us", "@c.us"] {
            assert!(
                !holds(value, text.as_bytes()),
                "{text} in the value of {key}"
            );
        }
    }

    // The file and its log, as they are while it is in use and afterwards.
    let root = account.root().join("shop");
    let key_text = std::fs::read_to_string(account.root().join("auth.key")).unwrap();
    let master = hex::decode(key_text.trim()).unwrap();
    secrets.push(master);
    for closed in [false, true] {
        if closed {
            opened.auth.close().await.unwrap();
            opened.medium.close().await;
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&root).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            for secret in &secrets {
                for spelling in spellings(secret) {
                    assert!(!holds(&bytes, &spelling), "a secret in {}", path.display());
                }
            }
            names.push(path.file_name().unwrap().to_owned());
        }
        assert_eq!(names.contains(&"auth.db-wal".into()), !closed, "{names:?}");
    }
}
