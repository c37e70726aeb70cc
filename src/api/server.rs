//! Connections: so many at once, headers in time, and an orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::auth::Peer;

/// Connections beyond these wait unaccepted.
const MOST_CONNECTIONS: usize = 1024;

/// How long a client may take for a request's head. It bounds an idle connection too.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);

/// A request's head may have so many headers, and with its first line so many bytes; more is answered
/// with 431.
const MOST_HEADERS: usize = 64;
const MOST_HEAD_BYTES: usize = 32 << 10;

/// How long to wait when the system has no room for a connection, or another process the address.
const PAUSE: Duration = Duration::from_secs(1);

/// An address to listen on, as far as it could be had.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// The setting that chooses the address.
    setting: &'static str,
    listener: Option<TcpListener>,
}

impl Server {
    /// Takes `address`, which `setting` names. One that another process has, for example the worker that this one is to
    /// succeed, is waited for while it serves.
    ///
    /// # Errors
    /// The address cannot be used at all.
    pub async fn bind(address: SocketAddr, setting: &'static str) -> io::Result<Self> {
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                warn!(%address, "[http] Another process listens here: waiting for it to end. {setting} chooses another address");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            address,
            setting,
            listener,
        })
    }

    /// Answers by `router` until `stop`; then what is being answered is answered to its end.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let Some(listener) = self.listening(&stop).await else {
            return;
        };
        let seats = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let clients = TaskTracker::new();
        loop {
            // Losing the race drops a place in a queue, or a connection that nobody has read from.
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = async {
                    let seat = seats.clone().acquire_owned().await;
                    (seat, listener.accept().await)
                } => accepted,
            };
            match accepted {
                (seat, Ok((stream, peer))) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    clients.spawn(async move {
                        let _seat = seat;
                        converse(stream, Peer(peer.ip()), router, stop).await;
                    });
                }
                (_, Err(error)) => {
                    warn!(%error, "[http] A connection cannot be accepted, retrying...");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        clients.close();
        clients.wait().await;
    }

    /// `None` at `stop`.
    async fn listening(self, stop: &CancellationToken) -> Option<TcpListener> {
        let mut listener = self.listener;
        loop {
            if let Some(listener) = listener {
                let address = listener.local_addr().unwrap_or(self.address);
                info!(%address, setting = self.setting, "[http] Listening");
                return Some(listener);
            }
            // Nothing is lost with either.
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(PAUSE) => {}
            }
            listener = match TcpListener::bind(self.address).await {
                Ok(listener) => Some(listener),
                Err(error) => {
                    debug!(%error, "[http] The address is not free yet");
                    None
                }
            };
        }
    }
}

async fn converse(stream: TcpStream, peer: Peer, router: Router, stop: CancellationToken) {
    // Answers are small and agents wait for them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "[http] TCP_NODELAY is refused");
    }
    let routes = TowerToHyperService::new(router);
    let service = service_fn(|mut request| {
        request.extensions_mut().insert(peer);
        routes.call(request)
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_headers(MOST_HEADERS)
            .max_header_size(MOST_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    // The connection goes on below when stop wins.
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "[http] A connection broke");
    }
}
