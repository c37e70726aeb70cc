//! What a service manager such as systemd is told, by the protocol of `sd_notify(3)`: `READY=1` when
//! the worker serves, `WATCHDOG=1` while it turns, `STOPPING=1` when it begins to stop.
//!
//! The sign of life comes from the task that drives the worker, not from a thread of its own: a
//! manager that restarts a process which no longer sends it restarts one that is stuck. It says nothing
//! of store or WhatsApp: a restart would mend neither.
//!
//! Without `NOTIFY_SOCKET` nothing is sent. A manager that does not listen is passed over.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Of the time after which the manager loses patience, how much passes between two signs of life.
const SHARE: u32 = 3;

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    every: Option<Duration>,
}

impl Manager {
    /// The one that the environment names (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub fn of_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            socket(&name.into_vec())
                .inspect_err(|error| debug!(%error, "NOTIFY_SOCKET cannot be used"))
                .ok()
        });
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let patience = number("WATCHDOG_USEC").filter(|&usec| ours && usec > 0);
        Self {
            socket,
            every: patience.map(|usec| Duration::from_micros(usec) / SHARE),
        }
    }

    /// Says that the worker serves; then gives signs of life, also while it stops. Never ends: race it
    /// with the work, in the work's own task. Cancel safe.
    pub async fn keep_told(&self, stop: &CancellationToken) {
        self.tell("READY=1");
        tokio::join!(self.give_signs_of_life(), async {
            stop.cancelled().await;
            self.tell("STOPPING=1");
            std::future::pending::<()>().await;
        });
    }

    async fn give_signs_of_life(&self) {
        let Some(every) = self.every else { return };
        loop {
            self.tell("WATCHDOG=1");
            tokio::time::sleep(every).await;
        }
    }

    fn tell(&self, message: &str) {
        if let Some((socket, manager)) = &self.socket
            && let Err(error) = socket.send_to_addr(message.as_bytes(), manager)
        {
            debug!(%error, message, "the service manager does not listen");
        }
    }
}

/// A path, or behind `@` a name in the abstract namespace.
fn socket(name: &[u8]) -> io::Result<(UnixDatagram, SocketAddr)> {
    let manager = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that is stuck must not hold us up.
    socket.set_nonblocking(true)?;
    Ok((socket, manager))
}
