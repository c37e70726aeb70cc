//! The whole simulation: one server, one media host, the people, and what a test asks of them.

mod linked;
mod waiting;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use wacore::store::device::CachedServerCertChain;
use wacore_binary::{Jid, Server as Namespace};

use crate::faults::Faults;
use crate::lint::{ReceiptCheck, Violation};
use crate::media::{MediaError, MediaServer, MediaStore};
use crate::people::Phone;
use crate::person::{Birth, PHONE_TASKS, Person};
use crate::server::directory::DeviceAddress;
use crate::server::ledger::{SeenReceipt, SeenTyping};
use crate::server::lines::{Order, StreamError};
use crate::server::mailbox::Mailbox;
use crate::server::visits::Visit;
use crate::server::{Listener, Server, lock};

/// How a simulation starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides the server's keys and the faults; phones draw their own keys.
    pub seed: u64,
    /// Where clients connect; port 0 picks one.
    pub listen: SocketAddr,
    /// Where media are; port 0 picks one.
    pub media: SocketAddr,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            seed: 1,
            listen: loopback,
            media: loopback,
        }
    }
}

/// Why a simulation did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address for clients cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The media host did not start.
    #[error(transparent)]
    Media(#[from] MediaError),
}

/// The namespace in which a group's members see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupAddressing {
    /// By LID, as new groups are.
    #[default]
    Lid,
    /// By phone number, as older groups are.
    Pn,
}

/// A running simulation; see the crate documentation. [`Self::stop`] ends its tasks and waits for
/// their end; dropping it ends them as well, without waiting.
pub struct Simulator {
    server: Arc<Server>,
    listener: Listener,
    media: MediaServer,
    people: Mutex<Vec<Person>>,
    lives: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator")
            .field("url", &self.url())
            .field("seed", &self.seed())
            .finish_non_exhaustive()
    }
}

impl Simulator {
    /// Starts the server and the media host.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let media = MediaServer::start(options.media).await?;
        let server = Arc::new(Server::new(options.seed, media.host()));
        let listener = Listener::bind(Arc::clone(&server), options.listen)
            .await
            .map_err(|source| StartError::Listen {
                address: options.listen,
                source,
            })?;
        let stop = CancellationToken::new();
        Ok(Self {
            server,
            listener,
            media,
            people: Mutex::default(),
            lives: TaskTracker::new(),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        })
    }

    /// Ends every task: connections are cut, phones fall silent.
    pub async fn stop(self) {
        self.stop.cancel();
        self.lives.close();
        self.lives.wait().await;
        self.listener.stop().await;
        self.media.stop().await;
    }

    /// What clients connect to.
    pub fn url(&self) -> String {
        format!("ws://{}/ws/chat", self.listener.address())
    }

    /// What a client connects to that calls itself `name`, so that faults can tell it from others.
    pub fn url_for(&self, name: &str) -> String {
        format!("{}?client={name}", self.url())
    }

    /// `ADDRESS:PORT` of the media host, which speaks HTTPS.
    pub fn media_host(&self) -> String {
        self.media.host()
    }

    /// The stored media, ciphertext as uploaded.
    pub fn media(&self) -> &MediaStore {
        self.media.store()
    }

    /// The certificate that clients must trust to reach the media host, as PEM.
    pub fn ca_pem(&self) -> &str {
        self.media.ca_pem()
    }

    /// The certificate chain that a client holding it can start an IK handshake from.
    pub fn leaf_certificate(&self) -> CachedServerCertChain {
        self.server.cached_chain()
    }

    /// The public key that signs the certificate chain, for clients with a replaceable root.
    pub fn root_public_key(&self) -> [u8; 32] {
        self.server.root_public_key()
    }

    /// The seed of keys and faults.
    pub fn seed(&self) -> u64 {
        self.server.faults.seed()
    }

    /// Adds a person with a phone, a phone number and a LID.
    pub fn add_person(&self, name: &str) -> Person {
        let phone = Arc::new(Mutex::new(Phone::generate()));
        let mailbox = Arc::new(Mailbox::new());
        let mut directory = self.server.directory();
        let number = directory.len();
        let pn = Jid::pn(format!("49155{:07}", number + 1));
        let lid = Jid::lid(format!("1{:014}", 7_000_001 + 37 * number));
        let account = directory.add_account(
            name,
            pn.clone(),
            lid.clone(),
            Arc::clone(&phone),
            Arc::clone(&mailbox),
        );
        drop(directory);
        let person = Person::new(Birth {
            server: Arc::clone(&self.server),
            media: self.media.store().clone(),
            account,
            name: name.to_owned(),
            pn,
            lid,
            phone,
            mailbox,
        });
        let (tasks, queue) = mpsc::channel(PHONE_TASKS);
        self.server.set_phone(account, tasks);
        self.lives
            .spawn(person.clone().live(queue, self.stop.clone()));
        lock(&self.people).push(person.clone());
        person
    }

    /// Everybody, in the order they were added.
    pub fn people(&self) -> Vec<Person> {
        lock(&self.people).clone()
    }

    /// The person with this phone number (digits).
    pub fn person(&self, phone_number: &str) -> Option<Person> {
        let people = lock(&self.people);
        let named = people
            .iter()
            .find(|person| person.jid().user == phone_number);
        named.cloned()
    }

    /// Makes a group of `creator` and `members` and returns its JID.
    pub fn create_group(
        &self,
        subject: &str,
        creator: &Person,
        members: &[&Person],
        addressing: GroupAddressing,
    ) -> Jid {
        let members = members.iter().map(|member| member.account()).collect();
        let namespace = match addressing {
            GroupAddressing::Lid => Namespace::Lid,
            GroupAddressing::Pn => Namespace::Pn,
        };
        self.server
            .create_group(subject, creator.account(), members, namespace)
    }

    /// The ids of messages that the server accepted for a person, in order, own ones excepted.
    pub fn accepted_for(&self, person: &Person) -> Vec<String> {
        self.server.ledger.accepted_for(person.account())
    }

    /// The ids of messages that the server accepted from a person's devices, in order.
    pub fn accepted_from(&self, person: &Person) -> Vec<String> {
        self.server.ledger.accepted_from(person.account())
    }

    /// The receipts about a message, in order.
    pub fn receipts(&self, message_id: &str) -> Vec<SeenReceipt> {
        self.server.ledger.receipts(message_id)
    }

    /// How a person's devices typed, in order.
    pub fn typed_by(&self, person: &Person) -> Vec<SeenTyping> {
        self.server.ledger.typed_by(person.account())
    }

    /// Whether a device of a person says that it is online.
    pub fn shows_online(&self, person: &Person, device: u16) -> bool {
        let account = person.account();
        self.server
            .ledger
            .is_online(DeviceAddress { account, device })
    }

    /// How a message was encrypted for one of a person's devices, each time that it was sent: `pkmsg`,
    /// `msg`, `skmsg`.
    pub fn ciphertexts(&self, person: &Person, device: u16, message_id: &str) -> Vec<String> {
        let account = person.account();
        let to = DeviceAddress { account, device };
        self.server.ledger.ciphertexts(message_id, to)
    }

    /// How many stanzas a device has not confirmed; `None` when there is no such device.
    pub fn queue_len(&self, person: &Person, device: u16) -> Option<usize> {
        let directory = self.server.directory();
        let account = person.account();
        let device = directory.device(DeviceAddress { account, device })?;
        Some(device.mailbox.len())
    }

    /// Whether a device is logged in.
    pub fn is_online(&self, person: &Person, device: u16) -> bool {
        let directory = self.server.directory();
        let account = person.account();
        let device = directory.device(DeviceAddress { account, device });
        device.is_some_and(|device| device.mailbox.reader().is_some())
    }

    /// How many clients are logged in.
    pub fn clients(&self) -> usize {
        self.server.lines.logged_in()
    }

    /// Cuts the connections of a person's companions without a word; says how many.
    pub fn disconnect(&self, person: &Person) -> usize {
        let account = person.account();
        self.server
            .lines
            .order_each(|device| device.account == account, || Order::Cut)
    }

    /// Throws a person's companions out with an error; says how many.
    pub fn stream_error(&self, person: &Person, error: StreamError) -> usize {
        let account = person.account();
        self.server.lines.order_each(
            |device| device.account == account,
            || Order::HangUp(Some(error.stanza())),
        )
    }

    /// Replaces the faults in force.
    pub fn set_faults(&self, faults: Faults) {
        self.server.faults.set(faults);
    }

    /// The faults in force.
    pub fn faults(&self) -> Faults {
        self.server.faults.current()
    }

    /// How long it has been running: what the times of [`Self::visits`] count from.
    pub fn elapsed(&self) -> Duration {
        self.server.visits.elapsed()
    }

    /// The logins of a person's companions, in order.
    pub fn visits(&self, person: &Person) -> Vec<Visit> {
        self.server.visits.of(person.account())
    }

    /// What clients did wrong so far.
    pub fn lint(&self) -> Vec<Violation> {
        self.server.lint.violations()
    }

    /// Sets the check that each delivery receipt of a client has to pass, before the server
    /// acknowledges it. A receipt that fails is a violation.
    pub fn on_receipt(&self, check: ReceiptCheck) {
        self.server.lint.check_receipts(check);
    }

    /// The requests that were answered by an empty result because nothing is known of them, with
    /// their counts. A scenario that counts any has found something to add.
    pub fn unknown_iqs(&self) -> BTreeMap<String, u64> {
        self.server.unknown_iqs()
    }
}
