//! A PostgreSQL that restarts, crashes or cannot be reached.

use std::time::Duration;

use futures_util::future::join_all;
use whatsapp_worker::clock::Boot;
use whatsapp_worker::ids::AccountId;

use super::witness::Witness;
use super::{Pair, acquired, assert_unharmed, contended, established, settings, ttl_ms};
use crate::load::Load;
use crate::theatre::{Engine, PATIENCE, Theatre, full};
use whatsapp_worker::rehearsal::proxy::Weather;
use whatsapp_worker::store::{Store, StoreOptions};

/// Long enough for a heartbeat that was due in the outage to be repeated in time.
const LONG: Duration = Duration::from_secs(8);
const SHORT: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_millis(40);

#[tokio::test]
async fn a_server_that_restarts_or_crashes_in_mid_stream_costs_nothing() {
    let mut pair = Pair::open(Engine::Postgres, LONG).await;
    let load = Load::start(&pair.theatre, PACE);
    for round in 0..if full() { 10 } else { 2 } {
        let rows = Witness::of(&pair.theatre).await.committed().await;
        let server = pair.theatre.server();
        if round % 2 == 0 {
            server.restart().await.expect("it starts again");
        } else {
            server.kill().await.expect("ours");
            server.resume().await.expect("it recovers");
        }
        // Work goes on before the next blow.
        let witness = Witness::of(&pair.theatre).await;
        while witness.committed().await.values().sum::<i64>() <= rows.values().sum::<i64>() + 10 {
            tokio::time::sleep(PACE).await; // justified: another process writes the store
        }
    }
    let ids = assert_unharmed(&pair.theatre, load).await;
    println!(
        "connections to WhatsApp over {} messages: {}",
        ids.len(),
        pair.theatre.sim.visits(&pair.theatre.shop).len()
    );
}

/// How the road to PostgreSQL is closed.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Packets wait, and arrive afterwards.
    Held,
    /// Packets are lost, and connections are dead afterwards.
    Lost,
    /// Connections are reset and refused.
    Reset,
}

impl Cut {
    const ALL: [Self; 3] = [Self::Held, Self::Lost, Self::Reset];

    fn close(self, theatre: &Theatre) {
        let road = theatre.road();
        match self {
            Self::Held => road.set(Weather::Held),
            Self::Lost => road.set(Weather::Hole),
            Self::Reset => {
                road.set(Weather::Refusing);
                road.cut();
            }
        }
    }
}

/// How often the lease was renewed.
async fn beat(theatre: &Theatre) -> i64 {
    let store = theatre.store().await;
    let lease = store.lease(&theatre.account).await;
    store.close().await;
    lease
        .expect("the store answers")
        .expect("a lease was held")
        .beat
}

#[tokio::test]
async fn half_a_ttl_without_the_store_costs_no_reconnect() {
    let theatre = Theatre::open_on(Engine::Postgres, &settings(&ttl_ms(LONG))).await;
    theatre.check_receipts().await;
    let worker = theatre.linked_worker("one").await;
    let logins = theatre.sim.visits(&theatre.shop).len();
    let load = Load::start(&theatre, PACE);
    for cut in Cut::ALL {
        cut.close(&theatre);
        tokio::time::sleep(LONG / 2).await; // justified: how long the store is away is the test
        theatre.road().set(Weather::Fair);
        let witness = Witness::of(&theatre).await;
        let rows = witness.committed().await;
        let beat = beat(&theatre).await;
        while witness.committed().await == rows || self::beat(&theatre).await == beat {
            tokio::time::sleep(PACE).await; // justified: another process writes the store
        }
        assert_eq!(
            theatre.sim.visits(&theatre.shop).len(),
            logins,
            "{cut:?}: it logged in again"
        );
    }
    assert_eq!(worker.count("whatsapp.connection.closed"), 0);
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
    assert_unharmed(&theatre, load).await;
}

#[tokio::test]
async fn three_ttls_without_the_store_end_the_session_and_it_comes_back_by_itself() {
    let theatre = Theatre::open_on(Engine::Postgres, &settings(&ttl_ms(SHORT))).await;
    theatre.check_receipts().await;
    let worker = theatre.linked_worker("one").await;
    let load = Load::start(&theatre, PACE);
    for cut in Cut::ALL {
        let so_far = worker.so_far();
        cut.close(&theatre);
        let began = Boot::now();
        worker
            .wait_after(so_far, "whatsapp.lease.heartbeat.lost", PATIENCE, |_| true)
            .await
            .expect("it steps down");
        let took = Boot::now().since(began);
        assert!(
            took < SHORT,
            "{cut:?}: it trusted a lease that had run out: {took:?}"
        );
        tokio::time::sleep(began.plus(3 * SHORT).remaining()).await; // justified: how long the store is away is the test
        assert_eq!(theatre.sim.clients(), 0, "{cut:?}: it is still logged in");
        theatre.road().set(Weather::Fair);
        established(&worker, so_far).await;
    }
    assert_unharmed(&theatre, load).await;
}

/// The standby has a road of its own: only the holder is cut off.
#[tokio::test]
async fn a_holder_that_alone_is_cut_off_is_replaced_and_its_late_writes_are_refused() {
    let theatre = Theatre::open_on(Engine::Postgres, &settings(&ttl_ms(SHORT))).await;
    theatre.check_receipts().await;
    let cut_off = theatre.linked_worker("one").await;
    let mut stage = theatre.stage.clone();
    stage.store_url = theatre.store_url().to_owned();
    let standby = stage.start("two").expect("starts");
    contended(&standby, 0, &cut_off).await;
    let witness = Witness::of(&theatre).await;
    let load = Load::start(&theatre, PACE);
    let (then, now) = (cut_off.so_far(), standby.so_far());
    // What it has sent by now reaches the server when the road opens, long after the takeover.
    Cut::Held.close(&theatre);
    let began = Boot::now();
    let epoch = acquired(&standby, now).await;
    let took = Boot::now().since(began);
    assert!(
        took <= SHORT + Duration::from_secs(3),
        "taken over after {took:?}"
    );
    established(&standby, now).await;
    let before = witness.committed().await;
    tokio::time::sleep(began.plus(3 * SHORT).remaining()).await; // justified: how long it is cut off is the test
    theatre.road().set(Weather::Fair);
    contended(&cut_off, then, &standby).await;
    assert_unharmed(&theatre, load).await;
    let after = witness.committed().await;
    for (old, rows) in before.iter().filter(|(old, _)| **old < epoch) {
        assert_eq!(
            after[old], *rows,
            "epoch {old} wrote after epoch {epoch} began"
        );
    }
    assert_eq!(witness.epoch().await, epoch);
    assert_eq!(standby.count("whatsapp.connection.closed"), 0);
    println!("taken over after {took:?}");
}

/// A connection that is in a transaction, and that its worker takes for free, would answer a renewal
/// and never commit it.
#[tokio::test]
async fn a_call_that_was_given_up_leaves_no_transaction_open() {
    let theatre = Theatre::open_on(Engine::Postgres, &[]).await;
    let store = Store::open(&theatre.stage.store_url(), StoreOptions::default())
        .await
        .expect("the store opens");
    let store = &store;
    let added = |round: usize| {
        // As many as the pool of writers has connections.
        join_all((0..8).map(move |n| async move {
            let account: AccountId = format!("account-{round}-{n}").parse().expect("valid");
            store.add_account(&account, "theatre").await
        }))
    };
    for done in added(0).await {
        assert!(done.expect("the store answers"));
    }
    Cut::Held.close(&theatre);
    for done in added(1).await {
        done.expect_err("nothing passes");
    }
    theatre.road().set(Weather::Fair);
    tokio::time::sleep(Duration::from_millis(1000)).await; // justified: what must not be there is looked for before the server ends it
    let witness = Witness::of(&theatre).await;
    assert_eq!(witness.forgotten_transactions().await, 0);
    for done in added(2).await {
        assert!(done.expect("the store answers"));
    }
    store.close().await;
}
