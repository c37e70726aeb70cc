//! The simulation over HTTP and JSON, for scripts and for tests in other processes.
//!
//! | request | body or query | answer |
//! |---|---|---|
//! | `GET /` | | `url`, `media_host`, `ca_pem`, `root_public_key` (hex), `seed`, `clients` |
//! | `POST /people` | `name` | the person |
//! | `GET /people` | | every person: `name`, `phone`, `jid`, `lid`, `companions` |
//! | `POST /people/{phone}/scan` | `qr` | `device` |
//! | `POST /people/{phone}/code` | `code` | `device` |
//! | `POST /people/{phone}/send` | `to`, `content`, optional `id` | `id` |
//! | `POST /people/{phone}/resend` | `id` | |
//! | `POST /people/{phone}/read` | `id` | |
//! | `GET /people/{phone}/received` | `?id=…&wait_ms=…` | deliveries, all or those of one id |
//! | `GET /people/{phone}/accepted` | | message ids: `to`, `from` |
//! | `POST /people/{phone}/disconnect` | | `connections` |
//! | `POST /people/{phone}/stream-error` | `error` ([`crate::StreamError`]) | `connections` |
//! | `DELETE /people/{phone}/companions/{device}` | | |
//! | `POST /groups` | `subject`, `creator`, `members`, optional `addressing` | `jid` |
//! | `GET /receipts/{message id}` | | receipts |
//! | `GET /lint` · `GET /unknown-iqs` | | violations · counts |
//! | `GET /faults` · `PUT /faults` | [`crate::Faults`] | faults |
//!
//! `phone` is a phone number in digits; `to` a JID, or a phone number for its JID. Contents are
//! described at [`content::ContentRequest`]. Refusals are `{"error": …}` with status 400, 404 or
//! 409. There is no authentication: bind it to loopback.

pub mod content;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Simulator;

/// A running control; [`Self::stop`] ends it.
#[derive(Debug)]
pub struct Control {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Control {
    /// Serves the control of `simulator` on `address`; port 0 picks one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(simulator: Arc<Simulator>, address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let stop = CancellationToken::new();
        let serve = axum::serve(socket, routes::router(simulator))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let serving = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the control ended");
            }
        });
        Ok(Self {
            address,
            stop,
            serving,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it after the requests in flight.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "the control ended badly");
        }
    }
}
