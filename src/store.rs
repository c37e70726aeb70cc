//! The shared store: the only door for writes that other processes must see.
//!
//! One transaction for each business fact, named after it ([`Store::accept_inbound`],
//! [`Store::acquire_lease`]). Everything that belongs to an account is written under a [`Fence`],
//! which the transaction checks first: a worker that lost its lease finds no row and changes nothing.
//!
//! Two engines, one text of SQL. `{NOW}` in it stands for the engine's clock, and a lock clause in
//! braces is said to PostgreSQL alone. Lease statements have connections of their own, so that a
//! heartbeat never queues behind messages.
//!
//! - SQLite: WAL, `synchronous=FULL` (a commit that a power cut takes back would roll back a ratchet
//!   that WhatsApp has already seen move), one writer, every write `BEGIN IMMEDIATE`.
//! - PostgreSQL: READ COMMITTED. The fence's row lock orders a protected write against a takeover, a
//!   mutex in the [`Fence`] orders the writes of one holder, time-outs end the transaction of a frozen
//!   one. Each statement is answered or given up within a few seconds.
//!
//! Failures: [`StoreError::Fenced`] means step down; [`StoreError::Unavailable`] means try again
//! while trusted, and never "the store is empty".

mod accounts;
mod audit;
mod auth;
mod backfill;
mod census;
mod changes;
mod columns;
mod connections;
mod contacts;
mod controls;
mod conversations;
mod counterpart;
mod error;
mod events;
mod fence;
mod hints;
mod inbound;
mod jobs;
mod lease;
mod link;
mod missing;
mod outbox;
mod overview;
mod page;
mod place;
mod postgres;
mod retention;
mod said;
mod schema;
mod sqlite;
mod tickets;
mod uploads;
mod webhooks;
mod workers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;

use self::changes::Exchange;
use self::columns::stored;
use self::connections::{Connections, Tx};
use self::sqlite::FileIdentity;

pub use accounts::{Account, AuthMedium};
pub use audit::{AuditLine, AuditRow};
pub use auth::{AskedOrder, AuthMark, AuthOrder, AuthView, RemoteMedium};
pub use census::{Census, Lookout};
pub use changes::{Changes, Topic};
pub use contacts::{Contact, Looked, Lookup, Met};
pub use controls::Controls;
pub use conversations::Conversation;
pub use counterpart::Counterpart;
pub use error::StoreError;
pub use events::{EventFilter, NewEvent, StoredEvent};
pub use fence::Fence;
pub use hints::{Hint, ReadMessage, Showing, Shown};
pub use inbound::{Accepted, Arrival};
pub use jobs::{
    Claim, ClaimRequest, Completed, Completion, DeadFilter, Expired, Failed, Failure, Job,
    JobDetail, JobFilter, JobSelection, JobStatus, Outcome, Outlook, QueueDepth, Retries, Work,
};
pub use lease::{AcquireLease, LeaseRow};
pub use link::{LinkCode, LinkCodeKind, LinkWish, SessionStatus};
pub use missing::{Ledger, MissingMessage, MissingNote};
pub use outbox::{
    Attempt, Cancelled, ChatAddress, Claimed, Cursor, Dispatch, Enqueued, Origin, OutboxDepth,
    OutboxDetail, OutboxFilter, OutboxRow, Proof, Proven, Recovered, Request, Retried, Settled,
    Talk, Turn,
};
pub use page::{Page, PageCursor};
pub use place::{Place, PostgresUrl, shown};
pub use retention::{Retention, Sweep, Swept};
pub use said::Said;
pub use uploads::{Upload, UploadWriter};
pub use webhooks::StoredWebhook;
pub use workers::{Registration, WorkerRow};

type Result<T> = std::result::Result<T, StoreError>;

/// What a store runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// A file, for the processes of one machine.
    Sqlite,
    /// A server, for processes of several machines.
    Postgres,
}

impl Engine {
    /// `text` in this engine's dialect.
    fn sql(self, text: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(match self {
            Self::Sqlite => text
                .replace("{NOW}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)")
                .replace("{FOR UPDATE}", "")
                .replace("{FOR UPDATE SKIP LOCKED}", "")
                .replace("{FOR KEY SHARE}", ""),
            // Not now(), which is when the transaction began: it may have waited for a lock since.
            Self::Postgres => text
                .replace(
                    "{NOW}",
                    "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT",
                )
                .replace("{FOR UPDATE}", "FOR UPDATE")
                .replace("{FOR UPDATE SKIP LOCKED}", "FOR UPDATE SKIP LOCKED")
                .replace("{FOR KEY SHARE}", "FOR KEY SHARE"),
        })
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// How a store is used.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// On SQLite, how long a statement waits for another process's transaction.
    pub busy: Duration,
    /// Use a PostgreSQL server that may lose commits when it or its machine fails.
    pub allow_async_commit: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            busy: Duration::from_secs(5),
            allow_async_commit: false,
        }
    }
}

/// A handle to the shared store. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    place: Arc<Place>,
    /// The file that was opened, which must stay the one at its path.
    file: Option<FileIdentity>,
    store_id: String,
    writer: Connections,
    leases: Connections,
    /// For what must not queue behind a thousand acquisitions or releases either.
    beats: Connections,
    readers: Connections,
    exchange: Arc<Exchange>,
}

impl Store {
    /// Opens the store at `url` (`sqlite:PATH` or `postgres://…`), migrating it when needed. An
    /// SQLite file is made when there is none; a PostgreSQL database must exist.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] for a URL, directory, file system, server or schema that cannot
    /// serve, with the cure in its text; [`StoreError::Unavailable`] when it may work later.
    pub async fn open(url: &str, options: StoreOptions) -> Result<Self> {
        let place = Place::parse(url)?;
        if let Place::Sqlite(path) = &place {
            sqlite::make_directory(path)?;
        }
        Self::open_place(&place, options).await
    }

    /// Opens the store at `url` if there is one: for commands that only look, which must not make an
    /// empty store where a path is misspelt.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::Unusable`] when there is no store.
    pub async fn open_existing(url: &str, options: StoreOptions) -> Result<Self> {
        let place = Place::parse(url)?;
        if let Place::Sqlite(path) = &place
            && !path.exists()
        {
            return Err(StoreError::Unusable(format!(
                "there is no store at {}: STORE_URL is {url:?}, and a worker makes the store when it first runs",
                path.display()
            )));
        }
        Self::open_place(&place, options).await
    }

    async fn open_place(place: &Place, options: StoreOptions) -> Result<Self> {
        // Whoever was first has installed the same ones.
        sqlx::any::install_default_drivers();
        match place {
            Place::Sqlite(path) => sqlite::open(path, options).await,
            Place::Postgres(url) => postgres::open(url, options).await,
        }
    }

    /// Identifies this store for good, wherever its data is moved to.
    pub fn store_id(&self) -> &str {
        &self.store_id
    }

    /// Where it is, for people: without a password.
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// The file behind it, when it is one.
    pub fn file(&self) -> Option<&Path> {
        match &*self.place {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }

    /// What it runs on.
    pub fn engine(&self) -> Engine {
        match &*self.place {
            Place::Sqlite(_) => Engine::Sqlite,
            Place::Postgres(_) => Engine::Postgres,
        }
    }

    /// Closes all connections after their current statement. Not cancel safe: await it to the end.
    pub async fn close(&self) {
        self.tell_the_rest().await;
        self.readers.close().await;
        self.beats.close().await;
        self.leases.close().await;
        self.writer.close().await;
    }

    /// The store's clock, in milliseconds: for telling people how old something is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn now_ms(&self) -> Result<i64> {
        let now = self.sql("SELECT {NOW}");
        Ok(sqlx::query_scalar(now).fetch_one(&self.readers).await?)
    }

    fn sql(&self, text: &str) -> AssertSqlSafe<String> {
        self.engine().sql(text)
    }

    /// Whether the file that is open is still the one at the path. What is committed to a file that
    /// was deleted or replaced is lost, however well the commits go.
    fn is_still_there(&self) -> Result<()> {
        match (self.file, self.file()) {
            (Some(opened), Some(path)) => opened.assert_is_at(path),
            _ => Ok(()),
        }
    }

    /// Begins a write that no lease protects.
    async fn begin(&self) -> Result<Tx> {
        self.is_still_there()?;
        self.writer.begin().await
    }

    /// Begins a write of a lease or of a worker, which does not queue behind messages.
    async fn begin_lease(&self) -> Result<Tx> {
        self.is_still_there()?;
        self.leases.begin().await
    }

    /// Begins a write under `fence`. The lease row is checked before anything else.
    async fn begin_fenced(&self, fence: &Fence) -> Result<Tx> {
        let turn = match self.engine() {
            // There is only one writer.
            Engine::Sqlite => None,
            Engine::Postgres => Some(fence.turn(postgres::PATIENCE).await?),
        };
        let mut tx = self.begin().await?;
        if let Some(turn) = turn {
            tx = tx.holding(turn);
        }
        fence.check(&mut tx).await?;
        Ok(tx)
    }
}
