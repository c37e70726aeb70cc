//! Linking a companion: what the server does between it and the phone.
//!
//! ```text
//!   companion                     server                          phone
//!   ── registers ───────────────▶ pair-device, six refs
//!   shows a QR code ·································▶ scans: Server::companion_of_ref
//!   ── companion_hello ─────────▶ keeps it             types the code: Server::companion_of_code
//!   ◀───────────── primary_hello ── Server::answer_companion ◀── wrapped ephemeral
//!   ── companion_finish ────────▶ ──────────────────────────────▶ opens the key bundle
//!   ◀────────────── pair-success ── Server::vouch ◀────────────── signed identity
//!   ── pair-device-sign ────────▶ checks, adds the device, 515 ──▶ the device's number
//! ```
//!
//! A candidate is forgotten when its connection ends; who waits for it learns [`PairingError::Left`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::oneshot;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, Server as Namespace};
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use super::directory::{
    AccountIndex, Device, DeviceAddress, Keys, PublishedKeys, Registration, lock_phone,
};
use super::lines::{Order, StreamError};
use super::mailbox::{ConnectionId, Mailbox};
use super::stanza::{SERVER, attr, bytes, child_array, child_bytes, jid, leaf, result};
use super::{Reply, Server, lock};
use crate::clock::unix_seconds;
use crate::people::{PeopleError, QrCode, SignedKey, Vouched};

/// How many refs a candidate gets: one for each QR code it may show.
const REFS: usize = 6;

/// Why a companion could not be linked.
#[derive(Debug, Error)]
pub enum PairingError {
    /// No connected client shows this code, or not any more.
    #[error("no connected client shows this code")]
    UnknownCode,
    /// The client shows a code with another identity than it registered with.
    #[error("the code names another identity than the client registered")]
    OtherIdentity,
    /// The client disconnected before it was linked.
    #[error("the client left before it was linked")]
    Left,
    /// The client refused what the phone offered.
    #[error("the client refused: {0}")]
    Refused(String),
    /// The phone could not take part.
    #[error(transparent)]
    Phone(#[from] PeopleError),
}

/// What a companion sent to be linked by a code.
#[derive(Debug, Clone)]
pub(crate) struct LinkHello {
    pub(crate) wrapped_ephemeral: Vec<u8>,
    account: AccountIndex,
    reference: Vec<u8>,
}

/// What a companion sent after the phone answered.
#[derive(Debug, Clone)]
pub(crate) struct LinkFinish {
    pub(crate) wrapped_bundle: Vec<u8>,
    pub(crate) identity: [u8; 32],
}

struct Offer {
    account: AccountIndex,
    device: u16,
    vouched: Vouched,
    done: oneshot::Sender<Result<u16, PairingError>>,
}

struct Candidate {
    noise_key: [u8; 32],
    keys: PublishedKeys,
    refs: Vec<String>,
    hello: Option<LinkHello>,
    finish: Option<oneshot::Sender<LinkFinish>>,
    offer: Option<Offer>,
}

/// The clients that wait to be linked.
#[derive(Default)]
pub(crate) struct PairingDesk {
    candidates: HashMap<ConnectionId, Candidate>,
}

impl PairingDesk {
    /// Forgets a candidate that disconnected.
    pub(crate) fn leave(&mut self, id: ConnectionId) {
        self.candidates.remove(&id);
    }
}

impl Server {
    /// Takes in a client that is not linked yet.
    pub(super) fn offer_pairing(
        &self,
        id: ConnectionId,
        noise_key: [u8; 32],
        registration: &DevicePairingRegistrationData,
    ) -> Reply {
        let Some(keys) = published_keys(registration) else {
            return Reply::last(super::lines::login_failure(400));
        };
        let refs: Vec<String> = (0..REFS)
            .map(|_| hex::encode(crate::people::random_bytes::<24>()))
            .collect();
        let nodes = refs.iter().map(|text| leaf("ref", text.as_bytes()));
        let offer = NodeBuilder::new("pair-device").children(nodes).build();
        let candidate = Candidate {
            noise_key,
            keys,
            refs,
            hello: None,
            finish: None,
            offer: None,
        };
        lock(&self.pairing).candidates.insert(id, candidate);
        md_iq(id, "pair-device", offer).into()
    }

    /// Handles a stanza of a client that is not linked yet.
    pub(super) fn receive_from_candidate(&self, id: ConnectionId, stanza: &Node) -> Reply {
        if stanza.tag != "iq" {
            return Reply::default();
        }
        let kind = attr(stanza, "type").unwrap_or_default();
        if kind == "result" || kind == "error" {
            return self.candidate_answered(id, stanza);
        }
        match stanza.get_optional_child("link_code_companion_reg") {
            Some(link) => self.candidate_links_by_code(id, stanza, link),
            None => result(stanza, Vec::new()).into(),
        }
    }

    fn candidate_links_by_code(&self, id: ConnectionId, iq: &Node, link: &Node) -> Reply {
        let stage = attr(link, "stage").unwrap_or_default();
        let bad = || Reply::from(super::stanza::error(iq, 400, "bad-request"));
        if stage == "companion_hello" {
            let account = jid(link, "jid").and_then(|phone| self.directory().find(&phone));
            let ephemeral = child_bytes(link, "link_code_pairing_wrapped_companion_ephemeral_pub");
            let (Some(account), Some(ephemeral)) = (account, ephemeral) else {
                return bad();
            };
            let reference = crate::people::random_bytes::<20>().to_vec();
            if let Some(candidate) = lock(&self.pairing).candidates.get_mut(&id) {
                candidate.hello = Some(LinkHello {
                    wrapped_ephemeral: ephemeral.to_vec(),
                    account,
                    reference: reference.clone(),
                });
            }
            let answer = NodeBuilder::new("link_code_companion_reg")
                .attr("stage", "companion_hello")
                .children([leaf("link_code_pairing_ref", reference)])
                .build();
            return result(iq, vec![answer]).into();
        }
        let bundle = child_bytes(link, "link_code_pairing_wrapped_key_bundle");
        let identity = child_array::<32>(link, "companion_identity_public");
        let (Some(bundle), Some(identity)) = (bundle, identity) else {
            return bad();
        };
        let mut desk = lock(&self.pairing);
        let candidate = desk.candidates.get_mut(&id);
        if let Some(finish) = candidate.and_then(|candidate| candidate.finish.take()) {
            let message = LinkFinish {
                wrapped_bundle: bundle.to_vec(),
                identity,
            };
            if finish.send(message).is_err() {
                tracing::debug!("the person gave up typing the code");
            }
        }
        result(iq, Vec::new()).into()
    }

    /// The connection of the client that shows a QR code.
    ///
    /// # Errors
    /// No connected client shows it, or it registered another identity.
    pub(crate) fn companion_of_ref(&self, qr: &QrCode) -> Result<ConnectionId, PairingError> {
        let desk = lock(&self.pairing);
        let shown = desk
            .candidates
            .iter()
            .find(|(_, candidate)| candidate.refs.contains(&qr.reference));
        let (id, candidate) = shown.ok_or(PairingError::UnknownCode)?;
        if candidate.keys.identity != qr.identity || candidate.noise_key != qr.noise {
            return Err(PairingError::OtherIdentity);
        }
        Ok(*id)
    }

    /// The latest client that asked to be linked to `account` by a code.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn companion_of_code(
        &self,
        account: AccountIndex,
    ) -> Result<(ConnectionId, LinkHello), PairingError> {
        let desk = lock(&self.pairing);
        let asking = desk.candidates.iter().filter_map(|(id, candidate)| {
            let hello = candidate.hello.as_ref()?;
            (hello.account == account).then(|| (*id, hello.clone()))
        });
        asking
            .max_by_key(|(id, _)| id.0)
            .ok_or(PairingError::UnknownCode)
    }

    /// Sends the phone's answer to the client; its finish arrives on the returned channel.
    ///
    /// # Errors
    /// The client left.
    pub(crate) fn answer_companion(
        &self,
        id: ConnectionId,
        hello: &LinkHello,
        wrapped_ephemeral: &[u8],
        phone_identity: &[u8],
    ) -> Result<oneshot::Receiver<LinkFinish>, PairingError> {
        let (finish, finished) = oneshot::channel();
        lock(&self.pairing)
            .candidates
            .get_mut(&id)
            .ok_or(PairingError::Left)?
            .finish = Some(finish);
        let answer = NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "primary_hello")
            .children([
                leaf(
                    "link_code_pairing_wrapped_primary_ephemeral_pub",
                    wrapped_ephemeral,
                ),
                leaf("primary_identity_pub", phone_identity),
                leaf("link_code_pairing_ref", hello.reference.clone()),
            ])
            .build();
        let notification = NodeBuilder::new("notification")
            .attr("from", SERVER)
            .attr("type", "link_code_companion_reg")
            .attr("id", format!("{}-primary-hello", id.0))
            .attr("t", unix_seconds())
            .children([answer])
            .build();
        if !self.lines.order(id, Order::Send(notification)) {
            return Err(PairingError::Left);
        }
        Ok(finished)
    }

    /// Sends the phone's signed identity to the client. The channel tells the number of the new
    /// device once the client has signed it in turn.
    ///
    /// # Errors
    /// The client left.
    pub(crate) fn vouch(
        &self,
        id: ConnectionId,
        account: AccountIndex,
        vouched: Vouched,
    ) -> Result<oneshot::Receiver<Result<u16, PairingError>>, PairingError> {
        let (device, names) = {
            let mut directory = self.directory();
            let device = directory.account_mut(account).reserve_device();
            let address = DeviceAddress { account, device };
            let name = |namespace| directory.jid_of(address, namespace);
            (device, (name(Namespace::Pn), name(Namespace::Lid)))
        };
        let identity = vouched.device_identity.clone();
        let (done, linked) = oneshot::channel();
        lock(&self.pairing)
            .candidates
            .get_mut(&id)
            .ok_or(PairingError::Left)?
            .offer = Some(Offer {
            account,
            device,
            vouched,
            done,
        });
        let device = NodeBuilder::new("device")
            .attr("jid", names.0)
            .attr("lid", names.1)
            .build();
        let platform = NodeBuilder::new("platform").attr("name", "android").build();
        let success = NodeBuilder::new("pair-success")
            .children([leaf("device-identity", identity), platform, device])
            .build();
        let offer = md_iq(id, "pair-success", success);
        if !self.lines.order(id, Order::Send(offer)) {
            return Err(PairingError::Left);
        }
        Ok(linked)
    }

    fn candidate_answered(&self, id: ConnectionId, stanza: &Node) -> Reply {
        let offered_id = attr(stanza, "id").unwrap_or_default();
        let signed = stanza
            .get_optional_child_by_tag(&["pair-device-sign", "device-identity"])
            .and_then(bytes);
        let refused = attr(stanza, "type").unwrap_or_default() == "error";
        if signed.is_none() && !(refused && offered_id.ends_with("pair-success")) {
            return Reply::default();
        }
        let mut desk = lock(&self.pairing);
        let Some(candidate) = desk.candidates.get_mut(&id) else {
            return Reply::default();
        };
        let Some(offer) = candidate.offer.take() else {
            return Reply::default();
        };
        let (keys, noise_key) = (candidate.keys.clone(), candidate.noise_key);
        drop(desk);
        let outcome = match signed {
            Some(signed) => self.admit(&offer, keys, noise_key, signed),
            None => {
                let error = stanza.get_optional_child("error");
                let text = error.and_then(|error| attr(error, "text"));
                Err(PairingError::Refused(text.unwrap_or_default().into_owned()))
            }
        };
        let farewell = match &outcome {
            Ok(_) => StreamError::Restart,
            Err(_) => StreamError::Unauthorized,
        };
        if offer.done.send(outcome).is_err() {
            tracing::debug!("nobody waits for the companion any more");
        }
        Reply::last(farewell.stanza())
    }

    fn admit(
        &self,
        offer: &Offer,
        keys: PublishedKeys,
        noise_key: [u8; 32],
        signed: &[u8],
    ) -> Result<u16, PairingError> {
        let phone = Arc::clone(&self.directory().account(offer.account).phone);
        let device_identity = lock_phone(&phone).accept_companion(&offer.vouched, signed)?;
        let device = Device {
            keys: Keys::Published(keys),
            registration: Some(Registration {
                noise_key,
                key_index: offer.vouched.key_index,
                device_identity,
            }),
            mailbox: Arc::new(Mailbox::new()),
            introduced: false,
        };
        self.add_companion(offer.account, offer.device, device);
        Ok(offer.device)
    }
}

fn md_iq(id: ConnectionId, what: &str, child: Node) -> Node {
    NodeBuilder::new("iq")
        .attr("from", SERVER)
        .attr("type", "set")
        .attr("xmlns", "md")
        .attr("id", format!("{}-{what}", id.0))
        .children([child])
        .build()
}

fn published_keys(data: &DevicePairingRegistrationData) -> Option<PublishedKeys> {
    let number = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_deref()?;
        let value = bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        (bytes.len() <= 4).then_some(value)
    };
    Some(PublishedKeys {
        registration_id: number(&data.e_regid)?,
        identity: data.e_ident.as_deref()?.try_into().ok()?,
        signed: SignedKey {
            id: number(&data.e_skey_id)?,
            public: data.e_skey_val.as_deref()?.try_into().ok()?,
            signature: data.e_skey_sig.as_deref()?.try_into().ok()?,
        },
        one_time: VecDeque::new(),
    })
}
