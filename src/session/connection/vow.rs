//! What must be durable before a frame leaves.
//!
//! **The identity that a phone vouched for**, before we sign it in return. The library answers `pair-success` as soon as its memory holds the new identity, and stores it
//! beside. The server admits the device with that answer: a process that died in between would leave a
//! device in the phone's list that nobody has the keys of. So from the moment `pair-success` is seen,
//! nothing is written to the socket before the identity is stored.
//!
//! **The ratchet that a message was encrypted with.** A message that comes may bring the peer's next
//! ratchet key, and at once the library makes one of ours in its memory. If a reply leaves under that key
//! and the process dies before it is stored, the peer's next messages cannot be read. Flushing before the
//! encryption is not enough: a message may come in between, and a flush passes over a session that is
//! being used. So while a message is written, the frames of that time wait for one more flush if one of its
//! readers sent something since the last ([`Ratchets`]). Which frame is the message cannot be seen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use auth_store::AuthStore;
use bytes::Bytes;
use wacore::net::Transport;
use wacore::stats::TransportResourceReport;
use wacore::store::traits::DeviceStore;
use wacore_binary::NodeRef;
use whatsapp_rust::Client;

use super::ratchets::{Ratchets, Readers};
use crate::clock::Boot;

/// Where a stanza tells whose it is.
const SENDERS: [&str; 6] = [
    "from",
    "participant",
    "sender_pn",
    "sender_lid",
    "participant_pn",
    "participant_lid",
];
/// How long a frame waits for the auth store to take the ratchets. Then the connection ends: a frame that
/// was encrypted cannot be left out.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(2);
/// Flushes while messages keep coming: one of them finds each session unused.
const TRIES: u32 = 3;

/// One connection's promise. Clones are the same.
#[derive(Clone)]
pub(in crate::session) struct Vow(Arc<Inner>);

struct Inner {
    auth: Arc<AuthStore>,
    client: OnceLock<Weak<Client>>,
    /// The phone has vouched, and it is not stored yet.
    open: AtomicBool,
    ratchets: Ratchets,
}

/// Frames that leave while this lives wait for the ratchets.
pub(in crate::session) struct Writing(Arc<Inner>, u64);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.ratchets.wrote(self.1);
    }
}

impl Vow {
    pub(super) fn new(auth: Arc<AuthStore>) -> Self {
        Self(Arc::new(Inner {
            auth,
            client: OnceLock::new(),
            open: AtomicBool::new(false),
            ratchets: Ratchets::default(),
        }))
    }

    /// Whose identity it is about.
    pub(super) fn bind(&self, client: &Arc<Client>) {
        // A connection has one client.
        let _ = self.0.client.set(Arc::downgrade(client));
    }

    /// Looks at a stanza before the library does. `sender`: the device whose ratchet it moves, if any.
    pub(in crate::session) fn observe(&self, node: &NodeRef<'_>, sender: Option<&str>) {
        if let Some(sender) = sender {
            let users = SENDERS
                .iter()
                .filter_map(|name| node.get_attr(name)?.to_jid());
            let users = users.map(|jid| jid.user.as_str().to_owned());
            self.0.ratchets.received(sender, users);
        }
        if node.tag == "iq" && node.get_optional_child("pair-success").is_some() {
            self.0.open.store(true, Ordering::Release);
        }
    }

    /// Stores the identity that the phone vouched for, if there is one that is not stored.
    async fn keep(&self) -> anyhow::Result<()> {
        if !self.0.open.load(Ordering::Acquire) {
            return Ok(());
        }
        let client = self.0.client.get().and_then(Weak::upgrade);
        let Some(client) = client else { return Ok(()) };
        let device = client.persistence_manager().get_device_snapshot();
        // What goes out before the library has taken the identity in is not the answer to it.
        if device.pn.is_some() {
            self.0.auth.save(&device.to_serializable()).await?;
            self.0.open.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// From now on, until it is dropped, a message to `readers` is written.
    pub(in crate::session) fn writing(&self, readers: Readers) -> Writing {
        Writing(self.0.clone(), self.0.ratchets.writes(readers))
    }

    /// Stores the ratchets, if those of a message that is being written may not be.
    ///
    /// # Errors
    /// The auth store does not take them now, for instance because they contain a message that is not
    /// committed: worth another try.
    pub(in crate::session) async fn store_ratchets(&self, client: &Client) -> anyhow::Result<()> {
        let ratchets = &self.0.ratchets;
        if ratchets.hold_up() {
            let settled = ratchets.settled(&self.0.auth.gate().unsettled_senders());
            client.flush_pending_signal_state().await?;
            ratchets.flushed(&settled);
        }
        Ok(())
    }

    /// Stores the ratchets that the next frame may need.
    async fn keep_ratchets(&self) -> anyhow::Result<()> {
        let ratchets = &self.0.ratchets;
        if !ratchets.hold_up() {
            return Ok(());
        }
        let client = self.0.client.get().and_then(Weak::upgrade);
        let Some(client) = client else { return Ok(()) };
        let give_up = Boot::now().plus(PATIENCE);
        let mut tries = 0;
        while tries < TRIES && ratchets.hold_up() {
            match self.store_ratchets(&client).await {
                Ok(()) => tries += 1,
                Err(error) if Boot::now() >= give_up => return Err(error),
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// `transport`, held to the promise.
    pub(super) fn bound(&self, transport: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Bound {
            vow: self.clone(),
            transport,
        })
    }
}

struct Bound {
    vow: Vow,
    transport: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for Bound {
    async fn send(&self, data: Bytes) -> anyhow::Result<()> {
        self.vow.keep().await?;
        self.vow.keep_ratchets().await?;
        self.transport.send(data).await
    }

    async fn disconnect(&self) {
        self.transport.disconnect().await;
    }

    fn resource_report(&self) -> Option<TransportResourceReport> {
        self.transport.resource_report()
    }
}
