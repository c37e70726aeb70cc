//! Auth states in the shared store: records, their head, orders and marks.

use std::sync::Arc;

use auth_store::{Batch, Head, KeySet, RecordError, RecordKey, RecordStore};
use bytes::Bytes;
use whatsapp_worker::store::{AuthMark, AuthMedium, AuthOrder, Fence, RemoteMedium, StoreError};

use super::Bench;

on_every_engine!(
    records_are_read_back_by_name_prefix_page_and_count,
    names_are_ordered_by_their_bytes,
    the_head_follows_every_write,
    a_batch_of_thousands_is_kept_whole,
    a_stale_workers_write_is_refused_and_leaves_no_trace,
    a_batch_that_fails_leaves_nothing,
    a_view_reads_and_never_writes,
    a_state_comes_and_goes_with_its_head,
    a_state_without_all_its_records_is_not_taken_over,
    a_damaged_state_is_kept_aside,
);

async fn medium(bench: &Bench, fence: &Arc<Fence>) -> RemoteMedium {
    let medium = RemoteMedium::open(bench.store.clone(), fence.clone()).await;
    medium.expect("opens")
}

fn key(name: &str) -> RecordKey {
    RecordKey::new(name)
}

fn put(pairs: &[(&str, &str)]) -> Batch {
    let puts = pairs
        .iter()
        .map(|(name, value)| (key(name), Bytes::copy_from_slice(value.as_bytes())));
    Batch {
        puts: puts.collect(),
        ..Batch::default()
    }
}

fn names(found: &[(RecordKey, Bytes)]) -> Vec<&str> {
    found.iter().map(|(key, _)| key.as_str()).collect()
}

/// Everything that the store has of the account's auth state.
async fn everything(bench: &Bench) -> (Vec<(RecordKey, Bytes)>, Option<Head>) {
    let view = bench.store.auth_view(&bench.account);
    let records = view.page(None, 100_000).await.expect("answers");
    (records, view.head().await.expect("answers"))
}

async fn overtaken(bench: &Bench) -> (Arc<Fence>, RemoteMedium) {
    let old = bench.fence().await;
    let medium = medium(bench, &old).await;
    medium.apply(&put(&[("a", "1")])).await.expect("ours");
    (old, medium)
}

async fn records_are_read_back_by_name_prefix_page_and_count(bench: &Bench) {
    let fence = bench.fence().await;
    let medium = medium(bench, &fence).await;
    let batch = put(&[
        ("g1/b/2", "two"),
        ("g1/a", "\0"),
        ("g1/b/1", ""),
        ("g2/b/1", "x"),
    ]);
    medium.apply(&batch).await.expect("writes");
    let one = medium.load(&key("g1/b/2")).await.expect("answers");
    assert_eq!(one.as_deref(), Some(&b"two"[..]));
    assert_eq!(medium.load(&key("g1/b")).await.expect("answers"), None);
    let asked: Vec<_> = ["g1/a", "none", "g2/b/1"].map(key).into();
    let mut many = medium.load_many(&asked).await.expect("answers");
    many.sort();
    assert_eq!(names(&many), ["g1/a", "g2/b/1"]);
    assert_eq!(&many[0].1[..], b"\0");
    assert_eq!(medium.load_many(&[]).await.expect("answers"), []);
    let prefix = medium.load_prefix("g1/b/").await.expect("answers");
    assert_eq!(names(&prefix), ["g1/b/1", "g1/b/2"]);
    let listed = medium.keys("g1/", "g2/", 2).await.expect("answers");
    assert_eq!(listed, ["g1/a", "g1/b/1"].map(key));
    let all = medium.keys("", "\u{7f}", usize::MAX).await;
    assert_eq!(all.expect("answers").len(), 4);
    let first = medium.page(None, 3).await.expect("answers");
    assert_eq!(names(&first), ["g1/a", "g1/b/1", "g1/b/2"]);
    let rest = medium.page(Some(&first[2].0), 3).await.expect("answers");
    assert_eq!(names(&rest), ["g2/b/1"]);
    assert_eq!(medium.count("g1/b/").await.expect("answers"), 2);
    let other = "other".parse().expect("valid");
    let elsewhere = bench.store.auth_view(&other);
    assert_eq!(elsewhere.load(&key("g1/a")).await.expect("answers"), None);
    assert_eq!(elsewhere.head().await.expect("answers"), None);
}

/// Not by the database's language, which puts a before B.
async fn names_are_ordered_by_their_bytes(bench: &Bench) {
    let fence = bench.fence().await;
    let medium = medium(bench, &fence).await;
    let batch = put(&[
        ("s/b", ""),
        ("s/B", ""),
        ("s/é", ""),
        ("s/_", ""),
        ("s/1", ""),
        ("s-x", ""),
    ]);
    medium.apply(&batch).await.expect("writes");
    let prefix = medium.load_prefix("s/").await.expect("answers");
    assert_eq!(names(&prefix), ["s/1", "s/B", "s/_", "s/b", "s/é"]);
}

async fn the_head_follows_every_write(bench: &Bench) {
    let fence = bench.fence().await;
    let medium = medium(bench, &fence).await;
    let begun = medium.head().await.expect("answers").expect("begun");
    assert_eq!((begun.epoch, begun.writes, begun.keys.count()), (1, 0, 0));
    assert_eq!((begun.last_write_ms, begun.verified_ms), (None, None));
    let before = bench.store.now_ms().await.expect("answers");
    medium
        .apply(&put(&[("a", "1"), ("b", "1")]))
        .await
        .expect("writes");
    let mut second = put(&[("b", "2"), ("c", "2")]);
    second.deletes = ["a", "never"].map(key).into();
    medium.apply(&second).await.expect("writes");
    medium
        .apply(&Batch::default())
        .await
        .expect("nothing to do");
    let head = medium.head().await.expect("answers").expect("there");
    assert_eq!(head.lineage, begun.lineage);
    assert_eq!(head.writes, 2);
    assert_eq!(head.keys, KeySet::from_iter(["b", "c"]));
    assert!(head.last_write_ms.expect("written") >= before);
    medium.stamp_verified().await.expect("answers");
    let stamped = medium.head().await.expect("answers").expect("there");
    assert!(stamped.verified_ms.expect("stamped") >= before);
    assert_eq!(stamped.writes, 2, "that is no write");
    // The next term goes on with it.
    let next = bench.bid(|bid| bid.dead = Some(fence.epoch())).await;
    let reopened = RemoteMedium::open(bench.store.clone(), next.expect("dead")).await;
    let head = reopened
        .expect("opens")
        .head()
        .await
        .expect("answers")
        .expect("there");
    assert_eq!((head.epoch, head.writes), (2, 2));
    assert_eq!(head.lineage, begun.lineage);
}

async fn a_batch_of_thousands_is_kept_whole(bench: &Bench) {
    let fence = bench.fence().await;
    let medium = medium(bench, &fence).await;
    let batch = Batch {
        puts: (0..2500)
            .map(|n| (key(&format!("k/{n}")), Bytes::from(n.to_string())))
            .collect(),
        deletes: Vec::new(),
        ..Batch::default()
    };
    medium.apply(&batch).await.expect("writes");
    let all: Vec<_> = batch.puts.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(medium.load_many(&all).await.expect("answers").len(), 2500);
    let head = medium.head().await.expect("answers").expect("there");
    assert_eq!((head.keys.count(), head.writes), (2500, 1));
    let removal = Batch {
        puts: Vec::new(),
        deletes: all,
        ..Batch::default()
    };
    medium.apply(&removal).await.expect("writes");
    let head = medium.head().await.expect("answers").expect("there");
    assert_eq!(head.keys, KeySet::default());
    assert_eq!(medium.count("k/").await.expect("answers"), 0);
}

async fn a_stale_workers_write_is_refused_and_leaves_no_trace(bench: &Bench) {
    let (old, stale) = overtaken(bench).await;
    let new = bench.bid(|bid| bid.dead = Some(old.epoch())).await;
    let fresh = medium(bench, &new.expect("dead")).await;
    fresh.apply(&put(&[("a", "2")])).await.expect("ours");
    let before = everything(bench).await;
    let mut batch = put(&[("a", "stale"), ("b", "stale")]);
    batch.deletes = vec![key("a")];
    let refused = stale.apply(&batch).await;
    assert!(
        matches!(refused, Err(RecordError::Fenced { ours: 1, stored: 2 })),
        "{refused:?}"
    );
    let head = before.1.clone().expect("there");
    let store = &bench.store;
    let mark = AuthMark {
        lineage: head.lineage.clone(),
        writes: 9,
    };
    for refused in [
        store.adopt_auth(&old, &head, &before.0).await,
        store.leave_auth(&old, "here").await,
        store.set_auth_aside(&old).await.map(drop),
        store.set_auth_mark(&old, &mark).await,
        store.auth_order_done(&old, AuthOrder::Clear, "").await,
        RemoteMedium::open(store.clone(), old.clone())
            .await
            .map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
    }
    assert_eq!(everything(bench).await, before);
    assert_eq!(
        store.auth_mark(&bench.account).await.expect("answers"),
        None
    );
    fresh.apply(&put(&[("b", "2")])).await.expect("still ours");
}

async fn a_batch_that_fails_leaves_nothing(bench: &Bench) {
    let fence = bench.fence().await;
    let medium = medium(bench, &fence).await;
    medium.apply(&put(&[("a", "1")])).await.expect("writes");
    let before = everything(bench).await;
    // The last statement of a write finds no place to go.
    let rule = "CREATE UNIQUE INDEX rule ON auth_heads(key_count); INSERT INTO auth_heads
        SELECT 'other', epoch, lineage, writes, 2, key_digest, NULL, NULL FROM auth_heads";
    bench.sql(rule).await.expect("writes");
    let refused = medium.apply(&put(&[("b", "2")])).await;
    assert!(
        matches!(&refused, Err(RecordError::Damaged { place, .. }) if place == "the shared store"),
        "{refused:?}"
    );
    assert_eq!(everything(bench).await, before);
    bench
        .sql("DELETE FROM auth_heads WHERE account_id = 'shop'")
        .await
        .expect("writes");
    bench.sql("DROP INDEX rule").await.expect("writes");
    let refused = medium.apply(&put(&[("b", "2")])).await;
    assert!(
        matches!(refused, Err(RecordError::Damaged { .. })),
        "{refused:?}"
    );
    assert_eq!(
        everything(bench).await.0,
        before.0,
        "a lost head is not made anew"
    );
}

async fn a_view_reads_and_never_writes(bench: &Bench) {
    let (_, medium) = overtaken(bench).await;
    let view = bench.store.auth_view(&bench.account);
    let refused = view.apply(&put(&[("a", "2")])).await;
    assert!(matches!(refused, Err(RecordError::ReadOnly)), "{refused:?}");
    let found = view.load(&key("a")).await.expect("answers");
    assert_eq!(found.as_deref(), Some(&b"1"[..]));
    assert_eq!(
        view.head().await.expect("answers"),
        medium.head().await.expect("answers")
    );
}

async fn a_state_comes_and_goes_with_its_head(bench: &Bench) {
    let store = &bench.store;
    store
        .add_account(&bench.account, "o")
        .await
        .expect("answers");
    let (fence, medium) = overtaken(bench).await;
    let mut head = medium.head().await.expect("answers").expect("there");
    head.epoch = 77;
    head.lineage = "from-a-file".to_owned();
    head.writes = 40;
    head.verified_ms = Some(5);
    head.keys = KeySet::from_iter(["x", "y"]);
    let records = put(&[("x", "1"), ("y", "2")]).puts;
    store
        .adopt_auth(&fence, &head, &records)
        .await
        .expect("ours");
    let (found, adopted) = everything(bench).await;
    assert_eq!(found, records, "and nothing of what was there before");
    head.epoch = 1;
    assert_eq!(adopted, Some(head));
    let account = async || {
        store
            .account(&bench.account)
            .await
            .expect("answers")
            .expect("there")
    };
    let remote = account().await;
    assert_eq!(
        (remote.auth_medium, remote.auth_home),
        (Some(AuthMedium::Remote), None)
    );
    store.leave_auth(&fence, "disk").await.expect("ours");
    assert_eq!(everything(bench).await, (Vec::new(), None));
    let local = account().await;
    assert_eq!(local.auth_medium, Some(AuthMedium::Local));
    assert_eq!(local.auth_home.as_deref(), Some("disk"));
    let lines = store.audit(&bench.account, 10).await.expect("answers");
    let moved = lines.iter().filter(|line| line.action == "auth.moved");
    assert_eq!(moved.count(), 2);
}

async fn a_state_without_all_its_records_is_not_taken_over(bench: &Bench) {
    let (fence, medium) = overtaken(bench).await;
    let before = everything(bench).await;
    let head = medium.head().await.expect("answers").expect("there");
    let records = put(&[("b", "1")]).puts;
    let refused = bench.store.adopt_auth(&fence, &head, &records).await;
    assert!(
        matches!(refused, Err(StoreError::Unusable(_))),
        "{refused:?}"
    );
    assert_eq!(everything(bench).await, before);
}

async fn a_damaged_state_is_kept_aside(bench: &Bench) {
    let (fence, _) = overtaken(bench).await;
    let (records, head) = everything(bench).await;
    let aside = bench.store.set_auth_aside(&fence).await.expect("ours");
    assert!(aside.starts_with("shop!"), "{aside}");
    assert_eq!(everything(bench).await, (Vec::new(), None));
    medium(bench, &fence).await;
    let back = format!(
        "DELETE FROM auth_heads WHERE account_id = 'shop';
         UPDATE auth_heads SET account_id = 'shop' WHERE account_id = '{aside}';
         UPDATE auth_records SET account_id = 'shop' WHERE account_id = '{aside}'"
    );
    bench.sql(&back).await.expect("writes");
    assert_eq!(everything(bench).await, (records, head), "nothing is lost");
}
