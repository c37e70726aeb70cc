//! A server that takes everything and answers nothing: TCP lives, the session does not.

use std::time::Duration;

use serde_json::Value;
use simulator::Faults;
use whatsapp_worker::rehearsal::{Stage, Worker};

use crate::theatre::{PATIENCE, Theatre};

/// Silence is asked about after this long, and half of it is the time to answer.
pub const PROBE: (&str, &str) = ("WHATSAPP_PROBE_MS", "800");

pub fn in_a_row(n: u64) -> impl Fn(&Value) -> bool {
    move |line| line["inARow"] == n
}

/// The stage of a worker that the simulator can tell from others.
pub fn stage_of(theatre: &Theatre, name: &str) -> Stage {
    let mut stage = theatre.stage.clone();
    stage.ws_url = theatre.sim.url_for(name);
    stage
}

pub fn deaf_to(name: &str) -> Faults {
    Faults {
        deaf_to: vec![name.to_owned()],
        ..Faults::default()
    }
}

/// A linked account, and its worker restarted under a name that the simulator knows.
pub async fn named_worker(theatre: &Theatre, name: &str) -> Worker {
    let mut worker = theatre.linked_worker(name).await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let worker = stage_of(theatre, name).start(name).expect("starts");
    theatre.connected(&worker, 1).await;
    worker
}

#[tokio::test]
async fn a_session_that_goes_deaf_connects_again() {
    let theatre = Theatre::with_settings(&[PROBE]).await;
    theatre.check_receipts().await;
    let worker = named_worker(&theatre, "one").await;
    theatre.sim.set_faults(deaf_to("one"));
    let ids = vec![theatre.text("into deaf ears")];
    worker
        .wait_for("whatsapp.session.deaf", PATIENCE, in_a_row(1))
        .await
        .expect("the silence is noticed");
    theatre.sim.set_faults(Faults::default());
    theatre.assert_each_queued_once(&ids).await;
    theatre.connected(&worker, 2).await;
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
    assert_eq!(worker.count("whatsapp.lease.released"), 0);
}

#[tokio::test]
async fn a_session_that_answers_is_never_called_deaf() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_PROBE_MS", "500")]).await;
    let worker = theatre.linked_worker("one").await;
    // justified: the absence of an event is what is looked for, over several probes.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(worker.count("whatsapp.session.deaf"), 0);
    assert_eq!(worker.count("whatsapp.connection.established"), 1);
}

#[tokio::test]
async fn a_worker_that_is_deaf_three_times_gives_the_account_to_a_standby() {
    let settings = [PROBE, ("WHATSAPP_LEASE_TTL_MS", "5000")];
    let theatre = Theatre::with_settings(&settings).await;
    theatre.check_receipts().await;
    let first = named_worker(&theatre, "one").await;
    let second = stage_of(&theatre, "two").start("two").expect("starts");
    second
        .wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true)
        .await
        .expect("stands by");
    theatre.sim.set_faults(deaf_to("one"));
    let ids = vec![theatre.text("into deaf ears")];
    first
        .wait_for("whatsapp.session.deaf", PATIENCE, in_a_row(3))
        .await
        .expect("three times");
    first
        .wait_for("whatsapp.lease.released", PATIENCE, |_| true)
        .await
        .expect("gives it up");
    theatre.connected(&second, 1).await;
    theatre.assert_each_queued_once(&ids).await;
    first
        .wait_for("whatsapp.lease.acquire.contended", PATIENCE, |line| {
            line["currentOwnerId"]
                .as_str()
                .is_some_and(|owner| owner.starts_with("two#"))
        })
        .await
        .expect("it stands by itself, after sitting out");
}

#[tokio::test]
async fn a_deaf_worker_without_a_standby_keeps_the_account_and_goes_on_trying() {
    let theatre = Theatre::with_settings(&[PROBE]).await;
    theatre.check_receipts().await;
    let worker = named_worker(&theatre, "one").await;
    theatre.sim.set_faults(deaf_to("one"));
    let ids = vec![theatre.text("into deaf ears")];
    worker
        .wait_for("whatsapp.session.deaf", PATIENCE, in_a_row(4))
        .await
        .expect("it goes on");
    assert_eq!(worker.count("whatsapp.lease.released"), 0);
    theatre.sim.set_faults(Faults::default());
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
}
