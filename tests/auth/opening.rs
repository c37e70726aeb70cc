//! What keeps a worker from opening an auth state, and never leads to new credentials.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use whatsapp_worker::rehearsal::proxy::Weather;

use super::{REMOTE, event, refused, status, stop};
use crate::theatre::{Engine, PATIENCE, Theatre, full, seed};

#[tokio::test]
async fn without_a_key_a_worker_does_not_begin_remote_states_and_says_the_cure() {
    for (engine, settings) in [
        (Engine::Sqlite, &[REMOTE, ("WHATSAPP_AUTH_KEY", "")][..]),
        (Engine::Postgres, &[("WHATSAPP_AUTH_KEY", "")][..]),
    ] {
        let theatre = Theatre::open_on(engine, settings).await;
        for command in [&["run"][..], &["config", "check"], &["link"]] {
            let output = theatre.stage.command("one", command).output().await;
            let output = output.expect("runs");
            assert_eq!(output.status.code(), Some(78), "{engine}: {command:?}");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            for cure in ["openssl rand -hex 32", "WHATSAPP_AUTH_KEY_FILE", "=local"] {
                assert!(text.contains(cure), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn an_account_with_a_remote_state_waits_for_a_worker_with_its_key() {
    let mut theatre = Theatre::with_settings(&[REMOTE]).await;
    let worker = theatre.linked_worker("one").await;
    stop(worker).await;
    let key = |key: &str| ("WHATSAPP_AUTH_KEY".to_owned(), key.to_owned());
    theatre
        .stage
        .settings
        .extend([key(""), ("WHATSAPP_AUTH_MODE".to_owned(), String::new())]);
    let worker = theatre.stage.start("one").expect("starts");
    let why = refused(&worker).await;
    assert!(why.contains("openssl rand -hex 32"), "{why}");
    let shown = status(&theatre, |status| status.state == "failed").await;
    assert_eq!(shown.reason.as_deref(), Some("auth_unusable"));
    stop(worker).await;
    let other = "b".repeat(64);
    theatre.stage.settings.extend([key(&other)]);
    let worker = theatre.stage.start("one").expect("starts");
    let why = refused(&worker).await;
    assert!(why.contains("is sealed with key"), "{why}");
    stop(worker).await;
    // A new key in front of the old one opens it, and seals it anew.
    let both = format!("{other} {}", whatsapp_worker::rehearsal::AUTH_KEY);
    for keys in [both, other] {
        theatre.stage.settings.extend([key(&keys)]);
        let worker = theatre.stage.start("one").expect("starts");
        theatre.connected(&worker, 1).await;
        assert_eq!(worker.count("whatsapp.qr.available"), 0);
        stop(worker).await;
    }
}

#[tokio::test]
async fn a_linked_account_without_its_remote_state_gets_no_new_credentials() {
    let theatre = Theatre::with_settings(&[REMOTE]).await;
    let worker = theatre.linked_worker("one").await;
    stop(worker).await;
    for table in ["auth_records", "auth_heads"] {
        super::older_copies::sql(&theatre, &format!("DELETE FROM {table}")).await;
    }
    let worker = theatre.stage.start("one").expect("starts");
    let why = refused(&worker).await;
    assert!(
        why.contains("no auth state") && why.contains("--again"),
        "{why}"
    );
    let shown = status(&theatre, |status| status.state == "failed").await;
    assert_eq!(shown.reason.as_deref(), Some("auth_missing"));
}

/// What knows of records that are not there has lost them.
#[tokio::test]
async fn an_emptied_remote_state_is_damaged_and_gets_no_new_credentials() {
    let theatre = Theatre::with_settings(&[REMOTE]).await;
    let worker = theatre.linked_worker("one").await;
    stop(worker).await;
    let gone = super::older_copies::sql(&theatre, "DELETE FROM auth_records").await;
    assert!(gone > 0);
    let worker = theatre.stage.start("one").expect("starts");
    refused(&worker).await;
    let shown = status(&theatre, |status| status.state == "failed").await;
    assert_eq!(shown.reason.as_deref(), Some("auth_damaged"));
    stop(worker).await;
    let forgotten = "UPDATE auth_heads SET key_count = 0";
    super::older_copies::sql(&theatre, forgotten).await;
    let worker = theatre.stage.start("one").expect("starts");
    let why = refused(&worker).await;
    assert!(why.contains("holds nothing"), "{why}");
}

/// Whatever fails while a state is opened: it is tried again, and never taken for an empty one.
#[tokio::test]
async fn a_store_that_fails_while_a_state_is_opened_never_leads_to_a_code() {
    let ttl = ("WHATSAPP_LEASE_TTL_MS", "8000");
    let theatre = Theatre::open_on(Engine::Postgres, &[REMOTE, ttl]).await;
    let worker = theatre.linked_worker("one").await;
    stop(worker).await;
    let mut random = rand::rngs::StdRng::seed_from_u64(seed());
    for round in 0..if full() { 60 } else { 6 } {
        let worker = theatre.stage.start("one").expect("starts");
        event(&worker, "whatsapp.lease.acquire.success").await;
        // Between the lease and the first connection.
        let moment = Duration::from_micros(random.random_range(0..60_000));
        tokio::time::sleep(moment).await; // justified: a moment by chance is the test
        let road = theatre.road();
        match round % 3 {
            0 => road.set(Weather::Held),
            1 => road.set(Weather::Hole),
            _ => {
                road.set(Weather::Refusing);
                road.cut();
            }
        }
        let away = Duration::from_millis(random.random_range(100..3_000));
        tokio::time::sleep(away).await; // justified: how long the store is away is the test
        road.set(Weather::Fair);
        road.cut();
        let connected = worker.wait_for("whatsapp.connection.established", PATIENCE, |_| true);
        connected.await.expect("it opens it in the end");
        assert_eq!(worker.count("whatsapp.qr.available"), 0);
        assert_eq!(worker.count("whatsapp.auth.reset"), 0);
        let id = theatre.text("still there");
        theatre.jobs_of(&[id]).await;
        stop(worker).await;
    }
    assert_eq!(theatre.shop.companions().len(), 1, "one link all along");
}
