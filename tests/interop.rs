//! Clients that nobody here wrote: real Baileys, as a Node process each.

mod adopting;
pub mod driver;
mod sending;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::RngExt;
use serde_json::json;
use simulator::{GroupAddressing, Person};
use whatsapp_worker::store::Store;

use self::driver::Script;
use crate::theatre::{PATIENCE, Theatre, full};

pub fn interop_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// A Baileys client linked to `person` by a QR code.
async fn linked_baileys(theatre: &Theatre, person: &Person) -> Script {
    linked_baileys_in(theatre, person, None).await
}

/// The same, with its auth state in `folder`.
async fn linked_baileys_in(theatre: &Theatre, person: &Person, folder: Option<&Path>) -> Script {
    let (url, ca) = (theatre.sim.url(), &theatre.stage.ca_file);
    let mut baileys = Script::baileys(&interop_dir(), &url, ca, folder);
    let connecting = baileys.begin("connect", json!({})).await;
    let shown = baileys.event("qr", |_| true).await;
    let qr = shown["qr"].as_str().expect("a code").to_owned();
    person.scan_qr(&qr).await.expect("the phone links it");
    baileys.answer(connecting).await;
    baileys.event("open", |_| true).await;
    baileys
}

#[tokio::test]
async fn baileys_writes_and_our_worker_queues_text_group_and_image() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let _worker = theatre.linked_worker("one").await;
    let mut baileys = linked_baileys(&theatre, &theatre.alice).await;
    let group = theatre.sim.create_group(
        "Team",
        &theatre.alice,
        &[&theatre.shop],
        GroupAddressing::Lid,
    );
    let shop = theatre.shop.jid().to_string();
    let bytes = vec![42; 50_000];
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bytes);

    let text = baileys
        .call("send_text", json!({"to": shop, "text": "from Baileys"}))
        .await;
    let in_group = baileys
        .call(
            "send_text",
            json!({"to": group.to_string(), "text": "in the group"}),
        )
        .await;
    let image = baileys
        .call(
            "send_image",
            json!({"to": shop, "base64": encoded, "caption": "look"}),
        )
        .await;
    let ids: Vec<String> = [&text, &in_group, &image]
        .iter()
        .map(|answer| answer["id"].as_str().expect("an id").to_owned())
        .collect();
    theatre.assert_each_queued_once(&ids).await;

    let jobs = theatre.jobs_of(&ids).await;
    let store = theatre.store().await;
    let mut contents = Vec::new();
    for id in &ids {
        let job = jobs
            .iter()
            .find(|job| job.channel_message_id == *id)
            .expect("queued");
        contents.push(content(&store, &job.job_id).await);
    }
    assert_eq!(contents[0], json!({"type": "text", "body": "from Baileys"}));
    assert_eq!(contents[1], json!({"type": "text", "body": "in the group"}));
    assert_eq!(contents[2]["media"]["caption"], "look");
    assert_eq!(contents[2]["media"]["sha256"], image["sha256"]);
    let job = jobs
        .iter()
        .find(|job| job.channel_message_id == ids[2])
        .expect("queued");
    let out = theatre.stage.dir.join("image");
    let got = theatre
        .stage
        .command(
            "operator",
            &[
                "media",
                "get",
                job.job_id.as_str(),
                "--out",
                out.to_str().expect("text"),
            ],
        )
        .output()
        .await
        .expect("runs");
    assert_eq!(
        got.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&got.stderr)
    );
    assert_eq!(std::fs::read(&out).expect("reads"), bytes);
    baileys.stop().await;
}

async fn content(store: &Store, job: &whatsapp_worker::ids::JobId) -> serde_json::Value {
    store
        .job(job)
        .await
        .expect("answers")
        .expect("exists")
        .content
}

#[tokio::test]
async fn our_worker_writes_and_baileys_reads_it() {
    let theatre = Theatre::with_settings(&[("SIMULATOR_REPLY", "text")]).await;
    let worker = theatre.linked_worker("one").await;
    let mut baileys = linked_baileys(&theatre, &theatre.alice).await;
    let shop = theatre.shop.jid().to_string();
    baileys
        .call("send_text", json!({"to": shop, "text": "anybody there?"}))
        .await;
    let sent = worker
        .wait_for("whatsapp.outbound.sent", PATIENCE, |_| true)
        .await
        .expect("it answers");
    let id = sent["channelMessageId"].as_str().expect("an id");
    let read = baileys.message(id).await;
    assert_eq!(read["text"], "thank you");
    assert_eq!(baileys.events("closed"), Vec::<serde_json::Value>::new());
    assert_eq!(theatre.sim.lint(), []);
    baileys.stop().await;
}

#[tokio::test]
async fn a_worker_killed_while_baileys_writes_loses_and_doubles_nothing() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let mut worker = theatre.linked_worker("one").await;
    let mut baileys = linked_baileys(&theatre, &theatre.alice).await;
    let shop = theatre.shop.jid().to_string();
    let count = if full() { 300 } else { 100 };
    let burst = baileys
        .begin(
            "send_burst",
            json!({"to": shop, "prefix": "message ", "count": count}),
        )
        .await;
    for _ in 0..2 {
        let life = rand::rng().random_range(100..700);
        // justified: the moment of the kill is the point, not a wait for anything.
        tokio::time::sleep(Duration::from_millis(life)).await;
        worker.kill().await.expect("ours");
        worker = theatre.stage.start("one").expect("starts");
    }
    let answer = baileys.answer(burst).await;
    let ids: Vec<String> = serde_json::from_value(answer["ids"].clone()).expect("ids");
    assert_eq!(ids.len(), count);
    theatre.connected(&worker, 1).await;
    theatre.assert_each_queued_once(&ids).await;
    baileys.stop().await;
}
