//! Events that leave the process: to Axiom, to a webhook, as traces, into the store.
//!
//! The named events alone, in the envelope of the log: the log's other lines are for who debugs one
//! process, and have no form that a query could rely on. [`emit`] puts each event into a queue for each
//! sink and never waits; one task for each sink, owned by [`Exports`], does the rest.
//!
//! ```text
//! emit ─▶ queue ─▶ gather: 1,000 events, 1 MiB, 2 s ─▶ spool: a file a batch ─▶ sink ─▶ file removed
//!          full: lost, counted                          full: oldest lost, counted
//! ```
//!
//! - A batch is on disk before it is sent, so a sink that is slow, down or refusing holds up nothing, and
//!   neither does a process that is killed lose what it gathered: the next process of this directory takes
//!   its [`Spool`] over. Killed, it loses the two seconds in its queue; a power cut may take a few more.
//! - Batches leave in order, one at a time, each until it is taken. A batch whose answer is lost is sent
//!   again: at least once, with the same id, and each event has an id of its own.
//! - What is lost is counted (`wa_events_dropped_total`) and told once a minute.
//! - The store keeps events for `events tail`. It has no spool: what it does not take in time is lost,
//!   and counted.
//!
//! [`emit`]: crate::telemetry::event::emit
//! [`Spool`]: spool::Spool

mod answer;
mod axiom;
mod exporter;
mod gather;
mod hook;
mod keeping;
mod otlp;
pub mod spool;

use std::path::PathBuf;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::exporter::Exporter;
use self::spool::Spool;
use crate::ids::OwnerId;
use crate::store::Store;
use crate::telemetry::outlets::{Losses, Outlet, Record};

pub use self::axiom::Axiom;
pub use self::exporter::Pace;
pub use self::hook::Hook;
pub use self::otlp::Otlp;

/// A sink that is asked over HTTP.
#[derive(Clone, Debug)]
pub enum Target {
    /// A dataset of Axiom.
    Axiom(Axiom),
    /// Somebody's URL.
    Hook(Hook),
    /// A receiver of traces.
    Otlp(Otlp),
}

impl Target {
    /// As folders, metrics and lines name it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Axiom(_) => "axiom",
            Self::Hook(_) => "webhook",
            Self::Otlp(_) => "otlp",
        }
    }

    /// Which events it is for.
    fn wanted(&self) -> fn(&Record) -> bool {
        match self {
            Self::Axiom(_) | Self::Hook(_) => |_| true,
            Self::Otlp(_) => Otlp::wants,
        }
    }
}

/// Where what waits lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolPlace {
    /// Below it is a folder for each sink.
    pub dir: PathBuf,
    /// Of each sink and process.
    pub max_bytes: u64,
}

/// What is exported to where.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Sinks over HTTP.
    pub targets: Vec<Target>,
    /// For what they do not take at once.
    pub spool: SpoolPlace,
    /// How long they are waited for.
    pub pace: Pace,
}

/// Why events cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The directory.
    #[error(
        "EVENTS_SPOOL_DIR: {dir} cannot be used for events that wait: {source}; name a directory on a local disk that this process may write", dir = .dir.display()
    )]
    Spool {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("events cannot be exported: {0}")]
    Tls(#[from] reqwest::Error),
}

/// Everything that exports the events of this process. Dropped, it ends at once; what is spooled stays.
#[derive(Debug, Default)]
pub struct Exports {
    tasks: JoinSet<()>,
    /// The process is about to end: what is told goes to disk at once.
    hurry: CancellationToken,
}

impl Exports {
    /// Opens spools and queues and starts a task for each sink, as `owner`; what is put into the queues is
    /// exported. `tls` says which servers are believed. Blocks for a moment.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn start(
        options: &ExportOptions,
        owner: &OwnerId,
        tls: ClientConfig,
    ) -> Result<(Self, Vec<Outlet>), ExportError> {
        let client = crate::webhooks::post::client(tls)?;
        let mut exports = Self::default();
        let mut open = Vec::new();
        for target in &options.targets {
            let losses = Losses::of(target.name());
            let spool = Spool::open(&options.spool, target.name(), owner, losses.clone());
            let spool = spool.map_err(|source| ExportError::Spool {
                dir: options.spool.dir.clone(),
                source,
            })?;
            let (outlet, queue) = Outlet::new(losses.clone(), target.wanted());
            let exporter = Exporter::new(target.clone(), client.clone(), spool, losses);
            let running = exporter.run(queue, options.pace, exports.hurry.clone());
            exports.tasks.spawn(running);
            open.push(outlet);
        }
        Ok((exports, open))
    }

    /// Also keeps events in `store`, for `events tail`: what is put into the queue.
    pub fn keep_in(&mut self, store: Store, pace: Pace) -> Outlet {
        let losses = Losses::of(keeping::SINK);
        let (outlet, queue) = Outlet::new(losses.clone(), |_| true);
        let keeping = keeping::run(store, queue, losses, pace, self.hurry.clone());
        self.tasks.spawn(keeping);
        outlet
    }

    /// The process is about to end, and may be ended before [`Exports::finish`]: from now on events are
    /// on disk a moment after they are told.
    pub fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Waits until what is in the queues, whose outlets are all gone, is with its sink or on disk; at most
    /// for the pace's `flush`. Not cancel safe: what is not on disk then is lost.
    pub async fn finish(mut self) {
        self.hurry();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                warn!(%error, "an exporter of events failed");
            }
        }
    }
}

/// How long one post may take.
const ANSWER: Duration = Duration::from_secs(10);
