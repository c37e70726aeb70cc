//! A network that swallows everything, and notifications that are not heard.

use std::time::Duration;

use whatsapp_worker::clock::Boot;
use whatsapp_worker::rehearsal::proxy::{Proxy, Weather};
use whatsapp_worker::store::{Engine, StoreError, Topic};

use super::Witness;
use crate::store::{Bench, TTL, message, on, open, pn, queued};

#[tokio::test]
async fn calls_into_a_black_hole_end_in_time_and_leave_a_store_that_works() {
    on(Engine::Postgres, async |bench: &Bench| {
        let database = bench.database.as_ref().expect("PostgreSQL");
        let upstream = ([127, 0, 0, 1], database.port()).into();
        let proxy = Proxy::start(upstream).await.expect("starts");
        let store = open(&database.url_by_port(proxy.address().port()))
            .await
            .expect("opens");
        let fence = bench.fence().await;
        let held = [fence.clone()];
        let kept = store.renew_leases(&held, TTL).await.expect("answers");
        assert_eq!(kept.len(), 1);
        proxy.set(Weather::Hole);
        // More than there are connections, of every kind.
        for _ in 0..2 {
            let asked = Boot::now();
            let reads = (0..12).map(|_| async { store.leases().await.map(drop) });
            let renewals = (0..4).map(|_| async { store.renew_leases(&held, TTL).await.map(drop) });
            let writes = (0..4).map(|_| async {
                let status = store.publish_session_status(&fence, "active", None, "");
                status.await
            });
            let (reads, renewals, writes) = tokio::join!(
                futures_util::future::join_all(reads),
                futures_util::future::join_all(renewals),
                futures_util::future::join_all(writes)
            );
            let took = Boot::now().since(asked);
            for outcome in reads.into_iter().chain(renewals).chain(writes) {
                assert!(matches!(outcome, Err(StoreError::Unavailable(_))));
            }
            assert!(took < Duration::from_secs(10), "{took:?}");
        }
        proxy.set(Weather::Fair);
        let healed = Boot::now();
        while store.renew_leases(&held, TTL).await.is_err() {}
        let took = Boot::now().since(healed);
        assert!(took < Duration::from_secs(8), "{took:?}");
        let reads = (0..12).map(|_| store.leases());
        for rows in futures_util::future::join_all(reads).await {
            assert_eq!(rows.expect("answers").len(), 1);
        }
        let arrivals = bench.accept(&fence, vec![message("A", pn("49151000001"), "hi")]);
        assert!(queued(&arrivals.await.expect("ours")[0]));
        store.close().await;
    })
    .await;
}

const LISTENER: &str = "SELECT COALESCE(MAX(pid), 0)::bigint FROM pg_stat_activity
     WHERE datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle'";

#[tokio::test]
async fn a_lost_listener_is_made_up_for_and_listens_again() {
    on(Engine::Postgres, async |bench: &Bench| {
        let mut witness = Witness::of(bench).await;
        let mut changes = bench.store.watch(Topic::Fleet);
        changes.next().await;
        let first = witness.count(LISTENER).await;
        assert_ne!(first, 0);
        witness
            .run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND query LIKE 'LISTEN%'",
            )
            .await;
        let lost = Boot::now();
        changes.next().await;
        let took = Boot::now().since(lost);
        assert!(took < Duration::from_secs(2), "{took:?}");
        loop {
            let again = witness.count(LISTENER).await;
            if again != 0 && again != first {
                break;
            }
        }
        while tokio::time::timeout(Duration::from_millis(400), changes.next())
            .await
            .is_ok()
        {}
        let asked = Boot::now();
        bench
            .store
            .add_account(&bench.account, "operator")
            .await
            .expect("answers");
        changes.next().await;
        let took = Boot::now().since(asked);
        assert!(took < Duration::from_millis(900), "{took:?}");
    })
    .await;
}
