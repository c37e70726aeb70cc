//! What an old holder may not write any more.

use whatsapp_worker::store::StoreError;

use super::{Bench, message, pn, queued};

on_every_engine!(
    a_forced_release_kills_the_old_fence,
    an_old_epoch_commits_nothing_after_a_takeover,
    a_rewound_epoch_with_another_token_is_refused,
);

async fn a_forced_release_kills_the_old_fence(bench: &Bench) {
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
    assert_eq!(bench.renew(&[&fence]).await, [""; 0]);
}

async fn an_old_epoch_commits_nothing_after_a_takeover(bench: &Bench) {
    let old = bench.fence().await;
    let new = bench
        .bid(|bid| bid.dead = Some(old.epoch()))
        .await
        .expect("dead");
    let refused = bench
        .accept(&old, vec![message("A", pn("49151000001"), "hi")])
        .await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))));
    let results = bench.store.inbox_results(&bench.account, "A").await;
    assert_eq!(results.expect("answers"), [""; 0]);
    let accepted = bench
        .accept(&new, vec![message("A", pn("49151000001"), "hi")])
        .await
        .expect("ours");
    assert!(queued(&accepted[0]));
}

/// A failover that loses commits may take the epoch back and give it out again.
async fn a_rewound_epoch_with_another_token_is_refused(bench: &Bench) {
    let old = bench.fence().await;
    let rewind = "UPDATE lease SET epoch = 0, expires_at = 0";
    assert_eq!(bench.sql(rewind).await.expect("writes"), 1);
    let new = bench.fence().await;
    assert_eq!(new.epoch(), old.epoch());
    let refused = bench
        .accept(&old, vec![message("A", pn("49151000001"), "hi")])
        .await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))));
    assert_eq!(bench.renew(&[&old]).await, [""; 0], "nor renewed");
    let released = bench.store.release_lease(&old, &bench.owner, "late").await;
    assert!(!released.expect("answers"), "nor released");
    assert_eq!(bench.renew(&[&new]).await, ["shop"]);
}
