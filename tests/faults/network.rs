//! A road to PostgreSQL that is slow, or that keeps breaking.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use whatsapp_worker::rehearsal::proxy::Weather;

use super::witness::Witness;
use super::{Pair, assert_unharmed};
use crate::load::Load;
use crate::theatre::{Engine, full, seed};

const TTL: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_slow_road_slows_and_breaks_nothing() {
    let pair = Pair::open(Engine::Postgres, TTL).await;
    pair.theatre
        .road()
        .set(Weather::Slow(Duration::from_millis(15)));
    let ids: Vec<String> = (0..20)
        .map(|n| pair.theatre.text(&format!("message {n}")))
        .collect();
    pair.theatre.assert_each_queued_once(&ids).await;
    assert_eq!(pair.active.count("whatsapp.connection.closed"), 0);
    assert_eq!(pair.active.count("whatsapp.lease.heartbeat.lost"), 0);
    assert_eq!(
        Witness::of(&pair.theatre).await.epoch().await,
        1,
        "nobody took over"
    );
}

#[tokio::test]
async fn a_road_that_keeps_breaking_loses_and_doubles_nothing() {
    let mut chance = StdRng::seed_from_u64(seed());
    let pair = Pair::open(Engine::Postgres, TTL).await;
    let load = Load::start(&pair.theatre, Duration::from_millis(40));
    for _ in 0..if full() { 200 } else { 20 } {
        let road = pair.theatre.road();
        match chance.random_range(0..5) {
            0 => road.set(Weather::Held),
            1 => road.set(Weather::Hole),
            2 => road.set(Weather::Refusing),
            3 => road.cut(),
            _ => road.set(Weather::Slow(Duration::from_millis(
                chance.random_range(1..200),
            ))),
        }
        tokio::time::sleep(Duration::from_millis(chance.random_range(10..1000))).await; // justified: the pace of the faults
        if chance.random_bool(0.7) {
            road.set(Weather::Fair);
            tokio::time::sleep(Duration::from_millis(chance.random_range(10..500))).await; // justified: the pace of the faults
        }
    }
    pair.theatre.road().set(Weather::Fair);
    assert_unharmed(&pair.theatre, load).await;
}
