//! Frames and stanzas on a WebSocket.
//!
//! A frame is a 3-byte big-endian length and that many bytes; frames may be split over or share
//! WebSocket messages. The client's first bytes are the prologue `57 41 06 03`, optionally behind a
//! routing intro `ED 00 01`, a 3-byte length and that many bytes, which no transcript includes.
//! After the handshake each frame is one sealed stanza, numbered from zero in either direction.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_binary::{Node, OwnedNodeRef};
use wacore_noise::NoiseCipher;
use wacore_noise::framing::{FrameDecoder, encode_frame};

const ROUTING_INTRO: [u8; 4] = [b'E', b'D', 0, 1];
const ROUTING_HEAD: usize = ROUTING_INTRO.len() + 3;

/// Why a connection's byte stream cannot go on.
#[derive(Debug, Error)]
pub(crate) enum FrameError {
    #[error("the connection failed: {0}")]
    Io(#[from] Box<tungstenite::Error>),
    #[error("the first bytes are no WhatsApp prologue")]
    Prologue,
    #[error("a frame could not be opened or sealed: {0}")]
    Cipher(#[from] wacore_noise::NoiseError),
    #[error("a stanza is malformed: {0}")]
    Stanza(#[from] wacore_binary::BinaryError),
    #[error("a frame is larger than its length field can say")]
    TooLarge,
    #[error("the stanza counter is exhausted")]
    CounterExhausted,
}

impl From<tungstenite::Error> for FrameError {
    fn from(error: tungstenite::Error) -> Self {
        Self::Io(Box::new(error))
    }
}

/// Reads frames.
pub(crate) struct FrameReader {
    stream: SplitStream<WebSocketStream<TcpStream>>,
    decoder: FrameDecoder,
    prologue: Option<BytesMut>,
}

impl FrameReader {
    pub(crate) fn new(stream: SplitStream<WebSocketStream<TcpStream>>) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(),
            prologue: Some(BytesMut::new()),
        }
    }

    /// The next frame, or `None` when the client closed the connection. Cancel safe.
    ///
    /// # Errors
    /// The connection failed, or its first bytes are not a client's.
    pub(crate) async fn next(&mut self) -> Result<Option<BytesMut>, FrameError> {
        loop {
            if let Some(frame) = self.decoder.decode_frame() {
                return Ok(Some(frame));
            }
            match self.stream.next().await {
                None | Some(Ok(Message::Close(_))) => return Ok(None),
                Some(Ok(Message::Binary(bytes))) => self.feed(&bytes)?,
                Some(Ok(_)) => {}
                Some(Err(
                    tungstenite::Error::ConnectionClosed
                    | tungstenite::Error::AlreadyClosed
                    | tungstenite::Error::Protocol(_)
                    | tungstenite::Error::Io(_),
                )) => return Ok(None),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        let Some(head) = self.prologue.as_mut() else {
            self.decoder.feed(bytes);
            return Ok(());
        };
        head.extend_from_slice(bytes);
        if head.starts_with(&ROUTING_INTRO[..head.len().min(ROUTING_INTRO.len())]) {
            if head.len() < ROUTING_HEAD {
                return Ok(());
            }
            let routing =
                usize::from(head[4]) << 16 | usize::from(head[5]) << 8 | usize::from(head[6]);
            if head.len() < ROUTING_HEAD + routing {
                return Ok(());
            }
            head.advance(ROUTING_HEAD + routing);
        }
        if head.len() < WA_CONN_HEADER.len() {
            return Ok(());
        }
        if !head.starts_with(&WA_CONN_HEADER) {
            return Err(FrameError::Prologue);
        }
        head.advance(WA_CONN_HEADER.len());
        let rest = self.prologue.take().unwrap_or_default();
        self.decoder.feed(&rest);
        Ok(())
    }
}

/// Writes frames, each in a WebSocket message of its own.
pub(crate) struct FrameWriter {
    sink: SplitSink<WebSocketStream<TcpStream>, Message>,
}

impl FrameWriter {
    pub(crate) fn new(sink: SplitSink<WebSocketStream<TcpStream>, Message>) -> Self {
        Self { sink }
    }

    /// Writes one frame and flushes it. Not cancel safe.
    ///
    /// # Errors
    /// The connection failed or the payload exceeds 16 MiB.
    pub(crate) async fn send(&mut self, payload: &[u8]) -> Result<(), FrameError> {
        self.feed(payload).await?;
        self.flush().await
    }

    async fn feed(&mut self, payload: &[u8]) -> Result<(), FrameError> {
        let frame = encode_frame(payload, None).map_err(|_| FrameError::TooLarge)?;
        Ok(self.sink.feed(Message::Binary(Bytes::from(frame))).await?)
    }

    async fn flush(&mut self) -> Result<(), FrameError> {
        Ok(self.sink.flush().await?)
    }
}

/// Reads stanzas after the handshake.
pub(crate) struct StanzaReader {
    frames: FrameReader,
    open: NoiseCipher,
    counter: u32,
}

impl StanzaReader {
    pub(crate) fn new(frames: FrameReader, open: NoiseCipher) -> Self {
        Self {
            frames,
            open,
            counter: 0,
        }
    }

    /// The next stanza, or `None` when the client closed the connection. Cancel safe.
    ///
    /// # Errors
    /// The connection failed, or the client sent something that is no sealed stanza.
    pub(crate) async fn next(&mut self) -> Result<Option<Node>, FrameError> {
        let Some(mut frame) = self.frames.next().await? else {
            return Ok(None);
        };
        self.open
            .decrypt_in_place_with_counter(self.counter, &mut frame)?;
        self.counter = step(self.counter)?;
        let stanza = OwnedNodeRef::new(wacore_binary::util::unpack_bytes(frame)?)?;
        Ok(Some(stanza.to_owned_node()))
    }
}

/// Writes stanzas after the handshake.
pub(crate) struct StanzaWriter {
    frames: FrameWriter,
    seal: NoiseCipher,
    counter: u32,
}

impl StanzaWriter {
    pub(crate) fn new(frames: FrameWriter, seal: NoiseCipher) -> Self {
        Self {
            frames,
            seal,
            counter: 0,
        }
    }

    /// Queues one stanza for writing; [`Self::flush`] sends it. Not cancel safe.
    ///
    /// # Errors
    /// The connection failed, or the stanza cannot be encoded.
    pub(crate) async fn feed(&mut self, stanza: &Node) -> Result<(), FrameError> {
        self.feed_bytes(wacore_binary::marshal_auto(stanza)?).await
    }

    /// Queues bytes in a stanza's place: how a fault sends what no client can decode.
    ///
    /// # Errors
    /// The connection failed.
    pub(crate) async fn feed_bytes(&mut self, mut bytes: Vec<u8>) -> Result<(), FrameError> {
        self.seal
            .encrypt_in_place_with_counter(self.counter, &mut bytes)?;
        self.counter = step(self.counter)?;
        self.frames.feed(&bytes).await
    }

    /// Sends what was queued. Cancel safe.
    ///
    /// # Errors
    /// The connection failed.
    pub(crate) async fn flush(&mut self) -> Result<(), FrameError> {
        self.frames.flush().await
    }

    /// Says goodbye on the WebSocket; failures no longer matter.
    pub(crate) async fn close(mut self) {
        if let Err(error) = self.frames.sink.close().await {
            tracing::trace!(%error, "the client was gone before the close frame");
        }
    }
}

fn step(counter: u32) -> Result<u32, FrameError> {
    counter.checked_add(1).ok_or(FrameError::CounterExhausted)
}
