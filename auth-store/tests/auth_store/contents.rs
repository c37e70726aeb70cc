//! A linked device with a record of every family, and how each is read back.

use std::future::Future;
use std::pin::Pin;

use auth_store::{AuthStore, RecordError};
use bytes::Bytes;
use wacore::appstate::hash::HashState;
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::libsignal::protocol::KeyPair;
use wacore::store::Device;
use wacore::store::error::Result;
use wacore::store::traits::{
    AppStateSyncKey, AppSyncStore as _, DeviceInfo, DeviceListRecord, DeviceStore as _,
    LidPnMappingEntry, MsgSecretStore as _, ProtocolStore as _, SignalStore as _,
};

use crate::fixture::cause;
use crate::signal_pair::{ALICE, GROUP, SignalPair};

pub const NUMBER: &str = "4915112345678";
pub const LID: &str = "100000012345678";
pub const PEERS: usize = 12;
pub const PRE_KEYS: u32 = 20;

type Reading<'a> = Pin<Box<dyn Future<Output = Result<String>> + Send + 'a>>;

/// A record and how the library reads it.
pub struct Item {
    /// Its name within the generation.
    pub record: String,
    /// Records that take it with them when they are dropped.
    pub gone_with: Vec<String>,
    read: Box<dyn for<'a> Fn(&'a AuthStore) -> Reading<'a> + Send + Sync>,
}

/// What reading an item gave: something to compare, or an error.
pub type Seen = std::result::Result<String, RecordError>;

impl Item {
    pub async fn read(&self, auth: &AuthStore) -> Seen {
        (self.read)(auth).await.map_err(cause)
    }
}

pub fn peer(n: usize) -> String {
    format!("49151{n:06}@c.us.0")
}

/// The secrets that [`fill`] stored: none of them may be seen in the file.
pub struct Filled {
    pub device: Device,
    pub session: Vec<u8>,
    pub sender_key: Vec<u8>,
    pub pre_keys: Vec<Bytes>,
}

/// Links a device and stores a record of every family.
pub async fn fill(auth: &AuthStore) -> Filled {
    let device = Device {
        pn: Some(format!("{NUMBER}:7@s.whatsapp.net").parse().unwrap()),
        lid: Some(format!("{LID}:7@lid").parse().unwrap()),
        push_name: "Shop".to_owned(),
        ..Device::new()
    };
    auth.save(&device).await.unwrap();
    let mut pair = SignalPair::established().await;
    let session = pair.session();
    for n in 0..PEERS {
        let address = peer(n);
        auth.put_session(&address, &session).await.unwrap();
        auth.put_identity(&address, [n as u8; 32]).await.unwrap();
    }
    pair.share_sender_key().await;
    let message = pair.alice_writes_to_group("A").await;
    pair.bob_reads_in_group(&message).await;
    let sender_key = pair.sender_key();
    let mut rng = rand::make_rng::<rand::rngs::StdRng>();
    auth.put_sender_key(&format!("{GROUP}:{ALICE}.0"), &sender_key)
        .await
        .unwrap();
    auth.set_sender_key_status(GROUP, &[("5:1@lid", true)])
        .await
        .unwrap();
    let pre_keys: Vec<Bytes> = (0..PRE_KEYS)
        .map(|_| Bytes::copy_from_slice(KeyPair::generate(&mut rng).private_key.serialize()))
        .collect();
    let numbered: Vec<_> = (1..).zip(pre_keys.iter().cloned()).collect();
    auth.store_prekeys_batch(&numbered, true).await.unwrap();
    auth.store_signed_prekey(4, b"rotated out").await.unwrap();
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
        lid: LID.into(),
        phone_number: NUMBER.into(),
        created_at: 1,
        updated_at: 2,
        learning_source: "usync".into(),
    };
    auth.put_lid_mapping(&mapping).await.unwrap();
    let devices = DeviceListRecord {
        user: NUMBER.into(),
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
    auth.put_group_metadata(GROUP, b"blob").await.unwrap();
    auth.save_base_key("a", "id", b"base").await.unwrap();
    for id in ["A", "B"] {
        auth.store_pending_inbound(ALICE, ALICE, id, b"not committed yet")
            .await
            .unwrap();
    }
    auth.promote().await.unwrap();
    auth.flush().await.unwrap();
    Filled {
        device,
        session,
        sender_key,
        pre_keys,
    }
}

/// `item!(record [gone with records], auth => value)`.
macro_rules! item {
    ($record:expr, [$($with:expr),*], $auth:ident => $read:expr) => {
        Item {
            record: $record.into(),
            gone_with: vec![$($with.into()),*],
            read: Box::new(move |$auth| Box::pin(async move { Ok(format!("{:?}", $read)) })),
        }
    };
}

/// Every record that [`fill`] makes and the library reads.
pub fn items() -> Vec<Item> {
    const LIST: &str = "sender_key_devices/120363021033254949@g.us";
    const MAC: &str = "mutation_mac/regular/";
    let address = format!("{GROUP}:{ALICE}.0");
    let sender_key = format!("sender_key/{address}");
    let mac = format!("{MAC}{}", "05".repeat(32));
    let mut items = vec![
        item!("device", [], auth => {
            let device = auth.load().await?;
            device.map(|device| serde_json::to_string(&device).unwrap())
        }),
        item!("signed_prekey/4", [], auth => auth.load_all_signed_prekeys().await?),
        item!(LIST, [sender_key.clone()], auth => auth.get_sender_key_devices(GROUP).await?),
        item!("sync_key/00ff", [], auth => {
            auth.get_sync_key(&[0, 255]).await?.map(|key| key.key_data)
        }),
        item!("sync_key_latest", ["sync_key/00ff"], auth => auth.get_latest_sync_key_id().await?),
        item!("sync_version/regular", [mac.clone()], auth => {
            auth.get_version("regular").await?.version
        }),
        item!(mac, ["sync_version/regular"], auth => {
            auth.get_mutation_mac("regular", &[5; 32]).await?
        }),
        item!(format!("lid/{LID}"), [], auth => {
            auth.get_lid_mapping(LID).await?.map(|entry| entry.phone_number)
        }),
        item!(format!("phone_lid/{NUMBER}"), [format!("lid/{LID}")], auth => {
            auth.get_pn_mapping(NUMBER).await?.map(|entry| entry.lid)
        }),
        item!(format!("device_list/{NUMBER}"), [], auth => {
            auth.get_devices(NUMBER).await?.map(|list| list.raw_id)
        }),
        item!("tc_token/1@lid", [], auth => {
            auth.get_tc_token("1@lid").await?.map(|entry| entry.token)
        }),
        item!("secret/c/s/id", [], auth => auth.get_msg_secret("c", "s", "id").await?),
        item!(format!("group/{GROUP}"), [], auth => auth.get_group_metadata(GROUP).await?),
        item!("base_key/a/id", [], auth => auth.has_same_base_key("a", "id", b"base").await?),
        // Taking it removes it.
        item!("sent/c/id", [], auth => auth.take_sent_message("c", "id").await?),
    ];
    items.push(item!(sender_key, [], auth => {
        let address = format!("{GROUP}:{ALICE}.0");
        auth.get_sender_key(&address).await?
    }));
    for n in 0..PEERS {
        items.push(item!(format!("session/{}", peer(n)), [], auth => {
            auth.get_session(&peer(n)).await?
        }));
        items.push(item!(format!("identity/{}", peer(n)), [], auth => {
            auth.load_identity(&peer(n)).await?
        }));
    }
    for id in 1..=PRE_KEYS {
        items.push(item!(format!("prekey/{id:010}"), [], auth => auth.load_prekey(id).await?));
    }
    for id in ["A", "B"] {
        items.push(item!(format!("pending/{ALICE}/{ALICE}/{id}"), [], auth => {
            auth.get_pending_inbound(ALICE, ALICE, id).await?
        }));
    }
    items
}

/// Reads every item.
pub async fn read_all(auth: &AuthStore, items: &[Item]) -> Vec<Seen> {
    let mut seen = Vec::with_capacity(items.len());
    for item in items {
        seen.push(item.read(auth).await);
    }
    seen
}
