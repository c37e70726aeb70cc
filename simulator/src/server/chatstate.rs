//! Who is online and who types: told on to those who are connected, and kept for nobody.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::Server;
use super::directory::DeviceAddress;
use super::ledger::SeenTyping;
use super::lines::Order;
use super::mailbox::Chat;
use super::stanza::{attr, jid};

impl Server {
    /// A device says that it is there, or not any more.
    pub(super) fn accept_presence(&self, from: DeviceAddress, stanza: &Node) {
        match attr(stanza, "type").as_deref() {
            Some("available") => self.ledger.online(from, true),
            Some("unavailable") => self.ledger.online(from, false),
            // Subscriptions: nobody's presence is told here.
            _ => {}
        }
    }

    /// A device types, or has stopped to.
    pub(super) fn accept_chatstate(&self, from: DeviceAddress, stanza: &Node) {
        let state = stanza.children().and_then(<[Node]>::first);
        let (Some(state), Some(to)) = (state, jid(stanza, "to")) else {
            return;
        };
        let directory = self.directory();
        let Some(chat) = directory.chat(&to) else {
            return;
        };
        let copy = match directory.room(&chat) {
            Some(room) => NodeBuilder::new("chatstate")
                .attr("from", room.jid)
                .attr("participant", directory.jid_of(from, room.addressing)),
            None => NodeBuilder::new("chatstate").attr("from", directory.jid_of(from, to.server)),
        };
        drop(directory);
        if let Chat::Account(account) = chat {
            let copy = copy.children([state.clone()]).build();
            self.lines.order_each(
                |device| device.account == account && device.account != from.account,
                || Order::Send(copy.clone()),
            );
        }
        self.ledger.typing(SeenTyping {
            chat: to.to_string(),
            state: state.tag.to_string(),
            online: self.ledger.is_online(from),
            account: from.account,
        });
    }
}
