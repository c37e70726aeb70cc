//! Up to where messages are known from before a link.

use whatsapp_worker::ids::Jid;
use whatsapp_worker::inbound::message::Inbound;
use whatsapp_worker::store::Fence;

use super::{Bench, message, pn};

on_every_engine!(
    what_was_committed_before_the_present_link_is_known_and_nothing_later,
    messages_of_a_number_that_was_replaced_do_not_count,
);

async fn link(bench: &Bench, fence: &Fence, number: &str) {
    // A link takes longer than a millisecond; what is committed in the same one counts as later.
    let now = async || bench.store.now_ms().await.expect("answers");
    let before = now().await;
    while now().await == before {}
    let jid = Jid::new(format!("{number}@s.whatsapp.net"));
    let linked = bench.store.record_link(fence, &jid, None, None).await;
    linked.expect("ours");
}

fn sent_at(id: &str, sent_at_ms: i64) -> Inbound {
    Inbound {
        sent_at_ms,
        ..message(id, pn("49151000001"), id)
    }
}

async fn known(bench: &Bench) -> Option<i64> {
    let known = bench.store.known_until(&bench.account).await;
    known.expect("answers")
}

async fn what_was_committed_before_the_present_link_is_known_and_nothing_later(bench: &Bench) {
    let fence = bench.fence().await;
    let added = bench.store.add_account(&bench.account, "operator").await;
    added.expect("answers");
    assert_eq!(known(bench).await, None);
    link(bench, &fence, "49151000009:1").await;
    let batch = vec![sent_at("A", 2_000), sent_at("B", 1_000)];
    bench.accept(&fence, batch).await.expect("ours");
    assert_eq!(known(bench).await, None, "they came by the present link");
    link(bench, &fence, "49151000009:2").await;
    assert_eq!(
        known(bench).await,
        Some(2_000),
        "another device, the same number"
    );
    let batch = vec![sent_at("C", 3_000)];
    bench.accept(&fence, batch).await.expect("ours");
    link(bench, &fence, "49151000009:2").await;
    assert_eq!(
        known(bench).await,
        Some(2_000),
        "said again of the same device"
    );
    let ended = bench.store.record_unlink(&fence, "logged out").await;
    ended.expect("ours");
    let now = bench.store.now_ms().await.expect("answers");
    while bench.store.now_ms().await.expect("answers") == now {}
    assert_eq!(
        known(bench).await,
        Some(3_000),
        "a link that is not recorded yet"
    );
}

async fn messages_of_a_number_that_was_replaced_do_not_count(bench: &Bench) {
    let fence = bench.fence().await;
    let added = bench.store.add_account(&bench.account, "operator").await;
    added.expect("answers");
    link(bench, &fence, "49151000009:1").await;
    let batch = vec![sent_at("A", 2_000)];
    bench.accept(&fence, batch).await.expect("ours");
    link(bench, &fence, "49151000008:1").await;
    assert_eq!(known(bench).await, None);
    let batch = vec![sent_at("B", 3_000)];
    bench.accept(&fence, batch).await.expect("ours");
    link(bench, &fence, "49151000008:2").await;
    assert_eq!(known(bench).await, Some(3_000));
}
