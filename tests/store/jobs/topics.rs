//! Who is woken by what.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use whatsapp_worker::clock::Boot;
use whatsapp_worker::jobs::{Queue, QueueOptions};
use whatsapp_worker::store::{Changes, ClaimRequest, Failed, Retention, Store, Topic};

use super::{ALICE, BOB, LOCK, RETRIES, failure, id, message, pn, said};
use crate::store::Bench;

on_every_engine!(
    a_message_wakes_those_who_wait_for_jobs_and_leaves_the_fleet_asleep,
    a_reply_wakes_the_outbox,
    a_long_poll_gets_what_arrives_in_its_process_and_in_another,
    a_long_poll_sleeps_until_a_retry_is_due_and_no_longer,
    a_long_poll_ends_with_its_time_and_at_a_stop,
);

const QUIET: Duration = Duration::from_millis(500);

async fn settle(changes: &mut Changes) {
    while tokio::time::timeout(QUIET, changes.next()).await.is_ok() {}
}

async fn is_woken(changes: &mut Changes) -> bool {
    tokio::time::timeout(QUIET, changes.next()).await.is_ok()
}

fn queue(store: &Store) -> Queue {
    let options = QueueOptions {
        lock: LOCK,
        retries: RETRIES,
        retention: Retention::of_messages(Duration::from_hours(24)),
    };
    Queue::new(store.clone(), options)
}

fn anything() -> ClaimRequest {
    ClaimRequest {
        accounts: None,
        processor_id: "poller".to_owned(),
        limit: 1,
        lock: LOCK,
    }
}

async fn a_message_wakes_those_who_wait_for_jobs_and_leaves_the_fleet_asleep(bench: &Bench) {
    bench.receive(&[(ALICE, "a0")]).await;
    let fence = bench.bid(|bid| bid.unchanged = None).await;
    assert!(fence.is_none(), "the lease is held");
    let other = bench.another().await;
    let (mut here, mut there) = (bench.store.watch(Topic::Jobs), other.watch(Topic::Jobs));
    let (mut fleet, mut fleet_there) = (bench.store.watch(Topic::Fleet), other.watch(Topic::Fleet));
    for changes in [&mut here, &mut there, &mut fleet, &mut fleet_there] {
        settle(changes).await;
    }
    let row = bench
        .store
        .lease(&bench.account)
        .await
        .expect("answers")
        .expect("a row");
    let fence = bench
        .bid(|bid| bid.unchanged = Some((row.epoch, row.beat)))
        .await
        .expect("taken");
    for changes in [&mut here, &mut there, &mut fleet, &mut fleet_there] {
        settle(changes).await;
    }
    let asked = Boot::now();
    let accepted = bench
        .accept(&fence, vec![message("b1", pn(BOB), "b1")])
        .await;
    accepted.expect("ours");
    here.next().await;
    there.next().await;
    let took = Boot::now().since(asked);
    assert!(took < QUIET, "{took:?}");
    assert!(!is_woken(&mut fleet).await && !is_woken(&mut fleet_there).await);
    // The same eyes see what concerns the fleet.
    bench
        .store
        .set_enabled(&bench.account, false, "o")
        .await
        .expect("answers");
    assert!(is_woken(&mut fleet).await && is_woken(&mut fleet_there).await);
    other.close().await;
}

async fn a_reply_wakes_the_outbox(bench: &Bench) {
    bench.receive(&[(ALICE, "a1"), (ALICE, "a2")]).await;
    let mut outbox = bench.store.watch(Topic::Outbox);
    settle(&mut outbox).await;
    let claim = bench.take_one().await;
    bench.complete(&claim, &["hello"]).await;
    assert!(is_woken(&mut outbox).await);
}

async fn a_long_poll_gets_what_arrives_in_its_process_and_in_another(bench: &Bench) {
    let stop = CancellationToken::new();
    let other = bench.another().await;
    for (store, text) in [(&bench.store, "here"), (&other, "there")] {
        let (queue, request) = (queue(store), anything());
        let poll = queue.claim(&request, Duration::from_secs(30), &stop);
        let write = async {
            tokio::task::yield_now().await;
            bench.receive(&[(ALICE, text)]).await;
            Boot::now()
        };
        let (claims, written) = tokio::join!(poll, write);
        let claims = claims.expect("answers");
        let took = Boot::now().since(written);
        assert_eq!(said(&claims), [text]);
        assert!(took < Duration::from_secs(1), "{took:?}");
        bench.complete(&claims[0], &[]).await;
    }
    other.close().await;
}

async fn a_long_poll_sleeps_until_a_retry_is_due_and_no_longer(bench: &Bench) {
    bench.receive(&[(ALICE, "a1")]).await;
    let claim = bench.take_one().await;
    let soon = failure(Some(Duration::from_millis(700)));
    let failed = bench
        .store
        .fail_job(id(&claim), &claim.claim_token, &soon, RETRIES);
    let failed = failed.await.expect("answers");
    let Failed::Retried { at, .. } = failed else {
        panic!("it is tried again");
    };
    let stop = CancellationToken::new();
    let claims = queue(&bench.store)
        .claim(&anything(), Duration::from_secs(30), &stop)
        .await
        .expect("answers");
    assert_eq!((said(&claims), claims[0].attempt), (vec!["a1"], 2));
    let now = bench.store.now_ms().await.expect("answers");
    assert!((at..at + 500).contains(&now), "{}", now - at);
}

async fn a_long_poll_ends_with_its_time_and_at_a_stop(bench: &Bench) {
    let (queue, stop) = (queue(&bench.store), CancellationToken::new());
    let asked = Boot::now();
    let wait = Duration::from_millis(200);
    let claims = queue.claim(&anything(), wait, &stop).await;
    assert_eq!(claims.expect("answers"), []);
    assert!(Boot::now().since(asked) >= wait);
    let request = anything();
    let poll = queue.claim(&request, Duration::from_mins(10), &stop);
    let (claims, ()) = tokio::join!(poll, async { stop.cancel() });
    assert_eq!(claims.expect("answers"), []);
}
