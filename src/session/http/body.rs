//! The bridge between an asynchronous body and a blocking reader: a bounded queue of chunks.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::Response;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::HttpError;

/// Chunks of a stream that wait for the slower side.
pub(super) const CHUNKS_IN_FLIGHT: usize = 8;

const UPLOAD_CHUNK_BYTES: usize = 64 << 10;

/// The body of a streamed response. Dropping it ends the transfer.
#[derive(Debug)]
pub struct BodyReader {
    chunks: mpsc::Receiver<Result<Option<Bytes>, HttpError>>,
    current: Bytes,
    finished: bool,
    _task: AbortOnDropHandle<()>,
}

impl BodyReader {
    pub(super) fn new(
        chunks: mpsc::Receiver<Result<Option<Bytes>, HttpError>>,
        task: AbortOnDropHandle<()>,
    ) -> Self {
        Self {
            chunks,
            current: Bytes::new(),
            finished: false,
            _task: task,
        }
    }
}

impl Read for BodyReader {
    /// Blocks for the next chunk. After the end it goes on returning 0; after an error, which
    /// wraps an [`HttpError`], another one.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            if self.finished || buf.is_empty() {
                return Ok(0);
            }
            match self.chunks.blocking_recv() {
                Some(Ok(Some(chunk))) => self.current = chunk,
                Some(Ok(None)) => self.finished = true,
                Some(Err(e)) => return Err(io::Error::other(e)),
                // Without the end mark the body is not whole, whatever its reader could think.
                None => return Err(io::Error::other(HttpError::Abandoned)),
            }
        }
        let n = buf.len().min(self.current.len());
        self.current.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

/// Moves a response's body into the queue, with an end mark behind the last chunk.
pub(super) async fn pump(
    mut response: Response,
    chunks: mpsc::Sender<Result<Option<Bytes>, HttpError>>,
    limit: u64,
    idle_limit: Duration,
) {
    let mut received = 0;
    loop {
        let next = match tokio::time::timeout(idle_limit, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                received += chunk.len() as u64;
                if received > limit {
                    Err(HttpError::TooLarge { limit })
                } else {
                    Ok(Some(chunk))
                }
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(e)) => Err(e.into()),
            Err(_) => Err(HttpError::TimedOut),
        };
        let last = !matches!(next, Ok(Some(_)));
        if chunks.send(next).await.is_err() || last {
            return;
        }
    }
}

/// Moves `length` bytes from a blocking reader into the queue. Stops early, without an error, when
/// the exchange is over already: its outcome is then known elsewhere.
pub(super) fn feed(
    mut source: impl Read,
    length: u64,
    chunks: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let mut missing = length;
    let mut buffer = vec![0; UPLOAD_CHUNK_BYTES];
    while missing > 0 {
        let n = match source.read(&mut buffer) {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the body ended {missing} bytes early"),
            )),
            Ok(n) => Ok(n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => Err(e),
        };
        let n = match n {
            Ok(n) => n,
            Err(e) => {
                // So that the server sees a broken request, never a short one that looks whole.
                let _ = chunks.blocking_send(Err(e.kind().into()));
                return Err(e);
            }
        };
        missing -= n as u64;
        if chunks
            .blocking_send(Ok(Bytes::copy_from_slice(&buffer[..n])))
            .is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}
