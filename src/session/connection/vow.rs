//! What the phone vouched for is durable before we sign it in return.
//!
//! The library answers `pair-success` as soon as its memory holds the new identity, and stores it
//! beside. The server admits the device with that answer: a process that died in between would leave a
//! device in the phone's list that nobody has the keys of. So from the moment `pair-success` is seen,
//! nothing is written to the socket before the identity is stored.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use auth_store::AuthStore;
use bytes::Bytes;
use wacore::net::Transport;
use wacore::stats::TransportResourceReport;
use wacore::store::traits::DeviceStore;
use wacore_binary::NodeRef;
use whatsapp_rust::Client;

/// One connection's promise. Clones are the same.
#[derive(Clone)]
pub(in crate::session) struct Vow(Arc<Inner>);

struct Inner {
    auth: Arc<AuthStore>,
    client: OnceLock<Weak<Client>>,
    /// The phone has vouched, and it is not stored yet.
    open: AtomicBool,
}

impl Vow {
    pub(super) fn new(auth: Arc<AuthStore>) -> Self {
        Self(Arc::new(Inner {
            auth,
            client: OnceLock::new(),
            open: AtomicBool::new(false),
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
        self.transport.send(data).await
    }

    async fn disconnect(&self) {
        self.transport.disconnect().await;
    }

    fn resource_report(&self) -> Option<TransportResourceReport> {
        self.transport.resource_report()
    }
}
