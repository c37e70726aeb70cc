//! Waking those who wait.

use std::time::Duration;

use whatsapp_worker::clock::Boot;
use whatsapp_worker::store::{Changes, Topic};

use super::Bench;

on_every_engine!(a_release_by_another_process_wakes_at_once);

/// Waits until nothing is left to be told, and a little longer.
async fn settle(changes: &mut Changes) {
    let quiet = Duration::from_millis(400);
    while tokio::time::timeout(quiet, changes.next()).await.is_ok() {}
}

async fn a_release_by_another_process_wakes_at_once(bench: &Bench) {
    let fence = bench.fence().await;
    let mut changes = bench.store.watch(Topic::Fleet);
    settle(&mut changes).await;
    let other = bench.another().await;
    let asked = Boot::now();
    other
        .release_lease(&fence, &bench.owner, "test")
        .await
        .expect("answers");
    changes.next().await;
    let took = Boot::now().since(asked);
    assert!(took < Duration::from_millis(900), "{took:?}");
}
