//! What the worker tells about itself: named events and log lines, one envelope for both, human on a
//! terminal and JSON elsewhere, with personal data scrubbed before any sink sees it.

pub mod event;
mod format;
pub mod meters;
pub mod outlets;
pub mod scrub;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where the lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// `run`: the lines are the output.
    Stdout,
    /// Every other command: the lines are chatter beside the output.
    Stderr,
}

/// Installs the process's subscriber. `filter` is the text of `RUST_LOG`, when set.
///
/// # Errors
/// A filter that cannot be parsed, in words.
pub fn init(sink: Sink, filter: Option<&str>, default: &str) -> Result<(), String> {
    let filter = filter.unwrap_or(default);
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("RUST_LOG is {filter:?}: {error}. Try RUST_LOG=info"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer();
    match sink {
        Sink::Stdout => {
            let human = std::io::stdout().is_terminal();
            registry
                .with(
                    layer
                        .event_format(format::Lines { human })
                        .with_writer(std::io::stdout),
                )
                .init();
        }
        Sink::Stderr => {
            let human = std::io::stderr().is_terminal();
            registry
                .with(
                    layer
                        .event_format(format::Lines { human })
                        .with_writer(std::io::stderr),
                )
                .init();
        }
    }
    Ok(())
}

/// What is shown unless `RUST_LOG` says otherwise: our own lines, and of the libraries what is wrong.
pub const DEFAULT_FILTER: &str = "warn,whatsapp_worker=info,auth_store=info,simulator=warn";
