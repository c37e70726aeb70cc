//! Accepts clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{Server, connection};

/// The listening socket and every connection that came through it; dropping it closes both.
pub(crate) struct Listener {
    address: SocketAddr,
    stop: DropGuard,
    connections: TaskTracker,
    accepting: JoinHandle<()>,
}

impl Listener {
    /// Listens on `address` until [`Self::stop`].
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(crate) async fn bind(server: Arc<Server>, address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let stop = CancellationToken::new();
        let connections = TaskTracker::new();
        let accepting = tokio::spawn(accept(server, socket, stop.clone(), connections.clone()));
        Ok(Self {
            address,
            stop: stop.drop_guard(),
            connections,
            accepting,
        })
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes everything and waits for the end of each connection.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "the listener ended badly");
        }
        self.connections.close();
        self.connections.wait().await;
    }
}

async fn accept(
    server: Arc<Server>,
    socket: TcpListener,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    loop {
        // Losing `accept` loses at most a client that is not yet known to anybody.
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok(_) if server.faults.current().refuse_connections => {}
            Ok((stream, _)) => {
                let serving = connection::serve(Arc::clone(&server), stream);
                let stop = stop.clone();
                connections.spawn(async move {
                    // The server is going away: a half-written stanza does not matter.
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = serving => {}
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "a client could not be accepted"),
        }
    }
}
