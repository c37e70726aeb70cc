//! Messages and the files behind them.

use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use whatsapp_worker::outbound::media::{Accepting, MediaLimits};
use whatsapp_worker::outbound::message::Outgoing;
use whatsapp_worker::store::Store;

use crate::theatre::Theatre;

pub(crate) fn content(json: Value) -> Outgoing {
    serde_json::from_value(json).expect("a message")
}

/// What the file of this name holds: other bytes for each name, more than one piece of the store.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(300_000 + name.len()).collect()
}

/// Takes files in from a folder that has one of each kind.
pub(crate) fn files(theatre: &Theatre, store: &Store) -> Accepting {
    let dir = theatre.stage.dir.join("media");
    std::fs::create_dir_all(&dir).expect("writable");
    for name in ["a.png", "a.mp4", "a.mp3", "a.ogg", "a.pdf", "a.webp"] {
        std::fs::write(dir.join(name), bytes(name)).expect("writable");
    }
    let limits = MediaLimits {
        max_bytes: 1 << 20,
        allow_private: false,
        dir: Some(dir),
    };
    let tls = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Accepting::new(store.clone(), tls, limits).expect("builds")
}
