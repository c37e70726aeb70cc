//! Waking those who wait for the store to change, instead of letting them ask all the time.
//!
//! A wake-up says only that it is worth looking: it may come for nothing, several may become one, and
//! nothing is decided by it. A commit of this process wakes its own watchers at once. Of other
//! processes it is heard by LISTEN on PostgreSQL, and while that does not work, every [`FALLBACK`]. On
//! SQLite every commit of another connection to the file is seen within [`GLANCE`]; whether it concerned
//! the fleet, a counter tells, so that messages do not set all workers to planning. One connection of a
//! process watches, however many wait.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::connections::{Connections, Tx, bounded};
use super::{Engine, Place, PostgresUrl, Result, Store, StoreError, sqlite};

/// What workers listen on.
const CHANNEL: &str = "whatsapp_worker";

/// How often those who cannot hear look by themselves.
const FALLBACK: Duration = Duration::from_secs(1);

/// How often SQLite is asked whether anything was committed: it reads one number in shared memory.
const GLANCE: Duration = Duration::from_millis(150);

/// A connection that was silent for so long is asked whether it still lives.
const SILENCE: Duration = Duration::from_secs(3);

/// How long connecting, and the answer to that question, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Accounts, leases, workers, orders.
    Fleet,
    /// Work for agents.
    Jobs,
    /// Work for the holders of leases: messages to send, hints.
    Outbox,
}

impl Topic {
    const ALL: [Self; 3] = [Self::Fleet, Self::Jobs, Self::Outbox];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Jobs => "jobs",
            Self::Outbox => "outbox",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Tells when something of its topic may have changed.
#[derive(Debug)]
pub struct Changes {
    stirred: watch::Receiver<()>,
    /// The store may be dropped before those who wait for it.
    _exchange: Arc<Exchange>,
}

impl Changes {
    /// Waits until something may have changed since the last call, or since the watching began: look
    /// first, then wait. Cancel safe: what was not told is told to the next call.
    pub async fn next(&mut self) {
        if self.stirred.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

type Bells = Arc<[watch::Sender<()>; 3]>;

/// Where a process hears of commits and tells of its own.
#[derive(Debug)]
pub(super) struct Exchange {
    place: Arc<Place>,
    bells: Bells,
    watcher: OnceLock<AbortOnDropHandle<()>>,
    /// Made for each open store: its own notifications come back to it, and say nothing new.
    name: String,
    teller: OnceLock<AbortOnDropHandle<()>>,
    news: Arc<News>,
}

/// Topics that other processes are not told of yet.
#[derive(Debug, Default)]
struct News {
    untold: AtomicU8,
    come: Notify,
    /// Held while they are told.
    telling: Mutex<()>,
}

impl Exchange {
    pub(super) fn new(place: Arc<Place>) -> Arc<Self> {
        Arc::new(Self {
            place,
            bells: Arc::default(),
            watcher: OnceLock::new(),
            name: uuid::Uuid::new_v4().simple().to_string(),
            teller: OnceLock::new(),
            news: Arc::default(),
        })
    }

    fn ring(&self, topic: Topic) {
        self.bells[topic as usize].send_replace(());
    }

    fn watch(self: &Arc<Self>, topic: Topic) -> Changes {
        self.watcher.get_or_init(|| {
            let (place, bells, name) = (self.place.clone(), self.bells.clone(), self.name.clone());
            AbortOnDropHandle::new(tokio::spawn(keep_watching(place, bells, name)))
        });
        Changes {
            stirred: self.bells[topic as usize].subscribe(),
            _exchange: self.clone(),
        }
    }

    /// Has other processes told of `topic` soon.
    fn announce(&self, topic: Topic, through: &Connections) {
        self.news.untold.fetch_or(topic.bit(), Ordering::AcqRel);
        self.news.come.notify_one();
        self.teller.get_or_init(|| {
            let (news, name, through) = (self.news.clone(), self.name.clone(), through.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    news.come.notified().await;
                    news.tell(&name, &through).await;
                }
            }))
        });
    }
}

impl News {
    /// Tells other processes what they were not told; when it returns, they were.
    async fn tell(&self, from: &str, through: &Connections) {
        let _turn = self.telling.lock().await;
        let untold = self.untold.swap(0, Ordering::AcqRel);
        for topic in Topic::ALL {
            if untold & topic.bit() == 0 {
                continue;
            }
            // Outside any other transaction: at commit, a notification waits for all others' commits.
            let notify = sqlx::query("SELECT pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(format!("{} {from}", topic.as_str()));
            if let Err(error) = notify.execute(through).await {
                debug!(%error, "the store did not pass a notification on");
            }
        }
    }
}

impl Store {
    /// Watches for changes of `topic` from now on. It must be called within a tokio runtime.
    pub fn watch(&self, topic: Topic) -> Changes {
        self.exchange.watch(topic)
    }

    /// Commits what those who watch `topic` should see, and wakes them. Other processes are told
    /// before it returns: whoever ends the process next has told them. Best effort: who is not woken
    /// looks by itself in time. Without a topic it is only a commit.
    pub(super) async fn commit_telling(&self, mut tx: Tx, topic: Option<Topic>) -> Result<()> {
        let Some(topic) = topic else {
            return tx.commit().await;
        };
        tx.stir(topic).await?;
        tx.commit().await?;
        self.exchange.ring(topic);
        if self.engine() == Engine::Postgres {
            let news = &self.exchange.news;
            news.untold.fetch_or(topic.bit(), Ordering::AcqRel);
            news.tell(&self.exchange.name, &self.leases).await;
        }
        Ok(())
    }

    /// Wakes those who watch `topic` after a commit, other processes without waiting for it: what
    /// happens often is told together. Not of [`Topic::Fleet`], which is counted in the transaction.
    pub(super) fn tell(&self, topic: Topic) {
        self.exchange.ring(topic);
        if self.engine() == Engine::Postgres {
            self.exchange.announce(topic, &self.leases);
        }
    }

    /// Tells what was not told yet.
    pub(super) async fn tell_the_rest(&self) {
        if self.exchange.news.untold.load(Ordering::Acquire) != 0 {
            let exchange = &self.exchange;
            exchange.news.tell(&exchange.name, &self.leases).await;
        }
    }
}

impl Tx {
    /// Counts what concerns `topic`, for processes that only see that something was committed.
    async fn stir(&mut self, topic: Topic) -> Result<()> {
        if self.engine() == Engine::Sqlite && topic == Topic::Fleet {
            sqlx::query("UPDATE stirs SET seq = seq + 1 WHERE topic = 'fleet'")
                .execute(self)
                .await?;
        }
        Ok(())
    }
}

async fn keep_watching(place: Arc<Place>, bells: Bells, name: String) {
    loop {
        let Err(error) = match &*place {
            Place::Sqlite(path) => glance(path, &bells).await,
            Place::Postgres(url) => listen(url, &bells, &name).await,
        };
        debug!(%error, "the store's changes cannot be seen, retrying...");
        ring_all(&bells);
        tokio::time::sleep(FALLBACK).await;
    }
}

fn ring_all(bells: &Bells) {
    for bell in bells.iter() {
        bell.send_replace(());
    }
}

/// Returns only when it cannot see any more.
async fn glance(path: &Path, bells: &Bells) -> Result<std::convert::Infallible> {
    let mut connection = sqlite::connect(path, FALLBACK).await?;
    let (mut version_before, mut fleet_before) = (None, None);
    loop {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut connection)
            .await?;
        if version_before.replace(version) != Some(version) {
            let fleet: i64 = sqlx::query_scalar("SELECT seq FROM stirs WHERE topic = 'fleet'")
                .fetch_one(&mut connection)
                .await?;
            if fleet_before.replace(fleet) != Some(fleet) {
                bells[Topic::Fleet as usize].send_replace(());
            }
            bells[Topic::Jobs as usize].send_replace(());
            bells[Topic::Outbox as usize].send_replace(());
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Returns only when it cannot hear any more.
async fn listen(url: &PostgresUrl, bells: &Bells, name: &str) -> Result<std::convert::Infallible> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(url.options());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    bounded(Some(PATIENCE), listener.listen(CHANNEL)).await?;
    // What happened before this connection heard is not told.
    ring_all(bells);
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(told))) => hear(told.payload(), bells, name),
            Ok(Ok(None)) => return Err(StoreError::Unavailable(connection_lost())),
            Ok(Err(error)) => return Err(error.into()),
            Err(_silent) => {
                bounded(Some(PATIENCE), listener.execute("SELECT 1")).await?;
            }
        }
    }
}

fn hear(payload: &str, bells: &Bells, name: &str) {
    let (topic, from) = payload.split_once(' ').unwrap_or((payload, ""));
    if from == name {
        return;
    }
    // Workers of earlier releases tell of the fleet alone, and without a word.
    let topic = Topic::ALL.into_iter().find(|known| known.as_str() == topic);
    bells[topic.unwrap_or(Topic::Fleet) as usize].send_replace(());
}

fn connection_lost() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into())
}
