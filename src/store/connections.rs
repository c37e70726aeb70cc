//! Connections that answer within a known time, or fail.
//!
//! PostgreSQL is on the other end of a network that may swallow everything without a word. Each
//! statement there is bounded here, whatever the server's own time-outs do, and a connection that did
//! not answer in time is closed instead of being given to the next caller. On SQLite nothing is
//! bounded: a statement waits for other processes' transactions for `busy_timeout` and no longer.

use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, AnyPool, AssertSqlSafe, Either, Execute, Executor, SqlStr, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::{Engine, Result};

/// A pool of connections to one store.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    pool: AnyPool,
    engine: Engine,
    patience: Option<Duration>,
}

impl Connections {
    pub(super) fn new(pool: AnyPool, engine: Engine, patience: Option<Duration>) -> Self {
        Self {
            pool,
            engine,
            patience,
        }
    }

    /// Begins a transaction that may write.
    pub(super) async fn begin(&self) -> Result<Tx> {
        let begin = match self.engine {
            // Deferred, two transactions could both read, and one of them would fail to write.
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => "BEGIN",
        };
        Ok(Tx {
            inner: bounded(self.patience, self.pool.begin_with(begin)).await?,
            engine: self.engine,
            patience: self.patience,
            _turn: None,
        })
    }

    /// Closes the connections after their current statement.
    pub(super) async fn close(&self) {
        let close = async {
            self.pool.close().await;
            Ok(())
        };
        // What does not answer is left to the operating system.
        let _ = bounded(self.patience, close).await;
    }
}

/// A transaction. Dropping it rolls it back.
#[derive(Debug)]
pub(super) struct Tx {
    inner: Transaction<'static, Any>,
    engine: Engine,
    patience: Option<Duration>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Tx {
    /// Keeps `turn` until the transaction ends.
    pub(super) fn holding(mut self, turn: OwnedMutexGuard<()>) -> Self {
        self._turn = Some(turn);
        self
    }

    pub(super) fn sql(&self, text: &str) -> AssertSqlSafe<String> {
        self.engine.sql(text)
    }

    pub(super) const fn engine(&self) -> Engine {
        self.engine
    }

    /// The store's clock, for all rows of a transaction.
    pub(super) async fn now(&mut self) -> Result<i64> {
        let now = self.sql("SELECT {NOW}");
        Ok(sqlx::query_scalar(now).fetch_one(self).await?)
    }

    /// After an error nobody knows whether it is committed.
    pub(super) async fn commit(self) -> Result<()> {
        Ok(bounded(self.patience, self.inner.commit()).await?)
    }
}

/// Waits for `call`, but no longer than `patience`.
pub(super) async fn bounded<T>(
    patience: Option<Duration>,
    call: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    match patience {
        None => call.await,
        Some(patience) => tokio::time::timeout(patience, call)
            .await
            .unwrap_or_else(|_| Err(no_answer(patience))),
    }
}

fn no_answer(patience: Duration) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        format!("no answer within {} ms", patience.as_millis()),
    ))
}

type Step = Either<AnyQueryResult, AnyRow>;

/// Each step of `steps` within `patience`; the first that is late ends it.
fn bounded_steps(
    patience: Option<Duration>,
    steps: BoxStream<'_, sqlx::Result<Step>>,
) -> BoxStream<'_, sqlx::Result<Step>> {
    let Some(patience) = patience else {
        return steps;
    };
    stream::unfold(Some(steps), move |steps| async move {
        let mut steps = steps?;
        match tokio::time::timeout(patience, steps.next()).await {
            Ok(None) => None,
            Ok(Some(step)) => Some((step, Some(steps))),
            Err(_) => Some((Err(no_answer(patience)), None)),
        }
    })
    .boxed()
}

/// Runs queries on what `$inner` gives, each within its patience.
macro_rules! bounded_executor {
    ($executor:ty, $this:ident => $inner:expr) => {
        impl<'c> Executor<'c> for $executor {
            type Database = Any;

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Any>,
            {
                let $this = self;
                bounded_steps($this.patience, $inner.fetch_many(query))
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Any>,
            {
                let $this = self;
                Box::pin(bounded($this.patience, $inner.fetch_optional(query)))
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [AnyTypeInfo],
            ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
            where
                'c: 'e,
            {
                let $this = self;
                Box::pin(bounded(
                    $this.patience,
                    $inner.prepare_with(sql, parameters),
                ))
            }
        }
    };
}

bounded_executor!(&'c mut Tx, tx => (&mut *tx.inner));
bounded_executor!(&'c Connections, connections => (&connections.pool));
