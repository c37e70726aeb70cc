//! Lease and fence.

use std::time::Duration;

use whatsapp_worker::store::StoreError;

use super::{Bench, TTL, message, pn, queued};

#[tokio::test]
async fn a_held_lease_is_not_acquired_and_a_released_one_is() {
    let bench = Bench::new().await;
    let first = bench.fence().await;
    assert_eq!(first.epoch().0, 1);
    assert!(bench.bid(|_| {}).await.is_none(), "held");
    assert!(
        bench
            .store
            .release_lease(&first, &bench.owner, "test")
            .await
            .expect("answers")
    );
    let second = bench.fence().await;
    assert_eq!(second.epoch().0, 2);
    assert_eq!(
        bench.store.renew_lease(&first, TTL).await.expect("answers"),
        None
    );
    assert_eq!(
        bench
            .store
            .renew_lease(&second, TTL)
            .await
            .expect("answers"),
        Some(1)
    );
    assert!(
        !bench
            .store
            .release_lease(&first, &bench.owner, "late")
            .await
            .expect("answers")
    );
    assert_eq!(
        bench
            .store
            .renew_lease(&second, TTL)
            .await
            .expect("answers"),
        Some(2)
    );
}

#[tokio::test]
async fn an_expired_lease_is_taken_and_not_renewed() {
    let bench = Bench::new().await;
    let first = bench
        .bid(|bid| bid.ttl = Duration::from_millis(1))
        .await
        .expect("free");
    while bench
        .store
        .lease(&bench.account)
        .await
        .expect("answers")
        .expect("a row")
        .remaining_ms
        > 0
    {}
    assert_eq!(
        bench.store.renew_lease(&first, TTL).await.expect("answers"),
        None
    );
    assert_eq!(bench.fence().await.epoch().0, 2);
}

#[tokio::test]
async fn a_holder_without_a_beat_or_proven_dead_is_replaced_before_its_ttl() {
    let bench = Bench::new().await;
    let first = bench.fence().await;
    let seen = Some((first.epoch(), 0));
    bench.store.renew_lease(&first, TTL).await.expect("answers");
    assert!(
        bench.bid(|bid| bid.unchanged = seen).await.is_none(),
        "it has beaten since"
    );
    let seen = Some((first.epoch(), 1));
    let second = bench
        .bid(|bid| bid.unchanged = seen)
        .await
        .expect("no beat since");
    assert_eq!(second.epoch().0, 2);
    let overtaken = bench.bid(|bid| bid.dead = Some(first.epoch())).await;
    assert!(
        overtaken.is_none(),
        "that holder is long gone, and another lives"
    );
    let third = bench
        .bid(|bid| bid.dead = Some(second.epoch()))
        .await
        .expect("dead");
    assert_eq!(third.epoch().0, 3);
}

#[tokio::test]
async fn a_forced_release_kills_the_old_fence() {
    let bench = Bench::new().await;
    let fence = bench.fence().await;
    bench
        .store
        .force_release_lease(&bench.account, "operator")
        .await
        .expect("answers");
    let refused = bench
        .accept(&fence, vec![message("A", pn("49151000001"), "hi")])
        .await;
    assert!(matches!(refused, Err(StoreError::Fenced(account)) if account == bench.account));
    assert_eq!(bench.jobs().await, []);
    let audit = bench
        .store
        .audit(&bench.account, 10)
        .await
        .expect("answers");
    let actions: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["lease.force_released", "lease.acquired"]);
}

#[tokio::test]
async fn an_old_epoch_commits_nothing_after_a_takeover() {
    let bench = Bench::new().await;
    let old = bench.fence().await;
    let new = bench
        .bid(|bid| bid.dead = Some(old.epoch()))
        .await
        .expect("dead");
    let refused = bench
        .accept(&old, vec![message("A", pn("49151000001"), "hi")])
        .await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))));
    assert_eq!(
        bench
            .store
            .inbox_results(&bench.account, "A")
            .await
            .expect("answers"),
        [""; 0]
    );
    let accepted = bench
        .accept(&new, vec![message("A", pn("49151000001"), "hi")])
        .await
        .expect("ours");
    assert!(queued(&accepted[0]));
}
