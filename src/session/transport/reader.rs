//! The task that owns a connection: it turns frames into events, watches over trust, and ends the
//! socket.

use std::io;
use std::time::Duration;

use futures_util::stream::SplitStream;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;
use wacore::net::{DisconnectReason, TransportEvent};

use super::gate::{Socket, TrustEnded, trust_ended};
use super::{Stream, Writer};
use crate::lease::trust::Trust;

/// How long a Close frame may take to leave.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// How the connection ended.
enum End {
    /// We were asked to close it, or nobody listens any more.
    Local,
    /// The peer said goodbye, and is owed an answer.
    ServerClose(DisconnectReason),
    /// It broke.
    Broken(DisconnectReason),
    /// We may not use it any longer.
    TrustEnded,
}

pub(super) struct Reader {
    pub(super) frames: SplitStream<Stream>,
    pub(super) writer: Writer,
    pub(super) socket: Socket,
    pub(super) trust: Trust,
    pub(super) events: async_channel::Sender<TransportEvent>,
    pub(super) closing: CancellationToken,
    pub(super) dead: CancellationToken,
}

impl Reader {
    /// Runs until the connection has ended and the event about it is queued.
    pub(super) async fn run(mut self) {
        let end = self.receive().await;
        if matches!(end, End::TrustEnded) || !self.trust.holds() {
            self.socket.abort();
            self.dead.cancel();
        } else {
            self.dead.cancel();
            self.finish(&end).await;
        }
        let reason = match end {
            End::Local => DisconnectReason::Unknown,
            End::ServerClose(reason) | End::Broken(reason) => reason,
            End::TrustEnded => DisconnectReason::ReadError(TrustEnded.to_string()),
        };
        // If it is not delivered because of `closing`, the queue's end tells the same.
        self.deliver(TransportEvent::Disconnected(reason)).await;
    }

    async fn receive(&mut self) -> End {
        let trust = self.trust.clone();
        let trust_ended = trust_ended(&trust);
        tokio::pin!(trust_ended);
        loop {
            // `next` is cancel safe: what was read of a frame stays in the stream.
            let message = tokio::select! {
                biased;
                () = &mut trust_ended => return End::TrustEnded,
                () = self.closing.cancelled() => return End::Local,
                message = self.frames.next() => message,
            };
            let data = match message {
                Some(Ok(Message::Binary(data))) => data,
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = match frame {
                        Some(frame) => (Some(frame.code.into()), frame.reason.to_string()),
                        None => (None, String::new()),
                    };
                    return End::ServerClose(DisconnectReason::ServerClose { code, reason });
                }
                // Pings are answered by the stream itself, when it is polled again.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Text(_))) => {
                    tracing::debug!("the chat server sent a text message, which means nothing");
                    continue;
                }
                Some(Err(e)) if TrustEnded::is_cause_of(&e) => return End::TrustEnded,
                Some(Err(e)) => return End::Broken(reason(&e)),
                None => return End::Broken(DisconnectReason::StreamEnded),
            };
            // A lost delivery loses data of a connection that is over.
            let delivered = tokio::select! {
                biased;
                () = &mut trust_ended => return End::TrustEnded,
                delivered = self.deliver(TransportEvent::DataReceived(data)) => delivered,
            };
            if !delivered {
                return End::Local;
            }
        }
    }

    /// Queues an event; false if nobody wants it any more.
    async fn deliver(&self, event: TransportEvent) -> bool {
        tokio::select! {
            biased;
            sent = self.events.send(event) => sent.is_ok(),
            () = self.closing.cancelled() => false,
        }
    }

    async fn finish(&self, end: &End) {
        if matches!(end, End::Local | End::ServerClose(_)) {
            // Senders let go of the writer when `dead` is cancelled. A Close frame that does not
            // leave in time, or at all, is not missed by anybody.
            let farewell = async { self.writer.lock().await.close().await };
            match tokio::time::timeout(FAREWELL_LIMIT, farewell).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => tracing::debug!(error = %e, "the Close frame was not sent"),
                Err(_) => tracing::debug!("the Close frame was not sent in time"),
            }
        }
        if self.trust.holds() {
            self.socket.close();
        } else {
            self.socket.abort();
        }
    }
}

fn reason(error: &WsError) -> DisconnectReason {
    match error {
        // WhatsApp recycles connections without a Close frame, and without TLS's close_notify.
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            DisconnectReason::StreamEnded
        }
        WsError::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => DisconnectReason::StreamEnded,
        other => DisconnectReason::ReadError(other.to_string()),
    }
}
