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
//! being used. So while a message is written, the frames of that time wait for one more flush, unless
//! nothing was received since the last.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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

use crate::clock::Boot;

/// How long a frame waits for the auth store to take the ratchets. Then the connection ends: a frame that
/// was encrypted cannot be left out.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(2);
/// Flushes while messages keep coming: one of them finds each session unused.
const TRIES: u32 = 3;
/// No flush is known to have stored everything.
const NEVER: u64 = u64::MAX;

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

/// What is known of ratchets that replies leave under.
struct Ratchets {
    /// Messages that are being written.
    writing: AtomicUsize,
    /// Up to which received stanza all that they moved is stored, as the gate counts them.
    stored: AtomicU64,
}

impl Ratchets {
    const fn new() -> Self {
        Self {
            writing: AtomicUsize::new(0),
            stored: AtomicU64::new(NEVER),
        }
    }

    /// A flush succeeded that began when `seen` stanzas had come; `idle`: each of them had moved what it
    /// moves by then.
    fn flushed(&self, seen: u64, idle: bool) {
        if idle {
            self.stored.store(seen, Ordering::Release);
        }
    }

    /// Whether nothing came since all was stored.
    fn are_stored(&self, seen: u64) -> bool {
        self.stored.load(Ordering::Acquire) == seen
    }

    /// Whether a frame has to wait: it may be a message, under a ratchet that is not stored.
    fn hold_up(&self, seen: u64) -> bool {
        self.writing.load(Ordering::Acquire) > 0 && !self.are_stored(seen)
    }
}

/// Frames that leave while this lives wait for the ratchets.
pub(in crate::session) struct Writing(Arc<Inner>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.ratchets.writing.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Vow {
    pub(super) fn new(auth: Arc<AuthStore>) -> Self {
        Self(Arc::new(Inner {
            auth,
            client: OnceLock::new(),
            open: AtomicBool::new(false),
            ratchets: Ratchets::new(),
        }))
    }

    /// Whose identity it is about.
    pub(super) fn bind(&self, client: &Arc<Client>) {
        // A connection has one client.
        let _ = self.0.client.set(Arc::downgrade(client));
    }

    /// Looks at a stanza before the library does.
    pub(in crate::session) fn observe(&self, node: &NodeRef<'_>) {
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

    /// From now on, until it is dropped, a message is written.
    pub(in crate::session) fn writing(&self) -> Writing {
        self.0.ratchets.writing.fetch_add(1, Ordering::AcqRel);
        Writing(self.0.clone())
    }

    /// Stores the ratchets.
    ///
    /// # Errors
    /// The auth store does not take them now, for instance because they contain a message that is not
    /// committed: worth another try.
    pub(in crate::session) async fn store_ratchets(&self, client: &Client) -> anyhow::Result<()> {
        let gate = self.0.auth.gate();
        let (idle, seen) = (gate.is_idle(), gate.seen());
        client.flush_pending_signal_state().await?;
        self.0.ratchets.flushed(seen, idle);
        Ok(())
    }

    /// Stores the ratchets if a message is being written and something was received since they were.
    async fn keep_ratchets(&self) -> anyhow::Result<()> {
        let (ratchets, gate) = (&self.0.ratchets, self.0.auth.gate());
        if !ratchets.hold_up(gate.seen()) {
            return Ok(());
        }
        let client = self.0.client.get().and_then(Weak::upgrade);
        let Some(client) = client else { return Ok(()) };
        let give_up = Boot::now().plus(PATIENCE);
        let mut tries = 0;
        while tries < TRIES && !ratchets.are_stored(gate.seen()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_message_wait_while_something_that_came_may_have_moved_a_ratchet() {
        let ratchets = Ratchets::new();
        assert!(!ratchets.hold_up(0), "no message is written");
        ratchets.writing.fetch_add(1, Ordering::AcqRel);
        assert!(ratchets.hold_up(0), "nothing was stored yet");
        ratchets.flushed(0, true);
        assert!(!ratchets.hold_up(0));
        assert!(
            ratchets.hold_up(1),
            "one came between the flush and the frame"
        );
        ratchets.flushed(1, false);
        assert!(
            ratchets.hold_up(1),
            "it was not read yet when the flush began"
        );
        ratchets.flushed(1, true);
        assert!(!ratchets.hold_up(1));
        ratchets.writing.fetch_sub(1, Ordering::AcqRel);
        assert!(!ratchets.hold_up(2));
    }
}
