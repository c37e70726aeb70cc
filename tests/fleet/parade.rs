//! Many accounts on a few workers, whose sessions are stubs and whose store is real: how they spread
//! when workers come and go, and what holding them costs.

use std::collections::BTreeMap;
use std::time::Duration;

use whatsapp_worker::clock::Boot;
use whatsapp_worker::rehearsal::Worker;
use whatsapp_worker::rehearsal::postgres::PostgresOptions;
use whatsapp_worker::store::Store;

use crate::theatre::{Engine, Theatre};

/// How long a spread may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many heartbeats are watched.
const WATCHED: u32 = 4;

/// What a run showed.
pub struct Parade {
    /// From the start of three workers until every account is held, spread fairly.
    pub started: Duration,
    /// From kill -9 of one until the others hold everything, spread fairly.
    pub killed: Duration,
    /// From the start of another until all three hold their share.
    pub joined: Duration,
    /// While nothing happened.
    pub calm: Calm,
}

/// One worker, in one heartbeat, while nothing happens. Means over the workers.
#[derive(Clone, Copy, Debug)]
pub struct Calm {
    /// Statements of every kind (PostgreSQL).
    pub statements: Option<f64>,
    /// Of these, renewals of leases.
    pub renewals: Option<f64>,
    /// Processor time, as a share of one processor.
    pub processor: f64,
}

/// Runs `accounts` accounts on three workers with a lease of `ttl`.
pub async fn parade(engine: Engine, accounts: usize, ttl: Duration) -> Parade {
    let theatre = open(engine, ttl).await;
    let store = theatre.store().await;
    for n in 0..accounts {
        let id = format!("account-{n:04}").parse().expect("valid");
        store.add_account(&id, "bench").await.expect("added");
    }
    let began = Boot::now();
    let mut workers: Vec<Worker> = ["one", "two", "three"]
        .map(|name| theatre.stage.start(name).expect("starts"))
        .into();
    spread(&store, accounts, &["one", "two", "three"]).await;
    let started = Boot::now().since(began);
    let calm = calm(&theatre, &workers, ttl / 4).await;

    let mut dead = workers.pop().expect("three");
    dead.kill().await.expect("ours");
    let began = Boot::now();
    spread(&store, accounts, &["one", "two"]).await;
    let killed = Boot::now().since(began);

    let began = Boot::now();
    workers.push(theatre.stage.start("four").expect("starts"));
    spread(&store, accounts, &["one", "two", "four"]).await;
    let joined = Boot::now().since(began);
    for worker in &mut workers {
        assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    }
    store.close().await;
    Parade {
        started,
        killed,
        joined,
        calm,
    }
}

async fn open(engine: Engine, ttl: Duration) -> Theatre {
    let ttl = ttl.as_millis().to_string();
    let settings = [
        ("WHATSAPP_LEASE_TTL_MS", ttl.as_str()),
        ("WHATSAPP_ACCOUNT_ID", "*"),
        ("SIMULATOR_SESSIONS", "stub"),
    ];
    match engine {
        Engine::Sqlite => Theatre::open_on(engine, &settings).await,
        Engine::Postgres => {
            let log = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let options = PostgresOptions {
                settings: vec![
                    log("log_statement", "all"),
                    log("log_parameter_max_length", "0"),
                ],
                ..PostgresOptions::default()
            };
            Theatre::open_on_server(options, &settings).await
        }
    }
}

/// Waits until the workers called `names` hold all accounts, none of them two more than another.
async fn spread(store: &Store, accounts: usize, names: &[&str]) {
    let mut counts = BTreeMap::new();
    let waiting = async {
        loop {
            counts.clear();
            for lease in store.leases().await.expect("the store answers") {
                let holder = lease.owner.as_str().split('#').next().unwrap_or_default();
                if !lease.is_free() {
                    *counts.entry(holder.to_owned()).or_insert(0) += 1;
                }
            }
            let held: Vec<usize> = names
                .iter()
                .map(|name| counts.get(*name).copied().unwrap_or(0))
                .collect();
            let (least, most) = (held.iter().min(), held.iter().max());
            if held.iter().sum::<usize>() == accounts
                && most
                    .zip(least)
                    .is_some_and(|(most, least)| most - least <= 1)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await; // justified: other processes write the store
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("{accounts} accounts did not spread over {names:?}: {counts:?}");
    }
}

async fn calm(theatre: &Theatre, workers: &[Worker], heartbeat: Duration) -> Calm {
    let logged = |theatre: &Theatre| {
        let server = &theatre.remote.as_ref()?.server;
        Some(server.log().expect("readable").len())
    };
    let spent = || -> Vec<Duration> {
        let spent = workers.iter().map(Worker::processor_time);
        spent.collect::<std::io::Result<_>>().expect("they live")
    };
    // What follows an acquisition is not part of holding a lease.
    tokio::time::sleep(heartbeat * 2).await; // justified: nobody tells that nothing happens any more
    let (from, began, before) = (logged(theatre), Boot::now(), spent());
    tokio::time::sleep(heartbeat * WATCHED).await; // justified: how long is watched
    let (to, took, after) = (logged(theatre), Boot::now().since(began), spent());
    let lines = from.zip(to).map(|(from, to)| {
        let log = theatre.remote.as_ref().expect("it has a log");
        log.server.log().expect("readable")[from..to].to_owned()
    });
    let beats = f64::from(WATCHED) * f64::from(u32::try_from(workers.len()).expect("few"));
    let per_beat = |wanted: fn(&str) -> bool| {
        let lines = lines.as_ref()?;
        let count = lines.lines().filter(|line| wanted(line)).count();
        Some(f64::from(u32::try_from(count).expect("few")) / beats)
    };
    let used: Duration = after.iter().zip(&before).map(|(a, b)| *a - *b).sum();
    Calm {
        statements: per_beat(is_statement),
        renewals: per_beat(|line| is_statement(line) && line.contains("UPDATE lease SET beat")),
        processor: used.as_secs_f64() / took.as_secs_f64() / (beats / f64::from(WATCHED)),
    }
}

/// Of a worker, not of the theatre.
fn is_statement(line: &str) -> bool {
    line.contains("whatsapp-worker")
        && (line.contains("LOG:  execute") || line.contains("LOG:  statement:"))
}
