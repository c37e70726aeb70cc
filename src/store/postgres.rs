//! Opening a store that is a PostgreSQL database, and refusing a server that cannot serve as one.
//!
//! Whoever is frozen inside a transaction keeps its row locks, and so the next holder out: the server
//! ends such a transaction by the time-outs that each connection is given here. Our side waits a
//! little longer than the server's time-outs, so that the server's error is seen where it answers.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::postgres::PgConnection;
use sqlx::{AnyConnection, ConnectOptions, Connection, Executor, Row, raw_sql};
use tracing::warn;

use super::changes::Exchange;
use super::connections::{Connections, bounded};
use super::{Engine, Place, PostgresUrl, Result, Store, StoreError, StoreOptions, schema};

/// How long one statement may take, the wait for a connection included, before the store counts as
/// not available.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// For a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// For its test before and after use. A connection that does not answer keeps its place in the pool
/// meanwhile.
const TEST_PATIENCE: Duration = Duration::from_secs(1);

/// One for the heartbeat, and one for the next when the first went into a network that swallowed it.
const BEATS: u32 = 3;

/// A connection that was idle for longer is tested before it is used.
const FRESH: Duration = Duration::from_millis(500);

/// Milliseconds. A takeover waits for an open fenced transaction, so its lock time-out is longer than
/// the longest pause of one.
const SESSION: &str = "SET statement_timeout = 3000;
SET lock_timeout = 2500;
SET idle_in_transaction_session_timeout = 2000;
SET tcp_user_timeout = 2000;
SET default_transaction_isolation = 'read committed'";

/// The oldest version that knows `tcp_user_timeout`.
const OLDEST: i32 = 12;

pub(super) async fn open(url: &PostgresUrl, options: StoreOptions) -> Result<Store> {
    for (parameter, file) in url.files() {
        if let Err(error) = std::fs::File::open(&file) {
            return Err(StoreError::Unusable(format!(
                "STORE_URL: {parameter} names {file:?}, which cannot be read: {error}"
            )));
        }
    }
    let mut first = connect(url).await?;
    let mut second = connect(url).await?;
    refuse_pooler(url, &mut first, &mut second).await?;
    refuse_what_loses_commits(url, &mut first, options).await?;
    for connection in [first, second] {
        // Only courtesy: it goes with its socket otherwise.
        let _ = bounded(Some(CONNECT_PATIENCE), connection.close()).await;
    }
    let writer = pool(url, 8);
    let place = Arc::new(Place::Postgres(url.clone()));
    Ok(Store {
        exchange: Exchange::new(place.clone()),
        place,
        file: None,
        store_id: schema::migrate(&writer, Engine::Postgres, &url.to_string()).await?,
        writer,
        leases: pool(url, 4),
        beats: pool(url, BEATS),
        readers: pool(url, 4),
    })
}

fn pool(url: &PostgresUrl, connections: u32) -> Connections {
    let target: AnyConnectOptions = url.secret().parse().expect("a checked URL");
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(CONNECT_PATIENCE)
        .idle_timeout(Duration::from_mins(1))
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(SESSION).await?;
                Ok(())
            })
        })
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > FRESH {
                    bounded(Some(TEST_PATIENCE), connection.ping()).await?;
                }
                Ok(true)
            })
        })
        // A call that was given up while it waited for BEGIN leaves a transaction that the driver
        // does not know of: whoever wrote on that connection next would never be committed. (ROLLBACK
        // alone, outside of a transaction, would be a warning in the server's log.) The pool's
        // own test after use has no time-out: on a socket that swallows everything it would keep the
        // connection's place for ever.
        .after_release(|connection: &mut AnyConnection, _| {
            Box::pin(async move {
                bounded(Some(TEST_PATIENCE), connection.execute("BEGIN; ROLLBACK")).await?;
                Ok(true)
            })
        })
        .connect_lazy_with(target);
    Connections::new(pool, Engine::Postgres, Some(PATIENCE))
}

async fn connect(url: &PostgresUrl) -> Result<PgConnection> {
    let options = url.options();
    bounded(Some(CONNECT_PATIENCE), options.connect())
        .await
        .map_err(|error| cannot_connect(url, error))
}

fn cannot_connect(url: &PostgresUrl, error: sqlx::Error) -> StoreError {
    let cure = match &error {
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
            "check sslmode and sslrootcert in STORE_URL"
        }
        sqlx::Error::Io(io)
            if io
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>()) =>
        {
            "check sslmode and sslrootcert in STORE_URL"
        }
        sqlx::Error::Database(db) => match db.code().as_deref() {
            Some("28P01" | "28000") => {
                "check user and password in STORE_URL and the server's pg_hba.conf"
            }
            Some("3D000") => {
                "make the database, e.g. with createdb, or correct its name in STORE_URL"
            }
            Some("42501") => "let the user connect: GRANT CONNECT ON DATABASE",
            _ if db.message().contains("unsupported startup parameter") => {
                "this is a connection pooler; connect to PostgreSQL itself, or to a pool in session mode that ignores this parameter"
            }
            _ => return StoreError::Unavailable(error),
        },
        _ => return StoreError::Unavailable(error),
    };
    StoreError::Unusable(format!(
        "STORE_URL: {url} does not let us in: {error}; {cure}"
    ))
}

/// A pooler that gives each transaction whatever connection is free loses LISTEN, the time-outs of
/// [`SESSION`] and prepared statements. Two connections that are open at once have a server process
/// each, for as long as they are open; behind such a pooler they change or share them.
async fn refuse_pooler(
    url: &PostgresUrl,
    first: &mut PgConnection,
    second: &mut PgConnection,
) -> Result<()> {
    let before = server_process(first).await?;
    let begun = bounded(
        Some(PATIENCE),
        second.execute(sqlx::SqlStr::from_static("BEGIN")),
    );
    begun.await?;
    let other = server_process(second).await?;
    let pooled = other == before || server_process(first).await? != before;
    let ended = bounded(
        Some(PATIENCE),
        second.execute(sqlx::SqlStr::from_static("ROLLBACK")),
    );
    ended.await?;
    if pooled {
        return Err(StoreError::Unusable(format!(
            "STORE_URL: {url} is a connection pooler in transaction mode, which loses LISTEN and session settings: connect to PostgreSQL itself, or to a pool in session mode"
        )));
    }
    Ok(())
}

async fn server_process(connection: &mut PgConnection) -> Result<i32> {
    let row = raw_sql("SELECT pg_backend_pid()").fetch_one(connection);
    Ok(bounded(Some(PATIENCE), row).await?.try_get(0)?)
}

async fn refuse_what_loses_commits(
    url: &PostgresUrl,
    connection: &mut PgConnection,
    options: StoreOptions,
) -> Result<()> {
    let unusable = |what: String| Err(StoreError::Unusable(format!("STORE_URL: {url} {what}")));
    let row = raw_sql(
        "SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(),
           current_setting('server_encoding'), current_setting('fsync'),
           current_setting('full_page_writes'), current_setting('synchronous_commit')",
    )
    .fetch_one(connection);
    let row = bounded(Some(PATIENCE), row).await?;
    let version: i32 = row.try_get(0)?;
    if version < OLDEST {
        return unusable(format!(
            "is PostgreSQL {version}: version {OLDEST} or later is needed"
        ));
    }
    if row.try_get(1)? {
        return unusable(
            "is a standby server, which cannot be written: name the primary".to_owned(),
        );
    }
    let encoding: String = row.try_get(2)?;
    if encoding != "UTF8" {
        return unusable(format!(
            "has the encoding {encoding}: make the database with ENCODING 'UTF8'"
        ));
    }
    let mut off = Vec::new();
    for (n, name) in [
        (3, "fsync"),
        (4, "full_page_writes"),
        (5, "synchronous_commit"),
    ] {
        if row.try_get::<&str, _>(n)? == "off" {
            off.push(format!("{name}=off"));
        }
    }
    let off = off.join(", ");
    if off.is_empty() {
        return Ok(());
    }
    if options.allow_async_commit {
        warn!(store = %url, "{off}: a failure may lose commits, and with them messages and order");
        return Ok(());
    }
    unusable(format!(
        "runs with {off}, which may lose commits, and with them messages: turn it on, or accept that with STORE_ALLOW_ASYNC_COMMIT=1"
    ))
}
