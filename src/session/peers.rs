//! Devices whose messages cannot be read, one after another: their signal session is taken for a bad
//! one, dropped and built anew.
//!
//! What the library does by itself (0.7.0, `message/retry.rs`): for each message that it cannot read it
//! sends a retry receipt, up to five times as the sender goes on failing; from the second on the
//! receipt carries keys from which the sender opens a new session. It never drops a session of its own
//! accord, so what *we* write to that device stays unreadable until the device opens one. The rule
//! here: after [`IN_A_ROW`] unreadable messages of one device, and none readable in between, its
//! session is dropped once, through the library's cache, and the last message is asked for with keys
//! at once. Nothing more is dropped before a message of that device could be read again.
//!
//! Pre-key messages, groups and our own phone count alike: a session is cheap to build.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auth_store::AuthStore;
use tracing::warn;
use wacore::types::jid::JidExt as _;
use wacore::types::message::{MessageInfo, MessageSource};
use wacore_binary::Jid as WireJid;
use whatsapp_rust::Client;

use super::{SessionContext, missing};
use crate::ids::Jid;
use crate::telemetry::event::{self, Event};

/// Unreadable messages of one device in a row after which its session is taken for a bad one.
const IN_A_ROW: u32 = 3;
/// Devices that are watched at once; beyond it all are forgotten, since nobody has that many friends
/// in trouble.
const WATCHED: usize = 4096;

/// How it stands with one device; one that is well has no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// So many messages in a row could not be read.
    Unread(u32),
    /// They are enough: its session is to be dropped.
    Due,
    /// Its session was dropped, and nothing could be read since.
    Dropped,
}

/// The devices in trouble, for one term. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Peers(Arc<Mutex<HashMap<WireJid, Trouble>>>);

impl Peers {
    /// A message could not be read. `true` once, when its device's session is to be dropped.
    pub(super) fn unreadable(&self, source: &MessageSource) -> bool {
        let mut peers = self.lock();
        if peers.len() >= WATCHED {
            peers.clear();
        }
        let trouble = peers.entry(device(source)).or_insert(Trouble::Unread(0));
        match *trouble {
            Trouble::Unread(before) if before + 1 >= IN_A_ROW => {
                *trouble = Trouble::Due;
                true
            }
            Trouble::Unread(before) => {
                *trouble = Trouble::Unread(before + 1);
                false
            }
            Trouble::Due | Trouble::Dropped => false,
        }
    }

    /// A message could be read.
    pub(super) fn readable(&self, source: &MessageSource) {
        let mut peers = self.lock();
        // Nearly always empty: spares the common case the name.
        if !peers.is_empty() {
            peers.remove(&device(source));
        }
    }

    /// Whether the session is still to be dropped; from now on it is not any more.
    fn begin_drop(&self, source: &MessageSource) -> bool {
        match self.lock().get_mut(&device(source)) {
            Some(trouble @ Trouble::Due) => {
                *trouble = Trouble::Dropped;
                true
            }
            _ => false,
        }
    }

    /// Whether nothing could be read since [`Self::begin_drop`].
    fn is_dropping(&self, source: &MessageSource) -> bool {
        self.lock().get(&device(source)) == Some(&Trouble::Dropped)
    }

    /// The sessions are others: those of new credentials.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WireJid, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One name for a device, whichever way the stanza spells it.
fn device(source: &MessageSource) -> WireJid {
    let mut name = source.sender.clone();
    if let Some(other) = source.sender_alt.as_ref().filter(|other| other.is_lid())
        && !name.is_lid()
    {
        name.user = other.user.clone();
        name.server = other.server;
    }
    name
}

/// Drops the session of the device that wrote `unread`, unless a message of it could be read
/// meanwhile, and asks for that message again with keys for a new one. Not to be called from the hook:
/// it flushes. Dropped halfway, it leaves a session that the next message builds anew.
pub(super) async fn rebuild(
    context: &SessionContext,
    auth: &AuthStore,
    client: &Arc<Client>,
    unread: &MessageInfo,
) {
    let source = &unread.source;
    if !context.peers.begin_drop(source) {
        return;
    }
    let account = &context.account;
    let device = device(source);
    let named = Jid::new(device.to_string());
    let sender = std::slice::from_ref(&source.sender);
    // Who writes to the device right now has made sure of its session.
    let writers = context.sessions.write().await;
    if !context.peers.is_dropping(source) {
        // It has opened a new session while we waited.
        return;
    }
    let dropped = client.signal().delete_sessions(sender).await;
    drop(writers);
    if let Err(error) = dropped {
        warn!(%account, device = %named, %error, "a bad signal session could not be dropped");
        return;
    }
    let reason = "its messages could not be read";
    let address = device.to_protocol_address();
    let noted = auth.note_dropped_session(address.as_str(), reason).await;
    event::emit(Event::AuthRepaired {
        account,
        name: &format!("session of {named}"),
        reason,
        times: noted.unwrap_or_else(|error| {
            warn!(%account, device = %named, %error, "a dropped signal session could not be noted");
            1
        }),
    });
    let (chat, sender) = (source.chat.to_string(), source.sender.to_string());
    if let Err(error) = missing::ask(client, &chat, &sender, &unread.id).await {
        // The library asks again by itself at the next message.
        warn!(%account, device = %named, %error, "the keys for a new session could not be sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(device: &str) -> MessageSource {
        MessageSource {
            sender: device.parse().expect("valid"),
            ..MessageSource::default()
        }
    }

    #[test]
    fn a_session_is_dropped_once_after_three_unreadable_messages_in_a_row() {
        let peers = Peers::default();
        let alice = from("100000000000001@lid");
        assert!(!peers.unreadable(&alice));
        assert!(!peers.unreadable(&alice));
        assert!(!peers.begin_drop(&alice), "two are not enough");
        assert!(peers.unreadable(&alice));
        assert!(peers.begin_drop(&alice));
        for _ in 0..10 {
            assert!(!peers.unreadable(&alice), "once");
        }
        assert!(!peers.begin_drop(&alice));
    }

    #[test]
    fn a_readable_message_begins_the_count_anew() {
        let peers = Peers::default();
        let alice = from("100000000000001@lid");
        for _ in 0..5 {
            assert!(!peers.unreadable(&alice));
            assert!(!peers.unreadable(&alice));
            peers.readable(&alice);
        }
        for due in [false, false, true] {
            assert_eq!(peers.unreadable(&alice), due);
        }
        peers.readable(&alice);
        assert!(!peers.begin_drop(&alice), "it is readable again");
    }

    #[test]
    fn devices_are_told_apart_and_known_by_either_name() {
        let peers = Peers::default();
        let phone = from("100000000000001@lid");
        let laptop = from("100000000000001:3@lid");
        for _ in 0..2 {
            assert!(!peers.unreadable(&phone));
            assert!(!peers.unreadable(&laptop));
        }
        let by_number = MessageSource {
            sender_alt: Some(phone.sender.clone()),
            ..from("4915112345678@s.whatsapp.net")
        };
        assert!(peers.unreadable(&by_number));
        peers.readable(&phone);
        assert!(peers.unreadable(&laptop));
    }
}
