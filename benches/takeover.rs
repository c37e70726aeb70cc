//! Measures whether a large remote auth state delays who takes it over, and what a flush costs: an
//! account with 10 and with 50,000 Signal sessions in one PostgreSQL, from the lease to `<success>` as
//! the worker tells it.
//!
//! ```text
//! cargo bench --features simulator --bench takeover                # as a release is built
//! cargo bench --profile dev --features simulator --bench takeover  # minutes less to compile
//! ```

#[path = "../tests/rollover/percentile.rs"]
mod percentile;
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "tests use more of it"
)]
#[path = "../tests/theatre.rs"]
mod theatre;

use std::sync::Arc;
use std::time::Duration;

use percentile::percentile;
use theatre::{Engine, PATIENCE, Theatre};
use whatsapp_worker::clock::Boot;
use whatsapp_worker::ids::OwnerId;
use whatsapp_worker::rehearsal::give_sessions;
use whatsapp_worker::store::{AcquireLease, RemoteMedium};

const SIZES: [usize; 2] = [10, 50_000];
const TAKEOVERS: usize = 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let theatre = Theatre::open_on(Engine::Postgres, &[]).await;
        let mut worker = theatre.linked_worker("one").await;
        worker.terminate().await.expect("ours");
        println!("| signal sessions | takeovers | p50 ms | p90 ms | max ms |");
        println!("|---|---|---|---|---|");
        for sessions in SIZES {
            give(&theatre, sessions).await;
            let mut spans = Vec::new();
            for _ in 0..TAKEOVERS {
                spans.push(takeover(&theatre).await);
            }
            spans.sort();
            let at = |percent| percentile(&spans, percent).as_millis();
            println!(
                "| {sessions} | {TAKEOVERS} | {} | {} | {} |",
                at(50),
                at(90),
                at(100)
            );
        }
    });
}

/// From the lease to the connection.
async fn takeover(theatre: &Theatre) -> Duration {
    let mut worker = theatre.stage.start("one").expect("starts");
    let acquired = worker.wait_for("whatsapp.lease.acquire.success", PATIENCE, |_| true);
    acquired.await.expect("nobody else is there");
    let won = Boot::now();
    let connected = worker.wait_for("whatsapp.connection.established", PATIENCE, |_| true);
    connected.await.expect("connected");
    let span = Boot::now().since(won);
    assert_eq!(worker.count("whatsapp.qr.available"), 0, "no new link");
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    span
}

async fn give(theatre: &Theatre, sessions: usize) {
    let store = theatre.store().await;
    let owner = OwnerId::incarnate("filler").expect("valid");
    let bid = AcquireLease {
        account: &theatre.account,
        owner: &owner,
        ttl: Duration::from_mins(5),
        unchanged: None,
        dead: None,
    };
    let fence = store.acquire_lease(bid).await.expect("answers");
    let fence = Arc::new(fence.expect("the worker has released it"));
    let medium = RemoteMedium::open(store.clone(), fence.clone()).await;
    let medium = Arc::new(medium.expect("opens"));
    give_sessions(medium, &theatre.account, sessions)
        .await
        .expect("writes");
    let released = store.release_lease(&fence, &owner, "filled").await;
    assert!(released.expect("answers"));
    store.close().await;
}
