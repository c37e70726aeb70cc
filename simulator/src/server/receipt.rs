//! Receipts: they settle mail and travel on to whoever wrote it.
//!
//! | type | settles | goes to |
//! |---|---|---|
//! | none, `read`, `played` | the message | every device of the sender |
//! | `retry` | the message | the one device that has to send it again |
//! | `inactive`, `sender`, `peer_msg`, `hist_sync`, `read-self` … | the message | nobody |

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, Server as Namespace};

use super::directory::{DeviceAddress, Directory};
use super::ledger::SeenReceipt;
use super::mailbox::{Chat, Class, Entry};
use super::stanza::{ack, attr, jid};
use super::{Reply, Server};
use crate::clock::unix_seconds;

/// The name of a receipt without a type.
const DELIVERED: &str = "delivered";

/// Receipts by which a client takes charge of a message.
const CONFIRMS_DELIVERY: [&str; 3] = [DELIVERED, "inactive", "sender"];

impl Server {
    /// Takes a receipt and acknowledges it.
    pub(super) fn accept_receipt(&self, from: DeviceAddress, stanza: &Node) -> Reply {
        let kind = attr(stanza, "type").unwrap_or_else(|| DELIVERED.into());
        let chat = self.chat_of(stanza);
        let ids = message_ids(stanza);
        for id in &ids {
            self.confirm(from, Class::Message, id, &chat);
            self.ledger.receipt(SeenReceipt {
                message_id: id.clone(),
                kind: kind.to_string(),
                device: from.device,
                account: from.account,
            });
        }
        match kind.as_ref() {
            DELIVERED | "read" | "played" => self.forward_to_sender(from, &chat, stanza),
            "retry" => self.forward_to_device(from, &chat, stanza),
            _ => {}
        }
        let mut acknowledgement = ack(stanza);
        if let Some(kind) = stanza.attrs.get("type") {
            acknowledgement = acknowledgement.attr("type", kind.clone());
        }
        acknowledgement.build().into()
    }

    /// The messages that a receipt takes charge of: those whose commit the lint may ask for.
    pub(super) fn messages_taken_over(&self, from: DeviceAddress, stanza: &Node) -> Vec<String> {
        let kind = attr(stanza, "type").unwrap_or_else(|| DELIVERED.into());
        if stanza.tag != "receipt" || !CONFIRMS_DELIVERY.contains(&kind.as_ref()) {
            return Vec::new();
        }
        let directory = self.directory();
        let Some(device) = directory.device(from) else {
            return Vec::new();
        };
        let mut ids = message_ids(stanza);
        ids.retain(|id| device.mailbox.awaits_receipt(id));
        ids
    }

    fn forward_to_sender(&self, from: DeviceAddress, chat: &Chat, stanza: &Node) {
        let directory = self.directory();
        let author = match chat {
            Chat::Account(account) => Some(*account),
            Chat::Group(_) | Chat::Status => {
                jid(stanza, "participant").and_then(|author| directory.find(&author))
            }
            Chat::Server => None,
        };
        let Some(author) = author.filter(|author| *author != from.account) else {
            return;
        };
        for device in directory.devices_of(author).collect::<Vec<_>>() {
            post(&directory, from, chat, device, stanza);
        }
    }

    fn forward_to_device(&self, from: DeviceAddress, chat: &Chat, stanza: &Node) {
        let directory = self.directory();
        let key = match chat {
            Chat::Group(_) | Chat::Status => "participant",
            _ => "to",
        };
        let device = jid(stanza, key).and_then(|sender| directory.find_device(&sender));
        match device {
            Some(device) if device != from => post(&directory, from, chat, device, stanza),
            _ => tracing::debug!("a retry receipt names nobody who could send again"),
        }
    }
}

fn message_ids(receipt: &Node) -> Vec<String> {
    let first = attr(receipt, "id").map(|id| id.into_owned());
    let listed = receipt
        .get_optional_child("list")
        .into_iter()
        .flat_map(|list| list.get_children_by_tag("item"))
        .filter_map(|item| attr(item, "id").map(|id| id.into_owned()));
    first.into_iter().chain(listed).collect()
}

/// Puts a copy of a receipt into a device's mailbox, under the name that device knows the reader by.
fn post(
    directory: &Directory,
    from: DeviceAddress,
    chat: &Chat,
    to: DeviceAddress,
    receipt: &Node,
) {
    let Some(device) = directory.device(to) else {
        return;
    };
    let namespace = jid(receipt, "to").map_or(Namespace::Lid, |to| to.server);
    let id = attr(receipt, "id").unwrap_or_default().into_owned();
    let mut copy = NodeBuilder::new("receipt")
        .attr("id", id.as_str())
        .attr("t", unix_seconds());
    let conversation = match directory.room(chat) {
        Some(room) => {
            copy = copy
                .attr("from", room.jid)
                .attr("participant", directory.jid_of(from, room.addressing));
            chat.clone()
        }
        None => {
            copy = copy.attr("from", directory.jid_of(from, namespace));
            Chat::Account(from.account)
        }
    };
    for key in ["type", "recipient"] {
        if let Some(value) = receipt.attrs.get(key) {
            copy = copy.attr(key, value.clone());
        }
    }
    if let Some(children) = receipt.children() {
        copy = copy.children(children.iter().cloned());
    }
    device.mailbox.post(Entry {
        class: Class::Receipt,
        id,
        chat: conversation,
        stanza: Arc::new(copy.build()),
    });
}
