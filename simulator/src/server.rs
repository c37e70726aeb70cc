//! The server: sockets on one side, accounts and mailboxes on the other.
//!
//! ```text
//!  client ── WebSocket ── frames ── noise ── connection ─┬─ pairing   (no account yet)
//!                                                        └─ Server::receive (a linked device)
//!                                                             ├─ iq        keys, devices, groups …
//!                                                             ├─ message   fan-out to mailboxes
//!                                                             ├─ receipt   confirms and forwards
//!                                                             └─ ib        backlog batches
//!  simulated phone ───────── Server::receive ─────────────────┘
//! ```
//!
//! A device is known by its [`DeviceAddress`](directory::DeviceAddress) alone. Whether a socket or a simulated phone reads its
//! [mailbox](mailbox) makes no difference to routing, so a phone needs no connection.
//!
//! Invariants:
//! - Every method is synchronous and holds at most the locks it takes in the order directory,
//!   phone, mailbox; none is held while something is sent.
//! - What a device has to confirm goes through its mailbox; answers go straight to its connection.
//! - Nothing a client sends panics: what is malformed is answered by an error or ends its
//!   connection.

mod chatstate;
mod companions;
mod connection;
pub(crate) mod directory;
mod frames;
mod iq;
pub(crate) mod ledger;
pub(crate) mod lines;
mod listener;
pub(crate) mod mailbox;
mod message;
mod noise;
pub(crate) mod pairing;
mod receipt;
pub(crate) mod stanza;
pub(crate) mod visits;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use wacore::store::device::CachedServerCertChain;
use wacore_binary::Node;

use crate::clock;
use crate::faults::FaultPlan;
use crate::lint::{Lint, Violation};
use directory::{AccountIndex, DeviceAddress, Directory, PHONE};
use ledger::Ledger;
use lines::Lines;
use mailbox::{Chat, Class, Confirmed, ConnectionId};
use noise::ServerIdentity;
use pairing::PairingDesk;
use stanza::{attr, jid, number};
use visits::Visits;

pub(crate) use iq::keys;
pub(crate) use listener::Listener;

/// What a stanza is answered by.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Sent in order.
    pub(crate) stanzas: Vec<Node>,
    /// Whether the connection ends after them.
    pub(crate) hang_up: bool,
}

impl From<Node> for Reply {
    fn from(stanza: Node) -> Self {
        Self {
            stanzas: vec![stanza],
            hang_up: false,
        }
    }
}

impl Reply {
    /// A stanza after which the connection ends.
    fn last(stanza: Node) -> Self {
        Self {
            stanzas: vec![stanza],
            hang_up: true,
        }
    }
}

/// What the server asks of a simulated phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PhoneTask {
    /// A companion is active for the first time: share keys and history with it.
    Introduce { companion: u16 },
}

/// The server's state; see the module documentation.
pub(crate) struct Server {
    identity: ServerIdentity,
    pub(crate) directory: Mutex<Directory>,
    pub(crate) lines: Lines,
    pub(crate) pairing: Mutex<PairingDesk>,
    pub(crate) ledger: Ledger,
    pub(crate) lint: Lint,
    pub(crate) faults: FaultPlan,
    pub(crate) visits: Visits,
    media_host: String,
    app_state: Mutex<iq::AppState>,
    phones: Mutex<HashMap<AccountIndex, mpsc::Sender<PhoneTask>>>,
    unknown_iqs: Mutex<BTreeMap<String, u64>>,
    next_connection: AtomicU64,
}

/// Locks; what an earlier holder's panic left behind is good enough for a simulation.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// A server whose keys and faults derive from `seed`, and which names `media_host` to clients.
    pub(crate) fn new(seed: u64, media_host: String) -> Self {
        Self {
            identity: ServerIdentity::generate(&mut StdRng::seed_from_u64(seed)),
            directory: Mutex::default(),
            lines: Lines::default(),
            pairing: Mutex::default(),
            ledger: Ledger::new(),
            lint: Lint::default(),
            faults: FaultPlan::new(seed),
            visits: Visits::new(),
            media_host,
            app_state: Mutex::default(),
            phones: Mutex::default(),
            unknown_iqs: Mutex::default(),
            next_connection: AtomicU64::new(1),
        }
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    /// A connection id never used before.
    pub(crate) fn new_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// See [`ServerIdentity::cached_chain`].
    pub(crate) fn cached_chain(&self) -> CachedServerCertChain {
        self.identity.cached_chain()
    }

    /// See [`ServerIdentity::root_public_key`].
    pub(crate) fn root_public_key(&self) -> [u8; 32] {
        self.identity.root_public_key()
    }

    /// Handles a stanza of a linked device or a simulated phone.
    pub(crate) fn receive(&self, from: DeviceAddress, by: ConnectionId, stanza: &Node) -> Reply {
        match stanza.tag.as_ref() {
            "iq" => self.answer_iq(from, by, stanza),
            "message" => match self.faults.current().refuse_messages {
                Some(code) => stanza::ack(stanza).attr("error", code).build().into(),
                None => self.accept_message(from, stanza).into(),
            },
            "receipt" => self.accept_receipt(from, stanza),
            "ack" => {
                self.accept_ack(from, stanza);
                Reply::default()
            }
            "ib" => {
                self.accept_ib(from, by, stanza);
                Reply::default()
            }
            // The real server does not answer them either.
            "presence" => {
                self.accept_presence(from, stanza);
                Reply::default()
            }
            "chatstate" => {
                self.accept_chatstate(from, stanza);
                Reply::default()
            }
            other => {
                self.count_unknown(other.to_owned());
                Reply::default()
            }
        }
    }

    fn accept_ack(&self, from: DeviceAddress, stanza: &Node) {
        let class = attr(stanza, "class").unwrap_or_default();
        let (Some(class), Some(id)) = (Class::parse(&class), attr(stanza, "id")) else {
            return;
        };
        let chat = self.chat_of(stanza);
        self.confirm(from, class, &id, &chat);
        self.ledger.wake();
    }

    fn accept_ib(&self, from: DeviceAddress, by: ConnectionId, stanza: &Node) {
        let Some(batch) = stanza.get_optional_child("offline_batch") else {
            return;
        };
        let count = number(batch, "count").unwrap_or(0);
        if let Some(device) = self.directory().device(from) {
            device.mailbox.request_batch(by, count, clock::now());
        }
    }

    /// Takes what a device confirms out of its mailbox.
    fn confirm(&self, from: DeviceAddress, class: Class, id: &str, chat: &Chat) -> Confirmed {
        let Some(mailbox) = self
            .directory()
            .device(from)
            .map(|device| Arc::clone(&device.mailbox))
        else {
            return Confirmed::Unknown;
        };
        let confirmed = mailbox.confirm(class, id, chat);
        if confirmed == Confirmed::Unknown && from.device != PHONE {
            self.lint.note(Violation::UnknownConfirmation {
                class: class.as_str().to_owned(),
                id: id.to_owned(),
            });
        }
        confirmed
    }

    /// The conversation that a confirmation names.
    fn chat_of(&self, stanza: &Node) -> Chat {
        jid(stanza, "to")
            .and_then(|to| self.directory().chat(&to))
            .unwrap_or(Chat::Server)
    }

    /// Connects a simulated phone to what the server asks of it.
    pub(crate) fn set_phone(&self, account: AccountIndex, tasks: mpsc::Sender<PhoneTask>) {
        lock(&self.phones).insert(account, tasks);
    }

    fn ask_phone(&self, account: AccountIndex, task: PhoneTask) {
        let sent = lock(&self.phones)
            .get(&account)
            .map(|phone| phone.try_send(task));
        if !matches!(sent, Some(Ok(()))) {
            tracing::warn!("a phone missed what the server asked of it");
        }
    }

    /// Lets stanzas flow to a connection, and the phone introduce itself the first time.
    fn activate(&self, address: DeviceAddress, by: ConnectionId) -> Option<Node> {
        let mut directory = self.directory();
        let device = directory.device_mut(address)?;
        let mailbox = Arc::clone(&device.mailbox);
        let introduce = !std::mem::replace(&mut device.introduced, true);
        drop(directory);
        let announcement = mailbox.activate(by, clock::now());
        if introduce {
            let companion = address.device;
            self.ask_phone(address.account, PhoneTask::Introduce { companion });
        }
        announcement
    }

    fn count_unknown(&self, what: String) {
        tracing::warn!(what, "a request the simulator does not know");
        *lock(&self.unknown_iqs).entry(what).or_default() += 1;
    }

    /// The requests that were answered by an empty result because nothing is known of them.
    pub(crate) fn unknown_iqs(&self) -> BTreeMap<String, u64> {
        lock(&self.unknown_iqs).clone()
    }
}
