//! What operators switch.

use whatsapp_worker::store::StoreError;

use super::Bench;

on_every_engine!(
    an_account_is_enabled_disabled_paused_and_resumed_with_a_line_each,
    an_account_is_added_once,
    what_breaks_a_rule_of_the_schema_is_rejected,
);

async fn an_account_is_enabled_disabled_paused_and_resumed_with_a_line_each(bench: &Bench) {
    let (store, id) = (&bench.store, &bench.account);
    assert!(!store.set_enabled(id, false, "o").await.expect("answers"));
    store.add_account(id, "o").await.expect("answers");
    let now = async || store.account(id).await.expect("answers").expect("there");
    let account = now().await;
    assert!(account.enabled && !account.paused && account.resumed_at.is_none());
    assert!(!store.set_enabled(id, true, "o").await.expect("answers"));
    assert!(store.set_enabled(id, false, "o").await.expect("answers"));
    assert!(store.set_paused(id, true, "o").await.expect("answers"));
    assert!(!store.set_paused(id, true, "o").await.expect("answers"));
    let account = now().await;
    assert!(!account.enabled && account.paused && account.resumed_at.is_none());
    assert!(store.set_enabled(id, true, "o").await.expect("answers"));
    assert!(store.set_paused(id, false, "o").await.expect("answers"));
    let account = now().await;
    let first = account.resumed_at.expect("stamped");
    assert!(account.enabled && !account.paused);
    while store.now_ms().await.expect("answers") == first {}
    assert!(store.set_paused(id, false, "o").await.expect("answers"));
    assert!(now().await.resumed_at.expect("stamped") > first);
    let lines = store.audit(id, 10).await.expect("answers");
    let actions: Vec<_> = lines
        .iter()
        .rev()
        .map(|line| line.action.as_str())
        .collect();
    assert_eq!(
        actions,
        [
            "account.added",
            "account.disabled",
            "account.paused",
            "account.enabled",
            "account.resumed",
            "account.resumed"
        ]
    );
    assert!(lines.iter().all(|line| line.epoch_after.is_none()));
}

async fn an_account_is_added_once(bench: &Bench) {
    let add = || bench.store.add_account(&bench.account, "operator");
    assert!(add().await.expect("answers"));
    assert!(!add().await.expect("answers"));
    assert_eq!(bench.store.accounts().await.expect("answers").len(), 1);
}

async fn what_breaks_a_rule_of_the_schema_is_rejected(bench: &Bench) {
    let rule = "CREATE UNIQUE INDEX rule ON session_status(state)";
    bench.sql(rule).await.expect("writes");
    let other = "other".parse().expect("valid");
    let (one, two) = (
        bench.fence().await,
        bench.bid(|bid| bid.account = &other).await,
    );
    let publish = |fence| {
        bench
            .store
            .publish_session_status(fence, "active", None, "")
    };
    publish(&one).await.expect("ours");
    let refused = publish(&two.expect("free")).await;
    assert!(matches!(refused, Err(StoreError::Rejected(_))));
}
