//! The connection to the chat server: a WebSocket over TLS over a gated TCP stream.
//!
//! ```text
//! send() ─┐                                          ┌─> events (bounded)
//!         WebSocket ── TLS ── Gate (trust) ── TCP ───┤
//!                                                    └── reader task: frames, end of trust, close
//! ```
//!
//! Invariants:
//! - Nothing is written, and no connect is started, while the account's [`Trust`] does not hold:
//!   the [`gate`] refuses beneath every buffer.
//! - When trust ends, the connection is reset within a second, without a Close frame.
//! - The reader task belongs to its [`WsTransport`]: [`Transport::disconnect`] ends it and waits
//!   for it, and dropping the transport aborts it.
//! - A slow consumer slows the peer down (bounded events, TCP flow control); it never fills memory.
//!
//! Failures: [`ConnectError`] and [`SendError`] travel inside the library's `anyhow` errors and can
//! be downcast. The end of a connection is an event with a reason. Reconnecting is decided above.

pub mod dial;
pub mod gate;
pub mod names;
pub mod proxy;
mod reader;
pub mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use rustls_pki_types::ServerName;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use url::Host;
use wacore::net::{Transport, TransportEvent, TransportFactory, WHATSAPP_WEB_ORIGIN};

use self::gate::{Gate, Socket, TrustEnded, trust_ended};
use self::proxy::ProxyError;
use super::endpoint::Network;
use crate::lease::trust::Trust;

/// Events that wait for the library before the reader stops reading.
const EVENT_QUEUE: usize = 64;

/// One WebSocket message. A stanza frame has at most 16 MiB (its length is 24 bits), and a server
/// may put several into a message.
const MAX_MESSAGE_BYTES: usize = 32 << 20;

/// Allocated for as long as the connection lives, so small: a TLS record has at most 16 KiB.
const READ_BUFFER_BYTES: usize = 16 << 10;
const WRITE_BUFFER_BYTES: usize = 16 << 10;

type Stream = WebSocketStream<Either<Gate, TlsStream<Gate>>>;
type Writer = Arc<Mutex<SplitSink<Stream, Message>>>;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The lease must be renewed or acquired first.
    #[error(transparent)]
    TrustEnded(#[from] TrustEnded),
    /// Worth another attempt.
    #[error("connecting took longer than {0:?}")]
    TimedOut(Duration),
    /// Name lookup or TCP failed; worth another attempt.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// The server's, or the proxy's when there is one.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The proxy is in the way.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The server's certificate is not trusted; needs the operator.
    #[error(
        "the certificate of {host} is not trusted; behind a TLS proxy name its CA in WHATSAPP_EXTRA_CA_FILE"
    )]
    Certificate {
        /// The server.
        host: String,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// TLS failed otherwise; worth another attempt.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The server answered, but not with a WebSocket.
    #[error("the server refused the WebSocket with HTTP status {status}")]
    Refused {
        /// Its status.
        status: u16,
    },
    /// The WebSocket handshake failed otherwise; worth another attempt.
    #[error("the WebSocket handshake failed")]
    WebSocket(#[source] WsError),
}

/// Why data was not sent. The connection is of no further use in any case.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The kill switch is thrown; nothing was written.
    #[error(transparent)]
    TrustEnded(#[from] TrustEnded),
    /// The connection has ended, or ended while the data waited.
    #[error("the connection is closed")]
    Closed,
    /// The write failed; part of the data may have left.
    #[error("the write failed")]
    Failed(#[source] WsError),
}

/// Makes connections for one account.
#[derive(Clone, Debug)]
pub struct WsTransportFactory {
    network: Arc<Network>,
    trust: Trust,
}

impl WsTransportFactory {
    /// Connections over `network` that last as long as `trust` does.
    pub fn new(network: Arc<Network>, trust: Trust) -> Self {
        Self { network, trust }
    }

    /// Connects, and starts the reader. The events begin with `Connected` and end with
    /// `Disconnected`. Cancel safe: a half-made connection is closed.
    ///
    /// # Errors
    /// See [`ConnectError`]; [`ConnectError::TrustEnded`] before a byte was sent if trust did not
    /// hold, and afterwards if it ended meanwhile.
    pub async fn connect(
        &self,
    ) -> Result<(WsTransport, async_channel::Receiver<TransportEvent>), ConnectError> {
        if !self.trust.holds() {
            return Err(TrustEnded.into());
        }
        let limit = self.network.connect_timeout;
        // Losing either branch only drops a connection that nobody has seen.
        let connected = tokio::select! {
            biased;
            () = trust_ended(&self.trust) => return Err(TrustEnded.into()),
            connected = tokio::time::timeout(limit, self.open()) => connected,
        };
        match connected {
            Err(_) => Err(ConnectError::TimedOut(limit)),
            // Whatever the layers made of it, the refusal beneath them is the reason.
            Ok(Err(_)) if !self.trust.holds() => Err(TrustEnded.into()),
            Ok(Err(e)) => Err(e),
            Ok(Ok((stream, socket))) => Ok(WsTransport::start(stream, socket, self.trust.clone())),
        }
    }

    async fn open(&self) -> Result<(Stream, Socket), ConnectError> {
        let (host, port) = (self.network.ws_url.host(), self.network.ws_url.port());
        let gate = self.dial(host.clone(), port).await?;
        let socket = gate.socket();
        let stream = if self.network.ws_url.is_tls() {
            let connector = TlsConnector::from(Arc::clone(&self.network.tls));
            let tls = connector.connect(server_name(&host)?, gate).await;
            Either::Right(tls.map_err(|e| match tls::certificate_problem(&e) {
                Some(problem) => ConnectError::Certificate {
                    host: host.to_string(),
                    source: problem.clone(),
                },
                None => ConnectError::Tls(e),
            })?)
        } else {
            Either::Left(gate)
        };
        let mut request = self
            .network
            .ws_url
            .url()
            .as_str()
            .into_client_request()
            .map_err(ConnectError::WebSocket)?;
        request.headers_mut().insert(
            header::ORIGIN,
            HeaderValue::from_static(WHATSAPP_WEB_ORIGIN),
        );
        let upgraded =
            tokio_tungstenite::client_async_with_config(request, stream, Some(limits())).await;
        match upgraded {
            Ok((stream, _response)) => Ok((stream, socket)),
            Err(WsError::Http(response)) => Err(ConnectError::Refused {
                status: response.status().as_u16(),
            }),
            Err(e) => Err(ConnectError::WebSocket(e)),
        }
    }

    /// A gated TCP stream to the server, through the proxy if there is one.
    async fn dial(&self, host: Host<&str>, port: u16) -> Result<Gate, ConnectError> {
        let (next_host, next_port) = self.network.next_hop();
        let unreachable = |source| ConnectError::Unreachable {
            host: next_host.to_string(),
            source,
        };
        let names = &self.network.names;
        let stream = dial::connect(next_host.clone(), next_port, names, &self.trust)
            .await
            .map_err(unreachable)?;
        dial::tune(&stream, self.network.user_timeout).map_err(unreachable)?;
        let gate = Gate::new(stream, self.trust.clone());
        Ok(match &self.network.proxy {
            Some(proxy) => proxy.tunnel(gate, host, port).await?,
            None => gate,
        })
    }
}

#[async_trait]
impl TransportFactory for WsTransportFactory {
    async fn create_transport(
        &self,
    ) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        let (transport, events) = self.connect().await?;
        Ok((Arc::new(transport), events))
    }
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(MAX_MESSAGE_BYTES + WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

fn server_name(host: &Host<&str>) -> Result<ServerName<'static>, ConnectError> {
    match host {
        Host::Domain(name) => ServerName::try_from((*name).to_owned())
            .map_err(|e| ConnectError::Tls(io::Error::new(io::ErrorKind::InvalidInput, e))),
        Host::Ipv4(ip) => Ok(ServerName::from(std::net::IpAddr::V4(*ip))),
        Host::Ipv6(ip) => Ok(ServerName::from(std::net::IpAddr::V6(*ip))),
    }
}

/// One connection.
#[derive(Debug)]
pub struct WsTransport {
    writer: Writer,
    trust: Trust,
    /// Cancelled to ask the reader for an orderly end.
    closing: CancellationToken,
    /// A child of `closing`, cancelled when the reader has stopped by itself: nobody may go on
    /// waiting for the socket then.
    dead: CancellationToken,
    /// Cancelled when the reader task is gone.
    ended: CancellationToken,
    _reader: AbortOnDropHandle<()>,
}

impl WsTransport {
    fn start(
        stream: Stream,
        socket: Socket,
        trust: Trust,
    ) -> (Self, async_channel::Receiver<TransportEvent>) {
        let (sink, frames) = stream.split();
        let writer: Writer = Arc::new(Mutex::new(sink));
        let (events, receiver) = async_channel::bounded(EVENT_QUEUE);
        events
            .try_send(TransportEvent::Connected)
            .expect("the queue is empty and its receiver is here");
        let closing = CancellationToken::new();
        let dead = closing.child_token();
        let ended = CancellationToken::new();
        let reader = reader::Reader {
            frames,
            writer: Arc::clone(&writer),
            socket,
            trust: trust.clone(),
            events,
            closing: closing.clone(),
            dead: dead.clone(),
        };
        let gone = ended.clone().drop_guard();
        let task = tokio::spawn(async move {
            let _gone = gone;
            reader.run().await;
        });
        let transport = Self {
            writer,
            trust,
            closing,
            dead,
            ended,
            _reader: AbortOnDropHandle::new(task),
        };
        (transport, receiver)
    }

    /// Sends `data` as one binary message; `Ok` means that the kernel took it. Waits while the
    /// peer does not read. If the call is cancelled, the message may still be sent, whole.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn write(&self, data: Bytes) -> Result<(), SendError> {
        if !self.trust.holds() {
            return Err(TrustEnded.into());
        }
        let write = async { self.writer.lock().await.send(Message::Binary(data)).await };
        // A write that loses stays in the WebSocket's buffer, which the reader discards or closes.
        let written = tokio::select! {
            biased;
            () = self.dead.cancelled() => return Err(SendError::Closed),
            written = write => written,
        };
        written.map_err(|e| match e {
            e if TrustEnded::is_cause_of(&e) => SendError::TrustEnded(TrustEnded),
            WsError::ConnectionClosed | WsError::AlreadyClosed => SendError::Closed,
            e => SendError::Failed(e),
        })
    }

    /// Ends the connection, with a Close frame if trust holds, and waits until its task is gone: at
    /// most a second or so. Calling it again does no harm. Cancel safe.
    pub async fn close(&self) {
        self.closing.cancel();
        self.ended.cancelled().await;
    }
}

#[async_trait]
impl Transport for WsTransport {
    async fn send(&self, data: Bytes) -> anyhow::Result<()> {
        Ok(self.write(data).await?)
    }

    async fn disconnect(&self) {
        self.close().await;
    }
}

#[cfg(test)]
mod tests;
