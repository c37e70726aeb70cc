//! The WebSocket upgrade and the Noise handshake.

use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::ConnectionError;
use crate::server::Server;
use crate::server::frames::{FrameReader, FrameWriter};
use crate::server::noise::{Answer, Established, answer_hello};

/// A client after the handshake.
pub(super) struct Arrival {
    /// What it calls itself.
    pub(super) name: Option<String>,
    pub(super) frames: FrameReader,
    pub(super) sink: FrameWriter,
    pub(super) session: Established,
}

fn name_of(request: &Request, name: &mut Option<String>) {
    let query = request.uri().query().unwrap_or_default();
    *name = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("client="))
        .map(str::to_owned);
}

/// Takes a client in.
pub(super) async fn shake_hands(
    server: &Server,
    stream: TcpStream,
) -> Result<Arrival, ConnectionError> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small packets may be delayed");
    }
    let mut name = None;
    #[expect(
        clippy::result_large_err,
        reason = "the type is the library's, and the callback never fails"
    )]
    let read_name = |request: &Request, response: Response| {
        name_of(request, &mut name);
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, read_name)
        .await
        .map_err(Box::new)?;
    let (sink, source) = socket.split();
    let mut frames = FrameReader::new(source);
    let mut sink = FrameWriter::new(sink);
    let hello = frames.next().await?.ok_or(ConnectionError::Left)?;
    let refuse_ik = server.faults.current().refuse_ik;
    let session = match answer_hello(&server.identity, &hello, refuse_ik)? {
        Answer::Established { reply, session } => {
            sink.send(&reply).await?;
            *session
        }
        Answer::Await { reply, finish } => {
            sink.send(&reply).await?;
            let message = frames.next().await?.ok_or(ConnectionError::Left)?;
            finish.complete(&message)?
        }
    };
    Ok(Arrival {
        name,
        frames,
        sink,
        session,
    })
}
