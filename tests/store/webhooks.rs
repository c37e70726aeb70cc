//! Webhooks of the store.

use std::time::Duration;

use whatsapp_worker::webhooks::Target;
use whatsapp_worker::webhooks::signature::Secret;

use super::Bench;

on_every_engine!(
    a_webhook_is_added_once_changed_and_removed_and_each_is_noted,
    the_secret_before_the_newest_signs_until_its_time_is_over,
);

fn target(url: &str) -> Target {
    Target {
        url: url.to_owned().try_into().expect("a URL"),
        accounts: Some(vec!["shop".parse().expect("valid")]),
        timeout_ms: 5_000,
        concurrency: 2,
        enabled: true,
    }
}

async fn a_webhook_is_added_once_changed_and_removed_and_each_is_noted(bench: &Bench) {
    let (store, secret) = (&bench.store, Secret::random());
    let (one, two) = (
        target("https://one.example/"),
        target("https://two.example/"),
    );
    let added = store.add_webhook("support", &one, &secret, "me").await;
    assert!(added.expect("answers"));
    let again = store.add_webhook("support", &two, &secret, "me").await;
    assert!(!again.expect("answers"));
    let kept = store
        .webhook("support")
        .await
        .expect("answers")
        .expect("exists");
    assert_eq!(kept.webhook.target, one);
    assert_eq!(kept.webhook.secrets, std::slice::from_ref(&secret));
    assert!(
        store
            .change_webhook("support", &two, "me")
            .await
            .expect("answers")
    );
    assert!(
        !store
            .change_webhook("sales", &two, "me")
            .await
            .expect("answers")
    );
    let all = store.webhooks().await.expect("answers");
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].webhook.target, two);
    assert!(
        store
            .remove_webhook("support", "me")
            .await
            .expect("answers")
    );
    assert!(
        !store
            .remove_webhook("support", "me")
            .await
            .expect("answers")
    );
    assert_eq!(store.webhooks().await.expect("answers"), []);
    for action in ["added", "changed", "removed"] {
        let noted = format!(
            "UPDATE audit SET actor = actor WHERE action = 'webhook.{action}' AND detail = 'support' AND actor = 'me'"
        );
        assert_eq!(bench.sql(&noted).await.expect("runs"), 1, "{action}");
    }
}

async fn the_secret_before_the_newest_signs_until_its_time_is_over(bench: &Bench) {
    let (store, old) = (&bench.store, Secret::random());
    let target = target("https://one.example/");
    store
        .add_webhook("support", &target, &old, "me")
        .await
        .expect("answers");
    let secrets = async || {
        let found = store.webhook("support").await.expect("answers");
        found.expect("exists").webhook.secrets
    };
    let new = Secret::random();
    let day = Duration::from_secs(86_400);
    let rotated = store.rotate_webhook("support", &new, day, "me").await;
    assert!(rotated.expect("answers"));
    assert_eq!(secrets().await, [new.clone(), old]);
    let newest = Secret::random();
    let rotated = store
        .rotate_webhook("support", &newest, Duration::ZERO, "me")
        .await;
    assert!(rotated.expect("answers"));
    assert_eq!(secrets().await, [newest]);
    let nobody = store.rotate_webhook("sales", &new, day, "me").await;
    assert!(!nobody.expect("answers"));
}
