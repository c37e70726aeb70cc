//! Showing that somebody types.
//!
//! Others see it of those only who are online, and an account that is online has its phone silenced: so
//! it is online for as long as it types.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;
use wacore_binary::Jid as WireJid;
use whatsapp_rust::{ChatStateType, Client};

/// Phones show it for a little longer than this.
const AGAIN: Duration = Duration::from_secs(10);

/// Shows it in `chat` for `time`; no time takes it off. If it is dropped, it goes by itself soon.
pub(super) async fn show(client: Arc<Client>, chat: WireJid, time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        begin(&client, &chat).await;
        let shown = left.min(AGAIN);
        tokio::time::sleep(shown).await;
        left -= shown;
    }
    state(&client, &chat, ChatStateType::Paused).await;
    // An account without a name cannot be online, nor stop being it.
    let _ = client.presence().set_unavailable().await;
}

/// Begins to show it; a message that is sent ends it.
pub(super) async fn begin(client: &Client, chat: &WireJid) {
    let _ = client.presence().set_available().await;
    state(client, chat, ChatStateType::Composing).await;
}

async fn state(client: &Client, chat: &WireJid, state: ChatStateType) {
    if let Err(error) = client.chatstate().send(chat, state).await {
        debug!(%error, "typing could not be shown");
    }
}
