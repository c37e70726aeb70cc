//! What a person sends.

use std::sync::Arc;

use thiserror::Error;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node};

use super::history::Noted;
use super::{Person, REMEMBERED};
use crate::clock::unix_seconds;
use crate::people::{Composed, Content, KeyBundle, Letterhead, PeopleError, Sealed};
use crate::server::directory::{DeviceAddress, lock_phone};
use crate::server::lock;
use crate::server::mailbox::Chat;
use crate::server::stanza::attr;

/// Why a person could not send.
#[derive(Debug, Error)]
pub enum SendError {
    /// The recipient is neither a person nor a group of this simulation.
    #[error("nobody has this address")]
    UnknownRecipient,
    /// The message to send again was never sent, or too long ago.
    #[error("this phone does not remember such a message")]
    UnknownMessage,
    /// The server refused the message.
    #[error("the server refused the message with code {0}")]
    Refused(String),
    /// The phone could not write or encrypt the message.
    #[error(transparent)]
    Phone(#[from] PeopleError),
}

/// A message that may have to be sent again.
pub(super) struct Sent {
    to: Jid,
    composed: Composed,
    /// The copy for own devices; empty for group messages, which own devices get as they are.
    device_sent: Vec<u8>,
}

/// Who gets a message.
struct Audience {
    group: Option<Jid>,
    devices: Vec<DeviceAddress>,
}

impl Person {
    /// Writes to a person, a group or `status@broadcast` and returns the message id once the server accepted it.
    /// Companions of this person get their copy. A person is addressed as `to` says: under the
    /// phone number or the LID.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&self, to: &Jid, content: &Content) -> Result<String, SendError> {
        self.send_with_id(&new_message_id(), to, content)
    }

    /// As [`Self::send`], under an id of the caller's choice.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_with_id(&self, id: &str, to: &Jid, content: &Content) -> Result<String, SendError> {
        let to = to.to_non_ad();
        let letterhead = Letterhead {
            id: id.to_owned(),
            chat: to.clone(),
            author: self.author_for(&to),
        };
        let composed =
            lock_phone(&self.inner.phone).compose(&letterhead, content, &self.inner.media)?;
        let sent = Arc::new(Sent {
            device_sent: composed.device_sent(&to),
            to,
            composed,
        });
        self.remember(id, &sent);
        self.dispatch(id, &sent)?;
        self.note_sent(id, &sent);
        Ok(id.to_owned())
    }

    /// Sends a message again under its old id and with new ciphertexts, as a phone does that
    /// missed the server's acknowledgement.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn resend(&self, id: &str) -> Result<(), SendError> {
        let sent = self.recall(id).ok_or(SendError::UnknownMessage)?;
        self.dispatch(id, &sent)
    }

    /// Keeps a message for the companions that are linked later.
    fn note_sent(&self, id: &str, sent: &Sent) {
        let Some(message) = sent.composed.message() else {
            return;
        };
        let directory = self.inner.server.directory();
        let person = directory.find(&sent.to);
        let chat = person.map_or_else(
            || sent.to.clone(),
            |account| directory.account(account).lid.clone(),
        );
        drop(directory);
        lock(&self.inner.memory).history.note(Noted {
            chat,
            id: id.to_owned(),
            from_me: true,
            participant: sent.to.is_group().then(|| self.inner.lid.clone()),
            name: self.inner.name.clone(),
            at_s: unix_seconds(),
            message: message.clone(),
        });
    }

    fn author_for(&self, to: &Jid) -> Jid {
        let directory = self.inner.server.directory();
        let room = directory.chat(to).and_then(|chat| directory.room(&chat));
        let namespace = room.map_or(to.server, |room| room.addressing);
        directory.account(self.inner.account).jid(namespace).clone()
    }

    fn audience(&self, to: &Jid) -> Option<Audience> {
        let directory = self.inner.server.directory();
        let own = self.phone_address();
        let (group, accounts) = match directory.chat(to)? {
            Chat::Account(peer) if peer == own.account => (None, vec![peer]),
            Chat::Account(peer) => (None, vec![peer, own.account]),
            Chat::Server => return None,
            chat => {
                let room = directory.room(&chat)?;
                (Some(room.jid), room.members)
            }
        };
        let devices = accounts
            .into_iter()
            .flat_map(|account| directory.devices_of(account));
        Some(Audience {
            group,
            devices: devices.filter(|device| *device != own).collect(),
        })
    }

    fn dispatch(&self, id: &str, sent: &Sent) -> Result<(), SendError> {
        let _turn = lock(&self.inner.sending);
        let audience = self.audience(&sent.to).ok_or(SendError::UnknownRecipient)?;
        let devices: Vec<(DeviceAddress, Jid)> = audience
            .devices
            .into_iter()
            .map(|address| (address, self.peer(address)))
            .collect();
        self.ensure_sessions(devices.iter().map(|(_, peer)| peer))?;
        let children = match &audience.group {
            Some(group) => self.seal_for_group(group, &devices, sent)?,
            None => self.seal_for_devices(&devices, sent)?,
        };
        let stanza = envelope(id, sent, &sent.to).children(children).build();
        self.hand_over(&stanza)
    }

    fn seal_for_devices(
        &self,
        devices: &[(DeviceAddress, Jid)],
        sent: &Sent,
    ) -> Result<Vec<Node>, SendError> {
        let mut phone = lock_phone(&self.inner.phone);
        let mut participants = Vec::with_capacity(devices.len());
        for (address, peer) in devices {
            let plaintext = self.plaintext_for(*address, sent);
            let sealed = phone.endpoint_mut().encrypt(peer, plaintext)?;
            participants.push(participant(peer, enc(&sealed, sent)));
        }
        let list = NodeBuilder::new("participants").children(participants);
        Ok(vec![list.build()])
    }

    fn seal_for_group(
        &self,
        group: &Jid,
        devices: &[(DeviceAddress, Jid)],
        sent: &Sent,
    ) -> Result<Vec<Node>, SendError> {
        let peers: Vec<Jid> = devices.iter().map(|(_, peer)| peer.clone()).collect();
        let sealed = lock_phone(&self.inner.phone)
            .endpoint_mut()
            .encrypt_for_group(group, &peers, &sent.composed.plaintext)?;
        let participants = sealed
            .distributions
            .iter()
            .map(|(peer, key)| participant(peer, plain_enc(key)))
            .collect::<Vec<_>>();
        let message = enc(&sealed.payload, sent);
        if participants.is_empty() {
            return Ok(vec![message]);
        }
        let list = NodeBuilder::new("participants").children(participants);
        Ok(vec![list.build(), message])
    }

    /// Sends a remembered message to the one device that could not read it. New keys that the
    /// device sent along replace the session; without them a new bundle is fetched.
    pub(super) fn send_again(
        &self,
        id: &str,
        to: DeviceAddress,
        group: Option<&Jid>,
        attempt: u32,
        keys: Option<KeyBundle>,
    ) -> Result<(), SendError> {
        let sent = self.recall(id).ok_or(SendError::UnknownMessage)?;
        let _turn = lock(&self.inner.sending);
        let peer = self.peer(to);
        {
            let mut phone = lock_phone(&self.inner.phone);
            let endpoint = phone.endpoint_mut();
            // A ratchet that is bad without the phone's knowing goes on until keys come along.
            if keys.is_some() || !endpoint.is_spoiled(&peer) {
                endpoint.forget(&peer);
            }
            if let Some(keys) = keys {
                endpoint.establish(&peer, &keys)?;
            }
        }
        self.ensure_sessions([&peer])?;
        let plaintext = self.plaintext_for(to, &sent);
        let sealed = lock_phone(&self.inner.phone)
            .endpoint_mut()
            .encrypt(&peer, plaintext)?;
        let mut enc = enc(&sealed, &sent);
        enc.attrs.push("count", attempt);
        let own_device = to.account == self.inner.account;
        let stanza = match group {
            Some(group) => envelope(id, &sent, group).attr("participant", &peer),
            None if own_device => envelope(id, &sent, &peer).attr("recipient", &sent.to),
            // The stanza keeps the addressing of the first attempt: it decides the chat's name.
            None => {
                let directory = self.inner.server.directory();
                let device = directory.jid_of(to, sent.to.server);
                drop(directory);
                envelope(id, &sent, &device)
            }
        };
        let stanza = stanza
            .attr("device_fanout", "false")
            .children([enc])
            .build();
        self.hand_over(&stanza)
    }

    fn plaintext_for<'a>(&self, device: DeviceAddress, sent: &'a Sent) -> &'a [u8] {
        let own = device.account == self.inner.account;
        if own && !sent.to.is_group() && !sent.to.is_status_broadcast() {
            &sent.device_sent
        } else {
            &sent.composed.plaintext
        }
    }

    /// Makes sure there is a session with each device, from bundles of the directory.
    ///
    /// # Errors
    /// A device is gone, or its keys are bad.
    pub(super) fn ensure_sessions<'a>(
        &self,
        peers: impl IntoIterator<Item = &'a Jid>,
    ) -> Result<(), SendError> {
        let phone = lock_phone(&self.inner.phone);
        let strangers: Vec<&Jid> = peers
            .into_iter()
            .filter(|peer| !phone.endpoint().has_session(peer))
            .collect();
        // The directory locks phones to make bundles: never ask it with a phone locked.
        drop(phone);
        for peer in strangers {
            let bundle = self.inner.server.take_bundle(peer);
            let (bundle, _) = bundle.ok_or(SendError::UnknownRecipient)?;
            lock_phone(&self.inner.phone)
                .endpoint_mut()
                .establish(peer, &bundle)?;
        }
        Ok(())
    }

    /// Gives a stanza to the server and reads its acknowledgement.
    pub(super) fn hand_over(&self, stanza: &Node) -> Result<(), SendError> {
        let reply = self
            .inner
            .server
            .receive(self.phone_address(), self.inner.connection, stanza);
        let refusal = reply.stanzas.iter().find_map(|ack| attr(ack, "error"));
        match refusal {
            Some(code) => Err(SendError::Refused(code.into_owned())),
            None => Ok(()),
        }
    }

    fn remember(&self, id: &str, sent: &Arc<Sent>) {
        let mut memory = lock(&self.inner.memory);
        if memory
            .sent
            .insert(id.to_owned(), Arc::clone(sent))
            .is_none()
        {
            memory.sent_order.push_back(id.to_owned());
        }
        if memory.sent_order.len() > REMEMBERED
            && let Some(oldest) = memory.sent_order.pop_front()
        {
            memory.sent.remove(&oldest);
        }
    }

    fn recall(&self, id: &str) -> Option<Arc<Sent>> {
        lock(&self.inner.memory).sent.get(id).cloned()
    }
}

/// An id as phones make them.
pub(super) fn new_message_id() -> String {
    hex::encode_upper(crate::people::random_bytes::<16>())
}

fn envelope(id: &str, sent: &Sent, to: &Jid) -> NodeBuilder {
    let stanza = NodeBuilder::new("message")
        .attr("id", id)
        .attr("to", to)
        .attr("type", sent.composed.stanza_type);
    match &sent.composed.edit {
        Some(edit) => stanza.attr("edit", edit.as_str()),
        None => stanza,
    }
}

fn participant(peer: &Jid, enc: Node) -> Node {
    NodeBuilder::new("to")
        .attr("jid", peer)
        .children([enc])
        .build()
}

fn plain_enc(sealed: &Sealed) -> Node {
    NodeBuilder::new("enc")
        .attr("v", "2")
        .attr("type", sealed.kind.as_str())
        .bytes(sealed.ciphertext.clone())
        .build()
}

fn enc(sealed: &Sealed, sent: &Sent) -> Node {
    let mut enc = plain_enc(sealed);
    if let Some(media) = sent.composed.media_type {
        enc.attrs.push("mediatype", media);
    }
    enc
}
