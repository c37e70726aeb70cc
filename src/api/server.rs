//! Connections: so many at once, headers in time, and an orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

/// Connections beyond these wait unaccepted.
const MOST_CONNECTIONS: usize = 1024;

/// How long a client may take for a request's head. It bounds an idle connection too.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);

/// How long to wait when the system has no room for a connection, or another process the address.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens on `address` and answers by `router` until `stop`; then what is being answered is answered
/// to its end. An address that another process has, for example the worker that this one is to
/// succeed, is tried again until it is free.
///
/// # Errors
/// The address cannot be used at all.
pub async fn serve(address: SocketAddr, router: Router, stop: CancellationToken) -> io::Result<()> {
    let Some(listener) = listen(address, &stop).await? else {
        return Ok(());
    };
    let address = listener.local_addr()?;
    info!(%address, "[http] Listening");
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
            (seat, Ok((stream, _))) => {
                let (router, stop) = (router.clone(), stop.clone());
                clients.spawn(async move {
                    let _seat = seat;
                    converse(stream, router, stop).await;
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
    Ok(())
}

async fn listen(address: SocketAddr, stop: &CancellationToken) -> io::Result<Option<TcpListener>> {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if !std::mem::replace(&mut told, true) {
                    warn!(%address, "[http] Another process listens here: waiting for it to end. HTTP_LISTEN chooses another address");
                }
            }
            Err(error) => return Err(error),
        }
        // Nothing is lost with either.
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn converse(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Answers are small and agents wait for them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "[http] TCP_NODELAY is refused");
    }
    let service = TowerToHyperService::new(router);
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
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

