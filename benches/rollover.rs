//! Measures how long nobody is connected when an account changes workers: from the end of the old
//! connection to the `<success>` of the new one, as the simulator sees them, under a load of messages
//! and answers, between real worker processes on both stores.
//!
//! ```text
//! cargo bench --features simulator --bench rollover                # as a release is built
//! cargo bench --profile dev --features simulator --bench rollover  # minutes less to compile
//! ```
//!
//! It fails when a message is lost or doubled, a `conflict` is seen, or a stanza comes from a
//! connection after the next one was told `<success>`.

#[path = "../tests/load.rs"]
mod load;
#[path = "../tests/rollover/percentile.rs"]
mod percentile;
#[path = "../tests/rollover/relay.rs"]
mod relay;
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "tests use more of it"
)]
#[path = "../tests/theatre.rs"]
mod theatre;

use std::time::Duration;

use percentile::percentile;
use relay::{Rollover, relay};
use theatre::Engine;

const ROLLOVERS: usize = 50;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let rollovers = std::env::var("ROLLOVERS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(ROLLOVERS);
    let mut relays = Vec::new();
    for engine in [Engine::Postgres, Engine::Sqlite] {
        relays.push((engine, runtime.block_on(relay(engine, rollovers))));
    }
    let build = if cfg!(debug_assertions) {
        "dev"
    } else {
        "optimised"
    };
    println!("{build} build");
    println!();
    println!("| milliseconds | p50 | p99 | max | rollovers | messages | answers |");
    println!("|---|---|---|---|---|---|---|");
    for (engine, relay) in &relays {
        let row = |what: &str, pick: fn(&Rollover) -> Duration| {
            let mut spans: Vec<Duration> = relay.rollovers.iter().map(pick).collect();
            spans.sort();
            println!(
                "| {engine:?}: {what} | {} | {} | {} | {} | {} | {} |",
                percentile(&spans, 50).as_millis(),
                percentile(&spans, 99).as_millis(),
                percentile(&spans, 100).as_millis(),
                relay.rollovers.len(),
                relay.messages,
                relay.answers,
            );
        };
        row("old connection's end to new `<success>`", |one| one.gap);
        row("of this, until the lease is released", |one| one.released);
        row("until it is acquired", |one| one.acquired);
        row("until `<success>`", |one| one.connected);
        row("afterwards, until the session says it is up", |one| {
            one.told
        });
    }
}
