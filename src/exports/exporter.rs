//! One sink: what comes out of its queue goes to disk, what is on disk goes to the sink.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Target;
use super::answer::Answer;
use super::gather::Gatherer;
use super::spool::{Batch, Spool};
use crate::clock::Boot;
use crate::telemetry::meters;
use crate::telemetry::outlets::{Losses, Record};

/// How long things are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How old an event may become in memory.
    pub linger: Duration,
    /// After a sink failed for the first time in a row; twice as long after each further time.
    pub again: Duration,
    /// At most, and after a sink refused.
    pub seldom: Duration,
    /// Between two looks at what dead processes left, and two lines about what is lost.
    pub chores: Duration,
    /// For what is left when the process ends.
    pub flush: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(2),
            again: Duration::from_secs(1),
            seldom: Duration::from_mins(1),
            chores: Duration::from_mins(1),
            flush: Duration::from_secs(2),
        }
    }
}

/// The owner of one sink's spool.
pub(super) struct Exporter {
    target: Target,
    client: Client,
    spool: Arc<Mutex<Spool>>,
    losses: Losses,
    /// There is a batch.
    filled: Notify,
}

/// How the sink does.
struct Health {
    /// In a row.
    failures: u32,
    /// When a failure was told last.
    told: Boot,
    /// Whether one of this row was told.
    known: bool,
}

impl Exporter {
    pub(super) fn new(target: Target, client: Client, spool: Spool, losses: Losses) -> Self {
        Self {
            target,
            client,
            spool: Arc::new(Mutex::new(spool)),
            losses,
            filled: Notify::new(),
        }
    }

    /// Ends a little after the queue has ended.
    pub(super) async fn run(
        self,
        queue: mpsc::Receiver<Arc<Record>>,
        pace: Pace,
        stop: CancellationToken,
    ) {
        let ended = CancellationToken::new();
        let gathering = async {
            let mut gatherer = Gatherer::of(queue);
            while let Some(batch) = gatherer.next(pace.linger, &stop).await {
                self.on_disk(move |spool| spool.put(&batch)).await;
                self.filled.notify_one();
            }
            ended.cancel();
        };
        let sending = async {
            let late = async {
                ended.cancelled().await;
                tokio::time::sleep(pace.flush).await;
            };
            // A batch that is given up is on disk and goes again, under its id.
            tokio::select! {
                () = self.send(pace, &ended) => {}
                () = late => {}
            }
        };
        let chores = async {
            loop {
                // A pause holds nothing.
                tokio::select! {
                    () = ended.cancelled() => return,
                    () = tokio::time::sleep(pace.chores) => {}
                }
                self.losses.tell();
                self.on_disk(Spool::take_over).await;
                self.filled.notify_one();
            }
        };
        tokio::join!(gathering, sending, chores);
        self.on_disk(Spool::leave).await;
        self.losses.tell();
    }

    /// Sends what is spooled, oldest first, until the queue has ended and nothing is left or the sink
    /// does not take it.
    async fn send(&self, pace: Pace, ended: &CancellationToken) {
        let mut health = Health {
            failures: 0,
            told: Boot::NEVER,
            known: false,
        };
        loop {
            let Some(batch) = self.on_disk(Spool::oldest).await else {
                if ended.is_cancelled() {
                    return;
                }
                // A batch that was put in meanwhile has left its notice.
                tokio::select! {
                    () = self.filled.notified() => {}
                    () = ended.cancelled() => {}
                }
                continue;
            };
            let answer = match &self.target {
                Target::Axiom(axiom) => axiom.post(&self.client, &batch).await,
                Target::Hook(hook) => hook.post(&self.client, &batch).await,
                Target::Otlp(otlp) => otlp.post(&self.client, &batch).await,
            };
            if let Some(pause) = self.settle(answer, batch, pace, &mut health).await {
                // A pause holds nothing.
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = ended.cancelled() => return,
                }
            }
        }
    }

    /// Draws the consequences; how long to wait before the batch is tried again.
    async fn settle(
        &self,
        answer: Answer,
        batch: Batch,
        pace: Pace,
        health: &mut Health,
    ) -> Option<Duration> {
        let sink = self.target.name();
        let (pause, why) = match answer {
            Answer::Taken { refused, why } => {
                let (id, events) = (batch.id.clone(), batch.count());
                self.on_disk(move |spool| spool.done(&id)).await;
                meters::exported(sink, events.saturating_sub(refused));
                meters::sink_is_up(sink, true);
                self.losses.add(refused, &why);
                health.failures = 0;
                if std::mem::take(&mut health.known) {
                    info!(sink, "events are exported again");
                }
                return None;
            }
            Answer::Later { after, why } => {
                let doubled = pace.again.saturating_mul(1 << health.failures.min(10));
                // Workers that failed together do not come back together.
                let pause = doubled
                    .min(pace.seldom)
                    .mul_f64(0.75 + rand::random::<f64>() / 4.0);
                (after.unwrap_or(pause), why)
            }
            Answer::Refused { why } => (pace.seldom, why),
        };
        meters::sink_is_up(sink, false);
        health.failures = health.failures.saturating_add(1);
        if Boot::now().since(health.told) >= pace.seldom {
            health.told = Boot::now();
            health.known = true;
            warn!(
                sink,
                why, "events are not exported, they wait on disk, retrying..."
            );
        }
        Some(pause)
    }

    /// Uses the spool where it blocks nobody.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> T + Send + 'static,
    ) -> T {
        let spool = self.spool.clone();
        let working = tokio::task::spawn_blocking(move || {
            work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner))
        });
        working.await.expect("spools do not panic")
    }
}
