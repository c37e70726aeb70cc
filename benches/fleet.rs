//! Measures how many accounts spread over three real worker processes when these start, when one is
//! killed and when one is added, and what holding them costs: statements in a heartbeat, processor
//! time. Sessions are stubs, the store is real.
//!
//! ```text
//! cargo bench --features simulator --bench fleet                # as a release is built
//! cargo bench --profile dev --features simulator --bench fleet  # minutes less to compile
//! ```

#[path = "../tests/fleet/parade.rs"]
mod parade;
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "tests use more of it"
)]
#[path = "../tests/theatre.rs"]
mod theatre;

use std::time::Duration;

use parade::parade;
use theatre::Engine;

const ACCOUNTS: [usize; 3] = [10, 100, 1000];
const TTL: Duration = Duration::from_secs(12);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut rows = Vec::new();
    for engine in [Engine::Postgres, Engine::Sqlite] {
        for accounts in ACCOUNTS {
            rows.push((
                engine,
                accounts,
                runtime.block_on(parade(engine, accounts, TTL)),
            ));
        }
    }
    let build = if cfg!(debug_assertions) {
        "dev"
    } else {
        "optimised"
    };
    println!(
        "{build} build, TTL {} s, heartbeat {} s",
        TTL.as_secs(),
        TTL.as_secs() / 4
    );
    println!();
    println!(
        "| store, accounts on 3 workers | started, s | one killed, s | one added, s | statements per worker and heartbeat | renewals of these | % of a processor per worker |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (engine, accounts, parade) in &rows {
        let seconds = |span: Duration| format!("{:.1}", span.as_secs_f64());
        let count =
            |count: Option<f64>| count.map_or("-".to_owned(), |count| format!("{count:.1}"));
        println!(
            "| {engine:?}, {accounts} | {} | {} | {} | {} | {} | {:.1} |",
            seconds(parade.started),
            seconds(parade.killed),
            seconds(parade.joined),
            count(parade.calm.statements),
            count(parade.calm.renewals),
            parade.calm.processor * 100.0,
        );
    }
}
