//! Who holds a lease, and what is written down about it.

use std::time::Duration;

use whatsapp_worker::ids::{AccountId, OwnerId};
use whatsapp_worker::store::{AcquireLease, LeaseRow};

use super::{Bench, TTL};

on_every_engine!(
    a_held_lease_is_not_acquired_and_a_released_one_is,
    an_expired_lease_is_taken_and_not_renewed,
    a_holder_without_a_beat_or_proven_dead_is_replaced_before_its_ttl,
    all_leases_of_a_process_are_renewed_at_once_and_the_lost_ones_are_missing,
    every_change_of_holder_is_written_down_with_its_epochs,
    a_successor_is_noted_until_the_next_acquisition,
    of_bids_at_the_same_time_one_wins,
);

async fn row(bench: &Bench) -> LeaseRow {
    let row = bench.store.lease(&bench.account).await.expect("answers");
    row.expect("a row")
}

async fn expire(bench: &Bench) {
    while row(bench).await.remaining_ms > 0 {}
}

async fn a_held_lease_is_not_acquired_and_a_released_one_is(bench: &Bench) {
    let first = bench.fence().await;
    assert_eq!(first.epoch().0, 1);
    assert!(bench.bid(|_| {}).await.is_none(), "held");
    let release = |fence, why| bench.store.release_lease(fence, &bench.owner, why);
    assert!(release(&first, "test").await.expect("answers"));
    assert!(!release(&first, "again").await.expect("answers"));
    let second = bench.fence().await;
    assert_eq!(second.epoch().0, 2);
    assert_eq!(bench.renew(&[&first]).await, [""; 0]);
    assert_eq!(bench.renew(&[&second]).await, ["shop"]);
    assert_eq!(bench.beat().await, 1);
    assert!(!release(&first, "late").await.expect("answers"));
    assert_eq!(bench.renew(&[&second]).await, ["shop"]);
    assert_eq!(bench.beat().await, 2);
}

async fn an_expired_lease_is_taken_and_not_renewed(bench: &Bench) {
    let first = bench
        .bid(|bid| bid.ttl = Duration::from_millis(1))
        .await
        .expect("free");
    expire(bench).await;
    assert_eq!(bench.renew(&[&first]).await, [""; 0]);
    assert_eq!(bench.fence().await.epoch().0, 2);
}

async fn a_holder_without_a_beat_or_proven_dead_is_replaced_before_its_ttl(bench: &Bench) {
    let first = bench.fence().await;
    let seen = Some((first.epoch(), 0));
    bench.renew(&[&first]).await;
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

async fn all_leases_of_a_process_are_renewed_at_once_and_the_lost_ones_are_missing(bench: &Bench) {
    let mut fences = Vec::new();
    for n in 0..11 {
        let account: AccountId = format!("a{n}").parse().expect("valid");
        let fence = bench.bid(|bid| bid.account = &account).await;
        fences.push(fence.expect("free"));
    }
    let lost = fences[3].account().clone();
    bench
        .store
        .force_release_lease(&lost, "operator")
        .await
        .expect("answers");
    let all: Vec<_> = fences.iter().collect();
    let kept = bench.renew(&all).await;
    assert_eq!(kept.len(), 10);
    assert!(!kept.contains(&"a3".to_owned()), "{kept:?}");
    for row in bench.store.leases().await.expect("answers") {
        let renewed = row.account != lost;
        assert_eq!(row.beat, i64::from(renewed), "{}", row.account);
        assert_eq!(row.remaining_ms > 50_000, renewed, "{}", row.account);
    }
    assert_eq!(bench.renew(&[]).await, [""; 0]);
}

async fn every_change_of_holder_is_written_down_with_its_epochs(bench: &Bench) {
    let first = bench
        .bid(|bid| bid.ttl = Duration::from_millis(1))
        .await
        .expect("free");
    expire(bench).await;
    let next = OwnerId::incarnate("next").expect("valid");
    let second = bench.bid(|bid| bid.owner = &next).await.expect("expired");
    bench
        .store
        .release_lease(&second, &next, "drained")
        .await
        .expect("answers");
    bench.fence().await;
    bench
        .store
        .force_release_lease(&bench.account, "operator")
        .await
        .expect("answers");
    bench.fence().await;
    let lines = bench.store.audit(&bench.account, 20).await;
    let lines: Vec<_> = lines
        .expect("answers")
        .into_iter()
        .rev()
        .map(|line| {
            let epochs = line.epoch_before.zip(line.epoch_after).expect("of a lease");
            (line.action, line.actor, epochs)
        })
        .collect();
    let of = |action: &str, actor: &str, epochs| (action.to_owned(), actor.to_owned(), epochs);
    assert_eq!(first.epoch().0, 1);
    let w = bench.owner.as_str();
    assert_eq!(
        lines,
        [
            of("lease.acquired", w, (0, 1)),
            of("lease.lost", w, (1, 2)),
            of("lease.acquired", next.as_str(), (1, 2)),
            of("lease.released", next.as_str(), (2, 2)),
            of("lease.acquired", w, (2, 3)),
            of("lease.force_released", "operator", (3, 4)),
            of("lease.acquired", w, (4, 5)),
        ]
    );
}

async fn a_successor_is_noted_until_the_next_acquisition(bench: &Bench) {
    let transfer = |to| bench.store.transfer_lease(&bench.account, to, "operator");
    assert!(!transfer("two").await.expect("answers"), "never leased");
    let fence = bench.fence().await;
    assert_eq!(row(bench).await.successor, None);
    assert!(transfer("two").await.expect("answers"));
    assert_eq!(row(bench).await.successor.as_deref(), Some("two"));
    assert_eq!(bench.renew(&[&fence]).await, ["shop"], "it holds on");
    assert!(transfer("").await.expect("answers"));
    assert_eq!(row(bench).await.successor.as_deref(), Some(""));
    bench
        .store
        .release_lease(&fence, &bench.owner, "handed over")
        .await
        .expect("answers");
    assert_eq!(row(bench).await.successor.as_deref(), Some(""));
    bench.fence().await;
    assert_eq!(row(bench).await.successor, None);
}

async fn of_bids_at_the_same_time_one_wins(bench: &Bench) {
    for epoch in 1..=5 {
        let mut bids = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let store = bench.another().await;
            let account = bench.account.clone();
            let owner = OwnerId::incarnate(name).expect("valid");
            bids.push(async move {
                let bid = AcquireLease {
                    account: &account,
                    owner: &owner,
                    ttl: TTL,
                    unchanged: None,
                    dead: None,
                };
                let fence = store.acquire_lease(bid).await.expect("answers");
                if let Some(fence) = &fence {
                    let accepted = store.publish_session_status(fence, "active", None, "");
                    accepted.await.expect("ours");
                }
                fence
            });
        }
        let fences = futures_util::future::join_all(bids).await;
        let won: Vec<_> = fences.into_iter().flatten().collect();
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].epoch().0, epoch);
        bench
            .store
            .release_lease(&won[0], &bench.owner, "next round")
            .await
            .expect("answers");
    }
}
