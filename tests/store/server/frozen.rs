//! A protected transaction that is open when somebody wants the lease.

use std::pin::pin;
use std::time::Duration;

use futures_util::poll;
use whatsapp_worker::clock::Boot;
use whatsapp_worker::store::{Engine, StoreError};

use super::Witness;
use crate::store::{Bench, message, on, pn, queued};

/// Dropping FOR KEY SHARE from the fence breaks this.
#[tokio::test]
async fn a_takeover_waits_for_an_open_fenced_transaction_and_a_heartbeat_does_not() {
    on(Engine::Postgres, async |bench: &Bench| {
        let old = bench.fence().await;
        let mut witness = Witness::of(bench).await;
        witness
            .run("BEGIN; LOCK TABLE inbox IN EXCLUSIVE MODE")
            .await;
        // Its fence is checked, and then it waits for the witness.
        let batch = || vec![message("A", pn("49151000001"), "hi")];
        let mut write = pin!(bench.accept(&old, batch()));
        while witness.waiting().await < 1 {
            assert!(poll!(&mut write).is_pending());
        }
        let mut beats = Vec::new();
        beats.push(timed_beat(bench, &old).await);
        let mut takeover = pin!(bench.bid(|bid| bid.dead = Some(old.epoch())));
        while witness.waiting().await < 2 {
            assert!(
                poll!(&mut takeover).is_pending(),
                "it was let in while a write of the old holder could still commit"
            );
        }
        beats.push(timed_beat(bench, &old).await);
        witness.run("COMMIT").await;
        let (written, new) = tokio::join!(write, takeover);
        assert!(queued(&written.expect("it was first")[0]));
        let new = new.expect("the holder is dead");
        assert_eq!(new.epoch().0, 2);
        assert!(
            beats.iter().all(|took| *took < Duration::from_millis(500)),
            "{beats:?}"
        );
        let late = bench.accept(&old, batch()).await;
        assert!(matches!(late, Err(StoreError::Fenced(_))));
    })
    .await;
}

async fn timed_beat(
    bench: &Bench,
    fence: &std::sync::Arc<whatsapp_worker::store::Fence>,
) -> Duration {
    let asked = Boot::now();
    assert_eq!(bench.renew(&[fence]).await, ["shop"]);
    Boot::now().since(asked)
}

#[tokio::test]
async fn a_frozen_transaction_is_ended_by_the_server_and_commits_nothing_when_it_wakes() {
    on(Engine::Postgres, async |bench: &Bench| {
        let old = bench.fence().await;
        let mut witness = Witness::of(bench).await;
        let batch = || vec![message("A", pn("49151000001"), "hi")];
        let mut write = pin!(bench.accept(&old, batch()));
        // Step by step until its fence is checked; then nobody polls it any more.
        while witness.idle_with_a_lock().await == 0 {
            assert!(poll!(&mut write).is_pending());
            // Or the state in which it waits may never be seen.
            witness.all_quiet().await;
        }
        let asked = Boot::now();
        let new = loop {
            // A wait for the lock may be given up before the server frees it.
            let bid = whatsapp_worker::store::AcquireLease {
                account: &bench.account,
                owner: &bench.owner,
                ttl: crate::store::TTL,
                unchanged: None,
                dead: Some(old.epoch()),
            };
            match bench.store.acquire_lease(bid).await {
                Ok(won) => break won.expect("the holder is dead"),
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
            }
        };
        let took = Boot::now().since(asked);
        assert!(took < Duration::from_millis(3500), "{took:?}");
        let woken = write.await.expect_err("its transaction is gone");
        assert!(matches!(woken, StoreError::Unavailable(_)), "{woken}");
        assert_eq!(bench.jobs().await, []);
        let late = bench.accept(&old, batch()).await;
        assert!(matches!(late, Err(StoreError::Fenced(_))));
        let accepted = bench.accept(&new, batch()).await.expect("ours");
        assert!(queued(&accepted[0]));
    })
    .await;
}

#[tokio::test]
async fn writes_of_one_holder_at_the_same_time_make_one_conversation() {
    on(Engine::Postgres, async |bench: &Bench| {
        let fence = bench.fence().await;
        let writes = (0..16).map(|n| {
            let fence = fence.clone();
            async move {
                let text = message(&format!("m{n}"), pn("49151000001"), "hi");
                bench.accept(&fence, vec![text]).await.expect("ours")
            }
        });
        let accepted = futures_util::future::join_all(writes).await;
        assert!(accepted.iter().all(|accepted| queued(&accepted[0])));
        let jobs = bench.jobs().await;
        assert_eq!(jobs.len(), 16);
        assert!(
            jobs.iter()
                .all(|job| job.conversation_id == jobs[0].conversation_id)
        );
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_is_not_given_is_no_answer_and_the_connection_is_used_again() {
    on(Engine::Postgres, async |bench: &Bench| {
        let fence = bench.fence().await;
        let mut witness = Witness::of(bench).await;
        witness
            .run("BEGIN; LOCK TABLE inbox IN EXCLUSIVE MODE")
            .await;
        let batch = || vec![message("A", pn("49151000001"), "hi")];
        let refused = bench.accept(&fence, batch()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        witness.run("ROLLBACK").await;
        let accepted = bench.accept(&fence, batch()).await.expect("ours");
        assert!(queued(&accepted[0]));
    })
    .await;
}
