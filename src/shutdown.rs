//! SIGTERM and SIGINT: the first asks everything to stop, the second ends the process at once.

use futures_util::StreamExt;
use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// Listens for signals as long as it lives.
#[derive(Debug)]
pub struct Shutdown {
    stop: CancellationToken,
    _listener: AbortOnDropHandle<()>,
}

impl Shutdown {
    /// Starts to listen.
    ///
    /// # Errors
    /// The system refuses signal handlers.
    pub fn listen() -> std::io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let stop = CancellationToken::new();
        let told = stop.clone();
        let listener = tokio::spawn(async move {
            while let Some(signal) = signals.next().await {
                if told.is_cancelled() {
                    warn!(signal, "second signal: ending at once");
                    std::process::exit(128 + signal);
                }
                info!(signal, "[whatsapp] Shutting down...");
                told.cancel();
            }
        });
        Ok(Self {
            stop,
            _listener: AbortOnDropHandle::new(listener),
        })
    }

    /// Cancelled by the first signal.
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }
}
