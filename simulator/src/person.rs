//! A simulated person: a phone that lives inside the simulator.
//!
//! The phone is device 0 of its account. It has a mailbox like every device, but no socket: a task
//! of its own opens what arrives and answers with receipts, and sending hands stanzas straight to
//! the server. Everything a person sends is encrypted for each device of the audience and of the
//! person itself, so linked companions get their copies.

mod history;
mod linking;
mod profile;
mod receiving;
mod sending;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wacore_binary::{Jid, Server as Namespace};

use crate::clock;
use crate::media::MediaStore;
use crate::people::{PeopleError, Received};
use crate::server::directory::{AccountIndex, DeviceAddress, PHONE, SharedPhone, lock_phone};
use crate::server::mailbox::{ConnectionId, Mailbox};
use crate::server::{PhoneTask, Server, lock};
use history::History;
use sending::Sent;

pub use sending::SendError;

/// How many sent messages a phone can send again when somebody could not read them.
const REMEMBERED: usize = 65_536;

/// How many requests of the server may wait for a phone.
pub(crate) const PHONE_TASKS: usize = 64;

/// A message that reached a person's phone.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// The message id.
    pub id: String,
    /// The chat: the other person's LID JID, or the group.
    pub chat: String,
    /// The writing device, as a LID JID.
    pub sender: String,
    /// Whether another device of the same person wrote it.
    pub from_me: bool,
    /// Whether it came as a peer message, which no person sees.
    pub peer: bool,
    /// What it says.
    pub message: Received,
}

/// What did not happen in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it did not happen within {0:?}")]
pub struct TimedOut(pub Duration);

#[derive(Default)]
struct Memory {
    received: Vec<Delivery>,
    sent: HashMap<String, Arc<Sent>>,
    sent_order: VecDeque<String>,
    retries: HashMap<String, u32>,
    history: History,
}

struct Inner {
    server: Arc<Server>,
    media: MediaStore,
    account: AccountIndex,
    name: String,
    pn: Jid,
    lid: Jid,
    connection: ConnectionId,
    phone: SharedPhone,
    mailbox: Arc<Mailbox>,
    /// Keeps the order of stanzas the order of ratchet steps.
    sending: Mutex<()>,
    memory: Mutex<Memory>,
    arrivals: watch::Sender<usize>,
    dozing: watch::Sender<bool>,
}

/// A simulated person. Clones are the same person.
#[derive(Clone)]
pub struct Person {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

/// What a person is made of.
pub(crate) struct Birth {
    pub(crate) server: Arc<Server>,
    pub(crate) media: MediaStore,
    pub(crate) account: AccountIndex,
    pub(crate) name: String,
    pub(crate) pn: Jid,
    pub(crate) lid: Jid,
    pub(crate) phone: SharedPhone,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Person {
    pub(crate) fn new(birth: Birth) -> Self {
        let connection = birth.server.new_connection();
        let key_share = lock_phone(&birth.phone).key_share();
        if let Some(patch) = profile::name_patch(&key_share, &birth.name) {
            birth
                .server
                .push_app_state(birth.account, profile::COLLECTION, &patch);
        }
        birth.mailbox.attach(connection);
        birth.mailbox.activate(connection, clock::now());
        Self {
            inner: Arc::new(Inner {
                server: birth.server,
                media: birth.media,
                account: birth.account,
                name: birth.name,
                pn: birth.pn,
                lid: birth.lid,
                connection,
                phone: birth.phone,
                mailbox: birth.mailbox,
                sending: Mutex::default(),
                memory: Mutex::default(),
                arrivals: watch::Sender::new(0),
                dozing: watch::Sender::new(false),
            }),
        }
    }

    /// Opens what arrives and does what the server asks, until `stop`.
    pub(crate) async fn live(self, mut tasks: mpsc::Receiver<PhoneTask>, stop: CancellationToken) {
        let mut dozing = self.inner.dozing.subscribe();
        loop {
            let awake = !*dozing.borrow_and_update();
            // What a losing branch waits for stays in its queue.
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = dozing.changed() => {
                    if !*dozing.borrow() {
                        self.open_mail();
                    }
                }
                () = self.inner.mailbox.changed(), if awake => self.open_mail(),
                Some(task) = tasks.recv() => self.perform(task),
            }
        }
    }

    /// The name others see.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The phone number JID.
    pub fn jid(&self) -> Jid {
        self.inner.pn.clone()
    }

    /// The LID JID.
    pub fn lid(&self) -> Jid {
        self.inner.lid.clone()
    }

    /// The phone number, digits only.
    pub fn phone_number(&self) -> String {
        self.inner.pn.user.to_string()
    }

    /// The numbers of the linked companions.
    pub fn companions(&self) -> Vec<u16> {
        let directory = self.inner.server.directory();
        let devices = directory.devices_of(self.inner.account);
        devices
            .map(|address| address.device)
            .filter(|device| *device != PHONE)
            .collect()
    }

    /// Everything that reached the phone, in order; peer messages and own copies included.
    pub fn received(&self) -> Vec<Delivery> {
        lock(&self.inner.memory).received.clone()
    }

    /// Lets the phone doze, or wakes it: dozing it answers nothing that arrives, requests to send again
    /// among it, while its owner can still write.
    pub fn doze(&self, dozing: bool) {
        self.inner.dozing.send_replace(dozing);
    }

    /// Breaks the ratchet towards a companion of `reader` without this phone's knowing: nothing it
    /// encrypts for that device can be read until the session is built anew, be it by keys that come
    /// with a request to send again, or by a message that opens a session from the other side.
    ///
    /// # Errors
    /// There is no session to break.
    pub fn spoil_session(&self, reader: &Self, device: u16) -> Result<(), PeopleError> {
        let peer = self.peer(DeviceAddress {
            account: reader.inner.account,
            device,
        });
        lock_phone(&self.inner.phone).endpoint_mut().spoil(&peer)
    }

    /// Waits for the first message, among those received already or later, that `wanted` accepts.
    /// Cancel safe.
    ///
    /// # Errors
    /// None came within `patience`.
    pub async fn wait_for(
        &self,
        patience: Duration,
        wanted: impl Fn(&Delivery) -> bool,
    ) -> Result<Delivery, TimedOut> {
        let mut arrivals = self.inner.arrivals.subscribe();
        let search = async {
            loop {
                arrivals.borrow_and_update();
                let found = lock(&self.inner.memory)
                    .received
                    .iter()
                    .find(|delivery| wanted(delivery))
                    .cloned();
                if let Some(delivery) = found {
                    return delivery;
                }
                arrivals
                    .changed()
                    .await
                    .expect("the sender lives as long as this person");
            }
        };
        tokio::time::timeout(patience, search)
            .await
            .map_err(|_| TimedOut(patience))
    }

    pub(crate) fn account(&self) -> AccountIndex {
        self.inner.account
    }

    fn phone_address(&self) -> DeviceAddress {
        DeviceAddress {
            account: self.inner.account,
            device: PHONE,
        }
    }

    /// The name under which the phone's Signal state files a device.
    fn peer(&self, address: DeviceAddress) -> Jid {
        self.inner
            .server
            .directory()
            .jid_of(address, Namespace::Lid)
    }
}
