//! What reaches a person's phone, and what it answers.

use wacore::messages::unwrap_device_sent;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type;

use super::history::Noted;
use super::sending::new_message_id;
use super::{Delivery, Person};
use crate::clock::{self, unix_seconds};
use crate::people::{EncKind, HistoryKind, KeyBundle, Kind, PeopleError, Received};
use crate::server::directory::{DeviceAddress, lock_phone};
use crate::server::mailbox::{Class, Entry, Outgoing};
use crate::server::stanza::{attr, bytes, child_array, child_uint, jid, leaf, number};
use crate::server::{PhoneTask, lock};

/// How often a phone asks for a message it cannot read.
const RETRIES: u32 = 4;

/// Who wrote a stanza and where it belongs.
struct Origin {
    device: DeviceAddress,
    peer: Jid,
    group: Option<Jid>,
}

impl Person {
    pub(super) fn open_mail(&self) {
        loop {
            let mail = self.inner.mailbox.take(self.inner.connection, clock::now());
            if mail.is_empty() {
                return;
            }
            for item in mail {
                if let Outgoing::Entry { entry, .. } = item {
                    self.open(&entry);
                }
            }
        }
    }

    fn open(&self, entry: &Entry) {
        match entry.class {
            Class::Message => self.open_message(&entry.stanza),
            Class::Receipt => self.open_receipt(&entry.stanza),
            Class::Notification => {}
        }
        // A message is also confirmed by its receipt; whichever comes second changes nothing.
        self.inner
            .mailbox
            .confirm(entry.class, &entry.id, &entry.chat);
    }

    fn origin(&self, stanza: &Node) -> Option<Origin> {
        let from = jid(stanza, "from")?;
        let several = from.is_group() || from.is_status_broadcast();
        let group = several.then(|| from.clone());
        let writer = if group.is_some() {
            jid(stanza, "participant")?
        } else {
            from
        };
        let device = self.inner.server.directory().find_device(&writer)?;
        Some(Origin {
            device,
            peer: self.peer(device),
            group,
        })
    }

    fn open_message(&self, stanza: &Node) {
        let (Some(origin), Some(id)) = (self.origin(stanza), attr(stanza, "id")) else {
            return;
        };
        let mut content = None;
        for enc in stanza.get_children_by_tag("enc") {
            let kind = attr(enc, "type").and_then(|kind| EncKind::parse(&kind));
            let Some(kind) = kind else { continue };
            let ciphertext = bytes(enc).unwrap_or_default();
            let opened = lock_phone(&self.inner.phone).open(
                &origin.peer,
                origin.group.as_ref(),
                kind,
                ciphertext,
            );
            match opened {
                Ok(message) => content = Some(message),
                Err(PeopleError::Duplicate) => {}
                Err(error) => {
                    tracing::debug!(%error, "a phone could not read a message");
                    return self.ask_again(stanza, &origin, &id);
                }
            }
        }
        self.confirm_delivery(stanza, &origin, &id);
        if let Some(message) = content {
            self.keep(stanza, &origin, &id, message);
        }
    }

    fn keep(&self, stanza: &Node, origin: &Origin, id: &str, message: wa::Message) {
        let peer = attr(stanza, "category").is_some_and(|category| category == "peer");
        if peer && asks_for_keys(&message) {
            self.perform(PhoneTask::Introduce {
                companion: origin.device.device,
            });
        }
        let whole = message.clone();
        let message = Received::read(message);
        if message.kind == Kind::SenderKey {
            return;
        }
        let from_me = origin.device.account == self.inner.account;
        let chat = match (&origin.group, jid(stanza, "recipient")) {
            (Some(group), _) => group.to_string(),
            (None, Some(recipient)) => self.lid_of(&recipient),
            (None, None) => origin.peer.to_non_ad().to_string(),
        };
        if !peer {
            self.note(stanza, origin, &chat, id, whole);
        }
        lock(&self.inner.memory).received.push(Delivery {
            id: id.to_owned(),
            chat,
            sender: origin.peer.to_string(),
            from_me,
            peer,
            message,
        });
        self.inner.arrivals.send_modify(|count| *count += 1);
    }

    /// Keeps a message for the companions that are linked later.
    fn note(&self, stanza: &Node, origin: &Origin, chat: &str, id: &str, message: wa::Message) {
        let Ok(chat) = chat.parse() else { return };
        let writer = self
            .inner
            .server
            .directory()
            .account(origin.device.account)
            .name
            .clone();
        lock(&self.inner.memory).history.note(Noted {
            chat,
            id: id.to_owned(),
            from_me: origin.device.account == self.inner.account,
            participant: origin.group.as_ref().map(|_| origin.peer.to_non_ad()),
            name: writer,
            at_s: number(stanza, "t").unwrap_or_default(),
            message: unwrap_device_sent(message),
        });
    }

    fn lid_of(&self, user: &Jid) -> String {
        let directory = self.inner.server.directory();
        let account = directory.find(user);
        account.map_or_else(
            || user.to_string(),
            |account| directory.account(account).lid.to_string(),
        )
    }

    fn confirm_delivery(&self, stanza: &Node, origin: &Origin, id: &str) {
        let receipt = reply_to(stanza, "receipt", id);
        let receipt = match (attr(stanza, "category"), origin.device.account) {
            (Some(_), _) => receipt.attr("type", "peer_msg"),
            (None, account) if account == self.inner.account => receipt.attr("type", "sender"),
            _ => receipt,
        };
        self.answer(&receipt.build());
    }

    /// Marks a received message as read, for its writer to see.
    pub fn read(&self, id: &str) {
        let memory = lock(&self.inner.memory);
        let Some(delivery) = memory.received.iter().find(|delivery| delivery.id == id) else {
            return;
        };
        let (chat, sender) = (delivery.chat.clone(), delivery.sender.clone());
        drop(memory);
        let receipt = NodeBuilder::new("receipt")
            .attr("id", id)
            .attr("type", "read")
            .attr("t", unix_seconds());
        let receipt = if chat.ends_with("@g.us") || chat.ends_with("@broadcast") {
            receipt.attr("to", chat).attr("participant", sender)
        } else {
            receipt.attr("to", sender)
        };
        self.answer(&receipt.build());
    }

    fn ask_again(&self, stanza: &Node, origin: &Origin, id: &str) {
        let attempt = {
            let mut memory = lock(&self.inner.memory);
            let attempts = memory.retries.entry(id.to_owned()).or_default();
            *attempts += 1;
            *attempts
        };
        if attempt > RETRIES {
            return self.confirm_delivery(stanza, origin, id);
        }
        let retry = NodeBuilder::new("retry")
            .attr("v", "1")
            .attr("id", id)
            .attr("t", unix_seconds())
            .attr("count", attempt)
            .build();
        let bundle = lock_phone(&self.inner.phone).endpoint_mut().key_bundle();
        let registration = leaf("registration", bundle.registration_id.to_be_bytes());
        let children = [retry, registration, keys_node(&bundle)];
        let receipt = reply_to(stanza, "receipt", id)
            .attr("type", "retry")
            .children(children);
        self.answer(&receipt.build());
    }

    fn open_receipt(&self, stanza: &Node) {
        let retry = attr(stanza, "type").is_some_and(|kind| kind == "retry");
        let (true, Some(origin), Some(id)) = (retry, self.origin(stanza), attr(stanza, "id"))
        else {
            return;
        };
        let retry = stanza.get_optional_child("retry");
        let attempt = retry.and_then(|retry| number(retry, "count")).unwrap_or(1);
        let again = self.send_again(
            &id,
            origin.device,
            origin.group.as_ref(),
            attempt,
            read_keys(stanza),
        );
        if let Err(error) = again {
            tracing::debug!(%error, "a phone could not send a message again");
        }
    }

    pub(super) fn perform(&self, task: PhoneTask) {
        let PhoneTask::Introduce { companion } = task;
        if let Err(error) = self.introduce(companion) {
            tracing::warn!(%error, "a phone could not introduce itself to its companion");
        }
    }

    /// Shares the app-state key and the history with a companion, as phones do after linking.
    fn introduce(&self, companion: u16) -> Result<(), super::SendError> {
        let address = DeviceAddress {
            account: self.inner.account,
            device: companion,
        };
        let peer = self.peer(address);
        let names = [(self.inner.lid.to_string(), self.inner.name.clone())];
        let conversations = self.conversations();
        let phone = lock_phone(&self.inner.phone);
        let messages = [
            phone.key_share(),
            phone.history(HistoryKind::InitialBootstrap, &[], conversations),
            phone.history(HistoryKind::PushNames, &names, Vec::new()),
            phone.history(HistoryKind::Recent, &[], Vec::new()),
        ];
        drop(phone);
        let _turn = lock(&self.inner.sending);
        self.ensure_sessions([&peer])?;
        for message in messages {
            let plaintext = waproto::codec::message_to_vec(&message);
            let sealed = lock_phone(&self.inner.phone)
                .endpoint_mut()
                .encrypt(&peer, &plaintext)?;
            let enc = NodeBuilder::new("enc")
                .attr("v", "2")
                .attr("type", sealed.kind.as_str())
                .bytes(sealed.ciphertext)
                .build();
            let stanza = NodeBuilder::new("message")
                .attr("id", new_message_id())
                .attr("to", &peer)
                .attr("type", "text")
                .attr("category", "peer")
                .children([enc])
                .build();
            self.hand_over(&stanza)?;
        }
        Ok(())
    }

    fn conversations(&self) -> Vec<wa::Conversation> {
        let directory = self.inner.server.directory();
        lock(&self.inner.memory).history.conversations(|lid| {
            let account = directory.find(lid)?;
            Some(directory.account(account).pn.clone())
        })
    }

    fn answer(&self, stanza: &Node) {
        self.inner
            .server
            .receive(self.phone_address(), self.inner.connection, stanza);
    }
}

/// The names of an answer to a message.
fn reply_to(stanza: &Node, tag: &'static str, id: &str) -> NodeBuilder {
    let mut reply = NodeBuilder::new(tag)
        .attr("id", id)
        .attr("t", unix_seconds());
    for (theirs, ours) in [
        ("from", "to"),
        ("participant", "participant"),
        ("recipient", "recipient"),
    ] {
        if let Some(value) = stanza.attrs.get(theirs) {
            reply = reply.attr(ours, value.clone());
        }
    }
    reply
}

fn asks_for_keys(message: &wa::Message) -> bool {
    let protocol = message.protocol_message.as_option();
    protocol.and_then(|protocol| protocol.r#type) == Some(Type::APP_STATE_SYNC_KEY_REQUEST)
}

fn keys_node(bundle: &KeyBundle) -> Node {
    let id24 = |id: u32| leaf("id", id.to_be_bytes()[1..].to_vec());
    let mut keys = vec![leaf("type", [5]), leaf("identity", bundle.identity)];
    keys.extend(bundle.one_time.as_ref().map(|key| {
        NodeBuilder::new("key")
            .children([id24(key.id), leaf("value", key.public)])
            .build()
    }));
    keys.push(
        NodeBuilder::new("skey")
            .children([
                id24(bundle.signed.id),
                leaf("value", bundle.signed.public),
                leaf("signature", bundle.signed.signature),
            ])
            .build(),
    );
    NodeBuilder::new("keys").children(keys).build()
}

fn read_keys(receipt: &Node) -> Option<KeyBundle> {
    let keys = receipt.get_optional_child("keys")?;
    Some(KeyBundle {
        registration_id: child_uint(receipt, "registration")?,
        identity: child_array(keys, "identity")?,
        signed: crate::server::keys::read_signed_key(keys.get_optional_child("skey")?)?,
        one_time: keys
            .get_optional_child("key")
            .and_then(crate::server::keys::read_one_time_key),
    })
}
