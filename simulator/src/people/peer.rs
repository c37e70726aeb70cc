//! What a phone tells its own companion after linking (`category="peer"`).
//!
//! A fresh companion waits for both, some for 20 seconds, before it reports itself ready.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::history_sync::HistorySyncType;
use waproto::whatsapp::message;

/// Which part of the history a notification carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryKind {
    /// The first and usually the only one that clients wait for.
    InitialBootstrap,
    /// The names of the contacts.
    PushNames,
    /// Older messages; ends the progress of the sync at 100.
    Recent,
}

/// One key under which the account's app-state patches are sealed.
#[derive(Debug, Clone)]
pub(super) struct AppStateKey {
    id: [u8; 6],
    data: [u8; 32],
    created_ms: i64,
}

impl AppStateKey {
    pub(super) fn generate() -> Self {
        Self {
            id: super::random_bytes(),
            data: super::random_bytes(),
            created_ms: super::now_ms(),
        }
    }

    pub(super) fn share(&self, raw_id: u32, current_index: u32, devices: &[u32]) -> wa::Message {
        let key = message::AppStateSyncKey {
            key_id: MessageField::some(message::AppStateSyncKeyId {
                key_id: Some(self.id.to_vec()),
            }),
            key_data: MessageField::some(message::AppStateSyncKeyData {
                key_data: Some(self.data.to_vec()),
                fingerprint: MessageField::some(message::AppStateSyncKeyFingerprint {
                    raw_id: Some(raw_id),
                    current_index: Some(current_index),
                    device_indexes: [&[0], devices].concat(),
                }),
                timestamp: Some(self.created_ms),
            }),
        };
        protocol(message::ProtocolMessage {
            r#type: Some(message::protocol_message::Type::APP_STATE_SYNC_KEY_SHARE),
            app_state_sync_key_share: MessageField::some(message::AppStateSyncKeyShare {
                keys: vec![key],
            }),
            ..Default::default()
        })
    }
}

/// A history notification with its payload inline; `names` are (JID without device, name).
pub(super) fn history(
    kind: HistoryKind,
    names: &[(String, String)],
    conversations: Vec<wa::Conversation>,
) -> wa::Message {
    let (payload_type, sync_type) = match kind {
        HistoryKind::InitialBootstrap => (
            HistorySyncType::INITIAL_BOOTSTRAP,
            message::HistorySyncType::INITIAL_BOOTSTRAP,
        ),
        HistoryKind::PushNames => (
            HistorySyncType::PUSH_NAME,
            message::HistorySyncType::PUSH_NAME,
        ),
        HistoryKind::Recent => (HistorySyncType::RECENT, message::HistorySyncType::RECENT),
    };
    let payload = waproto::codec::history_sync_to_vec(&wa::HistorySync {
        sync_type: payload_type,
        chunk_order: Some(1),
        progress: Some(100),
        conversations,
        pushnames: names
            .iter()
            .map(|(jid, name)| wa::Pushname {
                id: Some(jid.clone()),
                pushname: Some(name.clone()),
            })
            .collect(),
        ..Default::default()
    });
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&payload).expect("a vector takes every byte");
    let inline = zlib.finish().expect("a vector takes every byte");
    protocol(message::ProtocolMessage {
        r#type: Some(message::protocol_message::Type::HISTORY_SYNC_NOTIFICATION),
        history_sync_notification: MessageField::some(message::HistorySyncNotification {
            sync_type: Some(sync_type),
            chunk_order: Some(1),
            progress: Some(100),
            initial_hist_bootstrap_inline_payload: Some(inline),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn protocol(message: message::ProtocolMessage) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(message),
        ..Default::default()
    }
}
