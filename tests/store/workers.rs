//! Which workers run.

use std::time::Duration;

use whatsapp_worker::ids::OwnerId;
use whatsapp_worker::store::Registration;

use super::{Bench, TTL};

on_every_engine!(
    a_worker_is_listed_while_it_registers_and_until_it_retires,
    who_loses_a_lease_is_not_counted_on_before_it_registers_again
);

async fn a_worker_is_listed_while_it_registers_and_until_it_retires(bench: &Bench) {
    let mut worker = Registration {
        owner: bench.owner.clone(),
        capacity: 1000,
        accounts: "*".to_owned(),
        installation: "disk-1".to_owned(),
        draining: false,
        version: "0.1.0".to_owned(),
    };
    let store = &bench.store;
    store.register_worker(&worker, TTL).await.expect("answers");
    store.register_worker(&worker, TTL).await.expect("answers");
    worker.draining = true;
    store.register_worker(&worker, TTL).await.expect("answers");
    let short_lived = Registration {
        owner: OwnerId::incarnate("other").expect("valid"),
        ..worker.clone()
    };
    let blink = Duration::from_millis(1);
    store
        .register_worker(&short_lived, blink)
        .await
        .expect("answers");
    let listed = async || {
        let rows = store.workers().await.expect("answers");
        rows.into_iter().map(|row| row.owner).collect::<Vec<_>>()
    };
    while listed().await.len() > 1 {}
    let row = &store.workers().await.expect("answers")[0];
    assert_eq!(row.owner, bench.owner);
    assert_eq!((row.capacity, row.accounts.as_str()), (1000, "*"));
    assert!(row.draining);
    assert_eq!(
        (row.installation.as_str(), row.version.as_str()),
        ("disk-1", "0.1.0")
    );
    assert!((0..5000).contains(&row.beat_age_ms), "{}", row.beat_age_ms);
    store.retire_worker(&bench.owner).await.expect("answers");
    assert_eq!(listed().await, []);
}

async fn who_loses_a_lease_is_not_counted_on_before_it_registers_again(bench: &Bench) {
    let worker = Registration {
        owner: bench.owner.clone(),
        capacity: 1000,
        accounts: "*".to_owned(),
        installation: "disk-1".to_owned(),
        draining: false,
        version: "0.1.0".to_owned(),
    };
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
