//! Messages: from one device to the mailboxes of the devices they were encrypted for.
//!
//! | addressed to | carries | reaches |
//! |---|---|---|
//! | a person | `<participants>`, one ciphertext per device | those devices; own ones see `recipient` |
//! | a device | one ciphertext | that device (a resend, or a peer message) |
//! | a group | `skmsg`, and `<participants>` with the key | every device of every member |
//! | a group, with `participant` | one ciphertext | that device (a resend) |
//! | `status@broadcast` | as a group | every device of everybody |

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::Server;
use super::directory::{DeviceAddress, Directory, PHONE, Room};
use super::ledger::SeenCiphertext;
use super::mailbox::{Chat, Class, Entry};
use super::stanza::{ack, attr, bytes, jid};
use crate::clock::unix_seconds;
use crate::lint::Violation;

/// Parts of a message that pass through to the receiver.
const PASSED_ON: [&str; 3] = ["meta", "biz", "bot"];

/// A message on its way through the server.
struct Passage<'a> {
    stanza: &'a Node,
    id: &'a str,
    from: DeviceAddress,
    to: Jid,
    chat: Chat,
    peer: bool,
    resend: bool,
}

impl Server {
    /// Takes a message and acknowledges or refuses it.
    pub(super) fn accept_message(&self, from: DeviceAddress, stanza: &Node) -> Node {
        let refuse = |code: u16| ack(stanza).attr("error", code).build();
        let (Some(id), Some(to)) = (attr(stanza, "id"), jid(stanza, "to")) else {
            return refuse(400);
        };
        let directory = self.directory();
        let Some(chat) = directory.chat(&to) else {
            return refuse(404);
        };
        let passage = Passage {
            stanza,
            id: &id,
            from,
            chat,
            peer: attr(stanza, "category").is_some_and(|category| category == "peer"),
            resend: attr(stanza, "device_fanout").is_some_and(|fanout| fanout == "false")
                || stanza.attrs.contains_key("participant"),
            to,
        };
        let room = directory.room(&passage.chat);
        if room
            .as_ref()
            .is_some_and(|room| !room.members.contains(&from.account))
        {
            return refuse(403);
        }
        let deliveries = deliveries(&directory, &passage, room.as_ref());
        if from.device != PHONE {
            self.lint_message(&directory, &passage, &deliveries);
        }
        let mut reached = Vec::new();
        for (device, ciphertexts) in deliveries {
            for enc in &ciphertexts {
                let kind = attr(enc, "type").unwrap_or_default().into_owned();
                self.ledger
                    .ciphertext(&id, SeenCiphertext { to: device, kind });
            }
            let envelope = address(&directory, &passage, room.as_ref(), device);
            self.deliver(&directory, &passage, device, envelope, ciphertexts);
            reached.push(device.account);
        }
        drop(directory);
        if !passage.peer && !passage.resend {
            reached.sort_unstable();
            reached.dedup();
            self.ledger.accept(&id, from.account, reached);
        }
        ack(stanza).build()
    }

    fn deliver(
        &self,
        directory: &Directory,
        passage: &Passage<'_>,
        to: DeviceAddress,
        envelope: NodeBuilder,
        ciphertexts: Vec<Node>,
    ) {
        let Some(device) = directory.device(to) else {
            return;
        };
        let Passage {
            stanza, id, from, ..
        } = passage;
        let sender = directory.account(from.account);
        let mut copy = envelope
            .attr("id", *id)
            .attr("t", unix_seconds())
            .attr("notify", sender.name.as_str());
        for key in ["type", "edit", "category"] {
            if let Some(value) = stanza.attrs.get(key) {
                copy = copy.attr(key, value.clone());
            }
        }
        let opens_session = |enc: &Node| attr(enc, "type").is_some_and(|kind| kind == "pkmsg");
        let mut children = Vec::new();
        let passed = stanza.children().unwrap_or_default().iter();
        children.extend(
            passed
                .filter(|child| PASSED_ON.contains(&child.tag.as_ref()))
                .cloned(),
        );
        let proof = stanza.get_optional_child("device-identity");
        let proof = proof.filter(|_| ciphertexts.iter().any(opens_session));
        children.extend(ciphertexts);
        children.extend(proof.cloned());
        device.mailbox.post(Entry {
            class: Class::Message,
            id: (*id).to_owned(),
            chat: match &passage.chat {
                Chat::Account(_) => Chat::Account(from.account),
                other => other.clone(),
            },
            stanza: Arc::new(copy.children(children).build()),
        });
    }

    fn lint_message(
        &self,
        directory: &Directory,
        passage: &Passage<'_>,
        deliveries: &HashMap<DeviceAddress, Vec<Node>>,
    ) {
        let Passage {
            id, from, stanza, ..
        } = passage;
        let mut opens_session = false;
        for (to, ciphertexts) in deliveries {
            for enc in ciphertexts {
                let kind = attr(enc, "type").unwrap_or_default();
                let ciphertext = bytes(enc).unwrap_or_default();
                opens_session |= kind == "pkmsg";
                if kind != "skmsg" {
                    self.lint.pairwise(*from, *to, id, &kind, ciphertext);
                }
            }
        }
        let shared = stanza.get_optional_child("enc");
        if let Some(enc) =
            shared.filter(|enc| attr(enc, "type").is_some_and(|kind| kind == "skmsg"))
        {
            let group = passage.to.user.as_str();
            self.lint
                .sender_key(*from, group, id, bytes(enc).unwrap_or_default());
        }
        if opens_session && stanza.get_optional_child("device-identity").is_none() {
            let message_id = (*id).to_owned();
            self.lint
                .note(Violation::PreKeyWithoutIdentity { message_id });
        }
        if passage.peer || passage.resend {
            return;
        }
        self.lint.message_id(*from, id, &passage.chat);
        // A group message reaches everybody; whether everybody has its key shows in retries.
        if let Chat::Account(account) = passage.chat {
            let reached: HashSet<_> = deliveries.keys().copied().collect();
            let expected = directory
                .devices_of(account)
                .chain(directory.devices_of(from.account));
            self.lint.fan_out(*from, id, expected, &reached);
        }
    }
}

/// Which devices get which ciphertexts. A device that was unlinked meanwhile gets nothing.
fn deliveries(
    directory: &Directory,
    passage: &Passage<'_>,
    room: Option<&Room>,
) -> HashMap<DeviceAddress, Vec<Node>> {
    let Passage {
        stanza, from, to, ..
    } = passage;
    let shared: Vec<Node> = stanza.get_children_by_tag("enc").cloned().collect();
    let mut own: HashMap<DeviceAddress, Vec<Node>> = HashMap::new();
    let participants = stanza.get_optional_child("participants");
    for participant in participants
        .into_iter()
        .flat_map(|list| list.get_children_by_tag("to"))
    {
        let device = jid(participant, "jid").and_then(|jid| directory.find_device(&jid));
        if let Some(device) = device.filter(|device| device != from) {
            let ciphertexts = participant.get_children_by_tag("enc").cloned();
            own.entry(device).or_default().extend(ciphertexts);
        }
    }
    match (room, jid(stanza, "participant")) {
        _ if shared.is_empty() => {}
        (Some(room), None) => {
            let members = room.members.iter();
            let devices = members.flat_map(|member| directory.devices_of(*member));
            for device in devices.filter(|device| device != from) {
                let ciphertexts = own.entry(device).or_default();
                ciphertexts.extend(shared.iter().cloned());
            }
        }
        (_, one) => {
            let device = directory.find_device(&one.unwrap_or_else(|| to.clone()));
            let device = device.filter(|device| device != from);
            own.extend(device.map(|device| (device, shared)));
        }
    }
    own
}

/// The names on the envelope: who it is from, as the receiving device should see it.
fn address(
    directory: &Directory,
    passage: &Passage<'_>,
    room: Option<&Room>,
    to: DeviceAddress,
) -> NodeBuilder {
    let Passage { from, stanza, .. } = passage;
    let copy = NodeBuilder::new("message");
    let sender = directory.account(from.account);
    if let Some(room) = room {
        let addressing = room.addressing;
        let copy = copy
            .attr("from", &room.jid)
            .attr("participant", directory.jid_of(*from, addressing));
        return if addressing.is_pn_family() {
            copy.attr("addressing_mode", "pn")
                .attr("participant_lid", &sender.lid)
        } else {
            copy.attr("addressing_mode", "lid")
                .attr("participant_pn", &sender.pn)
        };
    }
    let namespace = passage.to.server;
    let copy = copy.attr("from", directory.jid_of(*from, namespace));
    if to.account != from.account {
        return if namespace.is_pn_family() {
            copy.attr("sender_lid", &sender.lid)
        } else {
            copy.attr("sender_pn", &sender.pn)
        };
    }
    if passage.peer {
        return copy;
    }
    let recipient = jid(stanza, "recipient").unwrap_or_else(|| passage.to.to_non_ad());
    let copy = copy.attr("recipient", &recipient);
    match directory
        .find(&recipient)
        .map(|peer| directory.account(peer))
    {
        Some(peer) if namespace.is_pn_family() => copy.attr("peer_recipient_lid", &peer.lid),
        Some(peer) => copy.attr("peer_recipient_pn", &peer.pn),
        None => copy,
    }
}
