//! What an operator looks at first.

use whatsapp_worker::rehearsal::Stage;

use super::section::{Section, TOLD, run};
use crate::agents::receiver::{Receiver, Script};
use crate::metrics::{place, until};
use crate::theatre::{PATIENCE, Theatre};

/// Waits until an event is in the store: workers put theirs there every few seconds.
async fn stored(stage: &Stage, event: &str) {
    let looking = async {
        while !run(stage, "whatsapp-worker events tail")
            .await
            .well()
            .contains(event)
        {}
    };
    let there = tokio::time::timeout(PATIENCE, looking).await;
    there.unwrap_or_else(|_| panic!("not in the store in time: {event}"));
}

pub async fn look_first(section: &mut Section) {
    let theatre = Theatre::open().await;
    let stage = &theatre.stage;
    let _worker = theatre.linked_worker("one").await;
    let id = theatre.text("hello");
    let job = theatre.jobs_of(std::slice::from_ref(&id)).await.remove(0);
    let number = theatre.shop.phone_number();
    let end = &number[number.len() - 2..];
    let told = "whatsapp.connection.established";
    stored(stage, told).await;
    for (command, parts) in [
        ("doctor", &["settings", "clock", "websocket"][..]),
        ("workers list", &["one#", "1000"]),
        ("accounts list", &["default", "connected", end]),
        ("lease show default", &["one#", "lease.acquired"]),
        ("jobs list", &[job.job_id.as_str(), "pending"]),
        ("jobs queues", &["PENDING", "default"]),
        ("events tail", &[told, "one#"]),
        ("doctor --offline", &["not asked: --offline"]),
    ] {
        let said = section.run(stage, command, &[]).await.well();
        for part in parts {
            assert!(said.contains(part), "{command}: no {part:?} in: {said}");
        }
    }
}

pub async fn events_are_not_exported(section: &mut Section) {
    let receiver = Receiver::start([
        Script::Status(401, ""),
        Script::Status(503, ""),
        Script::Status(204, ""),
    ])
    .await;
    let theatre = Theatre::with_settings(&[
        ("EVENTS_WEBHOOK_URL", receiver.url.as_str()),
        ("EVENTS_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="),
        TOLD,
    ])
    .await;
    let stage = &theatre.stage;
    let mut worker = theatre.linked_worker("one").await;
    section.logs(&worker, "events are not exported").await;
    let metrics = place(&worker).await;
    until(&metrics, r#"wa_events_sink_up{sink="webhook"}"#, 0.0).await;
    let printed = section.run(stage, "config print", &[]).await.well();
    assert!(printed.contains("EVENTS_WEBHOOK_URL") && !printed.contains("MDEyMzQ1"));
    let checked = section.run(stage, "doctor --offline", &[]).await.well();
    assert!(checked.contains("spool of events"), "{checked}");
    stored(stage, "whatsapp.connection.established").await;
    let told = section.run(stage, "events tail", &[]).await.well();
    assert!(told.contains("whatsapp.connection.established"), "{told}");
    // As after a setting was corrected: what waits is kept, and goes when the receiver takes it.
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let worker = theatre.stage.start("one").expect("starts");
    section.logs(&worker, "events are exported again").await;
    let up = r#"wa_events_sink_up{sink="webhook"}"#;
    section.metric(&worker, up, |up| up >= 1.0).await;
    let waiting = r#"wa_events_spooled_bytes{sink="webhook"}"#;
    section.metric(&worker, waiting, |bytes| bytes < 1.0).await;
    let posts = receiver.posts(3).await;
    let taken: String = posts[2..].iter().map(|post| post.body()).collect();
    assert!(taken.contains("whatsapp.qr.available"), "nothing is lost");
}
