//! SIGSTOP for three TTLs, then SIGCONT.

use std::path::{Path, PathBuf};
use std::time::Duration;

use whatsapp_worker::clock::Boot;
use whatsapp_worker::rehearsal::Worker;

use super::witness::Witness;
use super::{Pair, acquired, assert_nothing_late, assert_unharmed, contended, established};
use crate::load::Load;
use crate::theatre::{Engine, PATIENCE, Theatre, full, on_each_engine};

on_each_engine!(a_frozen_holder_writes_and_says_nothing_when_it_wakes);

const TTL: Duration = Duration::from_secs(2);

/// When a worker is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Wherever it happens to be.
    Any,
    /// Not inside a transaction. One that is keeps SQLite's lock: a limit that is documented.
    BetweenTransactions,
    /// Inside a transaction, for PostgreSQL to end.
    InsideTransaction,
}

async fn a_frozen_holder_writes_and_says_nothing_when_it_wakes(engine: Engine) {
    let moment = match engine {
        Engine::Sqlite => Moment::BetweenTransactions,
        Engine::Postgres => Moment::Any,
    };
    let rounds = if full() { 20 } else { 2 };
    freeze_and_thaw(Pair::open(engine, TTL).await, moment, rounds).await;
}

#[tokio::test]
async fn a_transaction_that_is_frozen_in_the_middle_is_ended_by_the_server() {
    let pair = Pair::open(Engine::Postgres, TTL).await;
    // Transactions take their time on a slow road, so that one is easily met.
    let rounds = if full() { 20 } else { 2 };
    freeze_and_thaw(pair, Moment::InsideTransaction, rounds).await;
}

async fn freeze_and_thaw(mut pair: Pair, moment: Moment, rounds: usize) {
    // What the server needs to end a transaction comes on top when it is frozen inside one.
    let allowed = TTL
        + Duration::from_secs(if moment == Moment::InsideTransaction {
            3
        } else {
            1
        });
    let witness = Witness::of(&pair.theatre).await;
    let load = Load::start(&pair.theatre, Duration::from_millis(40));
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let (then, now) = (pair.active.so_far(), pair.standby.so_far());
        freeze(&pair.theatre, &pair.active, &witness, moment).await;
        let stopped = Boot::now();
        let epoch = acquired(&pair.standby, now).await;
        let took = Boot::now().since(stopped);
        slowest = slowest.max(took);
        assert!(took <= allowed, "round {round}: taken over after {took:?}");
        established(&pair.standby, now).await;
        let before = witness.committed().await;
        tokio::time::sleep(stopped.plus(3 * TTL).remaining()).await; // justified: how long it is frozen is the test
        pair.active.thaw().expect("ours");
        pair.active
            .wait_after(then, "whatsapp.lease.heartbeat.lost", PATIENCE, |_| true)
            .await
            .expect("it finds out");
        contended(&pair.active, then, &pair.standby).await;
        let after = witness.committed().await;
        for (old, rows) in before.iter().filter(|(old, _)| **old < epoch) {
            assert_eq!(
                after[old], *rows,
                "epoch {old} wrote after epoch {epoch} began"
            );
        }
        assert_eq!(witness.epoch().await, epoch, "one takeover and no more");
        assert_nothing_late(&pair.theatre);
        pair.change_places();
    }
    println!("{rounds} times frozen, taken over within {slowest:?} at a TTL of {TTL:?}");
    assert_unharmed(&pair.theatre, load).await;
    assert!(
        !pair.theatre.alice.received().is_empty(),
        "answers were sent under this load"
    );
}

async fn freeze(theatre: &Theatre, worker: &Worker, witness: &Witness, moment: Moment) {
    let began = Boot::now();
    loop {
        worker.freeze().await.expect("ours");
        let met = match moment {
            Moment::Any => is_free(&auth_file(theatre)).await,
            Moment::BetweenTransactions => {
                is_free(&theatre.stage.dir.join("store.db")).await
                    && is_free(&auth_file(theatre)).await
            }
            Moment::InsideTransaction => {
                witness.idle_in_transaction().await && is_free(&auth_file(theatre)).await
            }
        };
        if met {
            return;
        }
        worker.thaw().expect("ours");
        assert!(Boot::now().since(began) < PATIENCE, "the moment never came");
        tokio::time::sleep(Duration::from_millis(3)).await; // justified: it must get on, which nobody tells
    }
}

/// Local auth state is a SQLite file, and a process that is frozen inside a transaction keeps its lock.
fn auth_file(theatre: &Theatre) -> PathBuf {
    theatre.stage.auth_dir().join("default").join("auth.db")
}

async fn is_free(file: &Path) -> bool {
    if !file.exists() {
        // The auth state is in the shared store.
        return true;
    }
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(Duration::from_millis(50));
    let pool = sqlx::SqlitePool::connect_with(options)
        .await
        .expect("opens");
    let free = pool.begin_with("BEGIN IMMEDIATE").await.is_ok();
    pool.close().await;
    free
}
