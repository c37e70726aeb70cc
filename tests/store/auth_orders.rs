//! What is asked of the holder of an auth state, where the state lies, and how far it had come.

use whatsapp_worker::ids::Jid;
use whatsapp_worker::store::{AskedOrder, AuthMark, AuthMedium, AuthOrder};

use super::Bench;

on_every_engine!(
    an_order_waits_until_its_holder_has_done_it,
    a_link_says_where_its_auth_state_is,
    a_mark_goes_where_its_holder_sets_it,
);

async fn an_order_waits_until_its_holder_has_done_it(bench: &Bench) {
    let (store, id) = (&bench.store, &bench.account);
    let order = |order| store.order_auth(id, order, "olga");
    assert!(
        !order(AuthOrder::Clear).await.expect("answers"),
        "no such account"
    );
    store.add_account(id, "olga").await.expect("answers");
    let fence = bench.fence().await;
    let jid = Jid::new("49151000001:1@s.whatsapp.net");
    store
        .record_link(&fence, &jid, None, None)
        .await
        .expect("ours");
    let asked = async || store.auth_order(id).await.expect("answers");
    let account = async || store.account(id).await.expect("answers").expect("there");
    assert_eq!((asked().await, account().await.auth_asked_at), (None, None));
    assert!(order(AuthOrder::AcceptRollback).await.expect("answers"));
    let earlier = store.auth_order_done(&fence, AuthOrder::Clear, "");
    earlier.await.expect("ours");
    let rollback = AskedOrder {
        order: AuthOrder::AcceptRollback,
        actor: "olga".to_owned(),
    };
    assert_eq!(asked().await, Some(rollback), "another order was done");
    assert!(order(AuthOrder::Clear).await.expect("answers"));
    assert_eq!(
        asked().await.expect("asked").order,
        AuthOrder::Clear,
        "replaced"
    );
    assert!(account().await.auth_asked_at.is_some());
    store
        .record_link(&fence, &jid, None, None)
        .await
        .expect("ours");
    let done = store.auth_order_done(&fence, AuthOrder::Clear, "cleared by olga");
    done.await.expect("ours");
    assert_eq!(asked().await, None);
    let cleared = account().await;
    assert_eq!((cleared.linked_at, cleared.auth_asked_at), (None, None));
    assert_eq!(cleared.linked, Some(jid), "its last number is still known");
    let lines = store.audit(id, 20).await.expect("answers");
    let of = |action: &str| lines.iter().filter(|line| line.action == action).count();
    assert_eq!(of("auth.accept_rollback_ordered"), 1);
    assert_eq!(of("auth.clear_ordered"), 1);
    assert_eq!(of("auth.clear_done"), 2);
}

async fn a_link_says_where_its_auth_state_is(bench: &Bench) {
    let (store, id) = (&bench.store, &bench.account);
    store.add_account(id, "o").await.expect("answers");
    let fence = bench.fence().await;
    let jid = Jid::new("49151000001:1@s.whatsapp.net");
    let lid = Jid::new("77:1@lid");
    let place = async || {
        let account = store.account(id).await.expect("answers").expect("there");
        (account.auth_medium, account.auth_home)
    };
    assert_eq!(place().await, (None, None));
    store
        .record_link(&fence, &jid, Some(&lid), Some("disk"))
        .await
        .expect("ours");
    let local = (Some(AuthMedium::Local), Some("disk".to_owned()));
    assert_eq!(place().await, local);
    // A worker of an earlier release knows the one column alone.
    bench
        .sql("UPDATE accounts SET auth_medium = NULL")
        .await
        .expect("writes");
    assert_eq!(place().await, local);
    store
        .record_link(&fence, &jid, Some(&lid), None)
        .await
        .expect("ours");
    assert_eq!(place().await, (Some(AuthMedium::Remote), None));
    store
        .record_unlink(&fence, "logged out")
        .await
        .expect("ours");
    assert_eq!(
        place().await,
        (Some(AuthMedium::Remote), None),
        "where its next link lies"
    );
    let account = store.account(id).await.expect("answers").expect("there");
    assert_eq!((account.linked, account.linked_lid), (Some(jid), Some(lid)));
    store.forget_link(id, "o").await.expect("answers");
    assert_eq!(place().await, (None, None), "wherever a worker begins");
}

async fn a_mark_goes_where_its_holder_sets_it(bench: &Bench) {
    let fence = bench.fence().await;
    let store = &bench.store;
    let read = async || store.auth_mark(&bench.account).await.expect("answers");
    assert_eq!(read().await, None);
    for writes in [5, 9, 2] {
        let mark = AuthMark {
            lineage: "l".to_owned(),
            writes,
        };
        store.set_auth_mark(&fence, &mark).await.expect("ours");
        assert_eq!(read().await, Some(mark));
    }
}
