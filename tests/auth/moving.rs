//! From process to process, and from machine to machine.

use auth_store::RecordStore;
use whatsapp_worker::store::{AuthMedium, Engine};

use super::{REMOTE, elsewhere, event, stop};
use crate::theatre::{Theatre, on_each_engine};

on_each_engine!(a_remote_state_survives_a_restart_and_moves_to_another_machine_without_a_code);

async fn a_remote_state_survives_a_restart_and_moves_to_another_machine_without_a_code(
    engine: Engine,
) {
    let theatre = Theatre::open_on(engine, &[REMOTE]).await;
    theatre.check_receipts().await;
    let worker = theatre.linked_worker("one").await;
    assert_eq!(
        event(&worker, "whatsapp.auth.mode_selected").await["mode"],
        "remote"
    );
    let mut ids = vec![theatre.text("linked")];
    theatre.jobs_of(&ids).await;
    stop(worker).await;
    ids.push(theatre.text("while it is away"));
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
    ids.push(theatre.text("after a restart"));
    theatre.jobs_of(&ids).await;
    let other = elsewhere(&theatre, "two").start("two").expect("starts");
    event(&other, "whatsapp.lease.acquire.contended").await;
    stop(worker).await;
    theatre.connected(&other, 1).await;
    ids.push(theatre.text("on another machine"));
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(other.count("whatsapp.qr.available"), 0);
    let store = theatre.store().await;
    let account = store.account(&theatre.account).await.expect("answers");
    let account = account.expect("there");
    assert_eq!(account.auth_medium, Some(AuthMedium::Remote));
    assert_eq!(account.auth_home, None, "it is at home everywhere");
    let records = store.auth_view(&theatre.account).page(None, 10_000).await;
    let records = records.expect("answers");
    assert!(records.len() > 100, "pre-keys and more");
    let known = [&theatre.shop, &theatre.alice].map(|person| {
        let numbers = [person.phone_number(), person.lid().user.to_string()];
        numbers.map(String::into_bytes)
    });
    for known in known.as_flattened() {
        let readable = |value: &[u8]| value.windows(known.len()).any(|part| part == known);
        let found = records.iter().find(|(_, value)| readable(value));
        assert_eq!(found, None, "values are sealed");
    }
    let file = theatre.stage.auth_dir().join("default").join("auth.db");
    assert!(!file.exists(), "there is no second state");
}

/// Where it lies is the account's, whatever a worker would begin with.
#[tokio::test]
async fn a_state_stays_where_it_is_when_the_setting_changes() {
    let mut theatre = Theatre::open().await;
    let worker = theatre.linked_worker("one").await;
    assert_eq!(
        event(&worker, "whatsapp.auth.mode_selected").await["mode"],
        "local"
    );
    stop(worker).await;
    theatre
        .stage
        .settings
        .insert(REMOTE.0.to_owned(), REMOTE.1.to_owned());
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    assert_eq!(
        event(&worker, "whatsapp.auth.mode_selected").await["mode"],
        "local"
    );
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
}
