//! SIGTERM and SIGINT: the first asks everything to stop, the second ends the process at once.
//!
//! A stop is bounded by `SHUTDOWN_GRACE_MS` whatever hangs: the store, a hook, the runtime itself.
//! Therefore signals are heard, and the time is kept, by threads of their own.

use std::time::Duration;

use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a stop of the commands around the worker may take: longer than a worker's, which they may
/// be waiting for.
pub const TOOL_GRACE: Duration = Duration::from_secs(20);

/// Listens for signals as long as it lives.
#[derive(Debug)]
pub struct Shutdown {
    stop: CancellationToken,
    /// Ends the listening thread when it is closed.
    listener: Handle,
}

impl Shutdown {
    /// Starts to listen. `grace` after the first signal the process ends in any case.
    ///
    /// # Errors
    /// The system refuses signal handlers or threads.
    pub fn listen(grace: Duration) -> std::io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let listener = signals.handle();
        let stop = CancellationToken::new();
        let told = stop.clone();
        thread("signals", move || {
            for signal in signals.forever() {
                if told.is_cancelled() {
                    warn!(signal, "second signal: ending at once");
                    std::process::exit(128 + signal);
                }
                info!(signal, "[whatsapp] Shutting down...");
                told.cancel();
                if let Err(error) = thread("grace", move || end_after(grace)) {
                    warn!(%error, "nobody keeps the time of the stop");
                }
            }
        })?;
        Ok(Self { stop, listener })
    }

    /// Cancelled by the first signal.
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        self.listener.close();
    }
}

/// Not joined: it ends when its listener is closed, or with the process.
fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
}

/// What is not settled by then was not acknowledged: it comes again. Leases end by their TTL.
fn end_after(grace: Duration) {
    std::thread::sleep(grace);
    warn!("the grace period is over: ending with work in flight, which will come again");
    std::process::exit(0);
}
