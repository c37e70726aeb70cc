//! kill -9.

use std::time::Duration;

use whatsapp_worker::clock::Boot;

use super::{Pair, acquired, assert_unharmed, contended, established};
use crate::load::Load;
use crate::theatre::{Engine, full, on_each_engine};

on_each_engine!(a_killed_holder_is_replaced_in_time);

async fn a_killed_holder_is_replaced_in_time(engine: Engine) {
    // On one machine the dead process's file lock tells at once: the TTL is long enough that nobody
    // can pass by waiting for it.
    let (ttl, allowed) = match engine {
        Engine::Sqlite => (Duration::from_secs(20), Duration::from_secs(2)),
        Engine::Postgres => (Duration::from_secs(4), Duration::from_secs(5)),
    };
    let mut pair = Pair::open(engine, ttl).await;
    let load = Load::start(&pair.theatre, Duration::from_millis(40));
    let mut slowest = Duration::ZERO;
    for _ in 0..if full() { 10 } else { 2 } {
        let so_far = pair.standby.so_far();
        pair.active.kill().await.expect("ours");
        let died = Boot::now();
        acquired(&pair.standby, so_far).await;
        let took = Boot::now().since(died);
        slowest = slowest.max(took);
        assert!(took <= allowed, "taken over after {took:?}");
        let name = pair.active.name().to_owned();
        pair.active = pair.theatre.stage.start(&name).expect("starts");
        pair.change_places();
        established(&pair.active, so_far).await;
        contended(&pair.standby, 0, &pair.active).await;
    }
    println!("{engine:?}: taken over within {slowest:?} at a TTL of {ttl:?}");
    assert_unharmed(&pair.theatre, load).await;
}
