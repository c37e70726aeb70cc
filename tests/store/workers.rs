//! Which workers run.

use std::time::Duration;

use whatsapp_worker::ids::OwnerId;
use whatsapp_worker::store::Registration;

use super::{Bench, TTL};

on_every_engine!(
    a_worker_is_listed_while_it_registers_and_until_it_retires,
    who_loses_a_lease_is_not_counted_on_before_it_registers_again,
    a_worker_that_is_asked_to_drain_stays_so_while_it_registers
);

fn registration(owner: &OwnerId) -> Registration {
    Registration {
        owner: owner.clone(),
        capacity: 1000,
        accounts: "*".to_owned(),
        installation: "disk-1".to_owned(),
        draining: false,
        version: "0.1.0".to_owned(),
    }
}

async fn a_worker_is_listed_while_it_registers_and_until_it_retires(bench: &Bench) {
    let mut worker = registration(&bench.owner);
    let store = &bench.store;
    store.register_worker(&worker, TTL).await.expect("answers");
    store.register_worker(&worker, TTL).await.expect("answers");
    worker.draining = true;
    store.register_worker(&worker, TTL).await.expect("answers");
    let short_lived = registration(&OwnerId::incarnate("other").expect("valid"));
    let blink = Duration::from_millis(1);
    store
        .register_worker(&short_lived, blink)
        .await
        .expect("answers");
    let listed = async || store.workers().await.expect("answers");
    while listed().await.len() > 1 {}
    let row = &listed().await[0];
    assert_eq!(row.told, worker);
    assert!((0..5000).contains(&row.beat_age_ms), "{}", row.beat_age_ms);
    let age = store.now_ms().await.expect("answers") - row.started_at;
    assert!((0..10_000).contains(&age), "{age}");
    store.retire_worker(&bench.owner).await.expect("answers");
    assert_eq!(listed().await, []);
}

async fn who_loses_a_lease_is_not_counted_on_before_it_registers_again(bench: &Bench) {
    let worker = registration(&bench.owner);
    let store = &bench.store;
    store.register_worker(&worker, TTL).await.expect("answers");
    let lost = bench.fence().await;
    let next = OwnerId::incarnate("next").expect("valid");
    bench
        .bid(|bid| (bid.owner, bid.dead) = (&next, Some(lost.epoch())))
        .await
        .expect("proven dead");
    assert_eq!(store.workers().await.expect("answers"), []);
    store.register_worker(&worker, TTL).await.expect("answers");
    assert_eq!(store.workers().await.expect("answers").len(), 1);
}

async fn a_worker_that_is_asked_to_drain_stays_so_while_it_registers(bench: &Bench) {
    let worker = registration(&bench.owner);
    let store = &bench.store;
    let ask = async |drain| {
        let asked = store.ask_to_drain(&bench.owner, drain, "operator").await;
        asked.expect("answers")
    };
    assert!(!ask(true).await, "it does not run");
    store.register_worker(&worker, TTL).await.expect("answers");
    let draining = async || {
        store.register_worker(&worker, TTL).await.expect("answers");
        let rows = store.workers().await.expect("answers");
        assert_eq!(rows[0].told, worker, "what it tells is its own");
        rows[0].is_draining()
    };
    assert!(!draining().await);
    assert!(ask(true).await && !ask(true).await, "once");
    assert!(draining().await);
    assert!(ask(false).await && !draining().await);
    let rows = store
        .page_of_audit(None, 10, None)
        .await
        .expect("answers")
        .rows;
    let told: Vec<_> = rows.iter().map(|line| line.row.action.as_str()).collect();
    assert_eq!(told, ["worker.undrained", "worker.drained"]);
}
