//! A large auth state does not delay who takes it over.

use std::sync::Arc;
use std::time::Duration;

use whatsapp_worker::clock::Boot;
use whatsapp_worker::ids::OwnerId;
use whatsapp_worker::rehearsal::give_sessions;
use whatsapp_worker::store::{AcquireLease, Engine, RemoteMedium};

use super::{REMOTE, event, stop};
use crate::theatre::{PATIENCE, Theatre, full};

/// How much later than with few sessions.
const BAR: Duration = Duration::from_millis(150);
const TRIES: usize = 3;

/// From the lease to the connection, the fastest of a few times.
async fn takeover(theatre: &Theatre) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..TRIES {
        let worker = theatre.stage.start("one").expect("starts");
        event(&worker, "whatsapp.lease.acquire.success").await;
        let won = Boot::now();
        let connected = worker.wait_for("whatsapp.connection.established", PATIENCE, |_| true);
        connected.await.expect("connected");
        fastest = fastest.min(Boot::now().since(won));
        assert_eq!(worker.count("whatsapp.qr.available"), 0);
        stop(worker).await;
    }
    fastest
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

#[tokio::test]
async fn tens_of_thousands_of_sessions_do_not_delay_a_takeover() {
    let theatre = Theatre::open_on(Engine::Postgres, &[REMOTE]).await;
    stop(theatre.linked_worker("one").await).await;
    give(&theatre, 10).await;
    let few = takeover(&theatre).await;
    let sessions = if full() { 50_000 } else { 5_000 };
    give(&theatre, sessions).await;
    let many = takeover(&theatre).await;
    println!("10 sessions: {few:?}, {sessions} sessions: {many:?}");
    assert!(many <= few + BAR, "{many:?} instead of {few:?}");
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    let id = theatre.text("still readable");
    theatre.assert_each_queued_once(&[id]).await;
}
