//! The kill switch: the TCP stream beneath TLS and WebSocket, which lets nothing out once the
//! account's [`Trust`] has ended.
//!
//! The check sits here, and not where messages are handed in, because the layers above hold
//! buffers: a message accepted while trusted may be written seconds later, when a full send window
//! opens. What can still leave after the end of trust is the one system call that was under way,
//! and what the kernel had already taken; [`Socket::abort`] discards the latter too.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::lease::trust::Trust;

/// Why a write was refused: the account's lease is no longer certain to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease is no longer trusted, so nothing may be sent")]
pub struct TrustEnded;

impl TrustEnded {
    /// Whether `error`, or what caused it, is this refusal.
    pub fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            // An io::Error does not offer what it wraps as its source.
            let wrapped = error
                .downcast_ref::<io::Error>()
                .and_then(|e| e.get_ref())
                .is_some_and(|inner| inner.is::<Self>());
            if wrapped || error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl From<TrustEnded> for io::Error {
    fn from(ended: TrustEnded) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, ended)
    }
}

/// How often a wait for the end of trust looks again. A revoked trust ends before its deadline
/// without telling anybody, and tokio's timers stand still while a machine sleeps; writes are
/// refused at once in either case, this only bounds how long an idle socket stays open.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Waits until trust has ended, however often it is extended meanwhile. Cancel safe.
pub async fn trust_ended(trust: &Trust) {
    while trust.holds() {
        // The clock has milliseconds: without the floor the last one would be a busy loop.
        let left = trust.deadline().remaining();
        tokio::time::sleep(left.clamp(Duration::from_millis(1), LOOK_AGAIN)).await;
    }
}

/// A handle on the TCP stream inside a [`Gate`], to end it from outside of the layers above.
#[derive(Clone, Debug)]
pub struct Socket(Arc<Mutex<Option<TcpStream>>>);

impl Socket {
    /// Ends the connection without writing: bytes that the kernel has not sent yet are discarded,
    /// and the peer sees a reset. Whoever waits on the gate is not woken; wake them first.
    pub fn abort(&self) {
        if let Some(stream) = self.lock().take() {
            // Without it the kernel would go on sending its buffer after the close. It fails only
            // on a socket that has no connection any more.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Ends the connection in order: the kernel still sends what it holds.
    pub fn close(&self) {
        drop(self.lock().take());
    }

    fn lock(&self) -> MutexGuard<'_, Option<TcpStream>> {
        // The stream stays usable whatever panicked while it was polled.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll<R>(
        &self,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        match self.lock().as_mut() {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

/// A TCP stream that carries bytes out only while `trust` holds.
#[derive(Debug)]
pub struct Gate {
    socket: Socket,
    trust: Trust,
}

impl Gate {
    /// Puts `stream` behind the gate.
    pub fn new(stream: TcpStream, trust: Trust) -> Self {
        Self {
            socket: Socket(Arc::new(Mutex::new(Some(stream)))),
            trust,
        }
    }

    /// A handle to end the stream with.
    pub fn socket(&self) -> Socket {
        self.socket.clone()
    }

    fn open(&self) -> io::Result<()> {
        if self.trust.holds() {
            Ok(())
        } else {
            Err(TrustEnded.into())
        }
    }
}

impl Drop for Gate {
    /// Layers that are dropped after the end of trust leave nothing behind to be sent either.
    fn drop(&mut self) {
        if !self.trust.holds() {
            self.socket.abort();
        }
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket.poll(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.open()?;
        self.socket.poll(|stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?;
        self.socket
            .poll(|stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open()?;
        self.socket.poll(|stream| stream.poll_flush(cx))
    }

    /// Sends what the kernel holds and then the end of the stream, so it is refused like a write.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open()?;
        self.socket.poll(|stream| stream.poll_shutdown(cx))
    }
}
