//! Worker processes that export their events.

use serde_json::Value;
use tokio::net::TcpListener;

use crate::agents::receiver::{Receiver, Script};
use crate::theatre::{PATIENCE, Theatre};

const TOKEN: &str = "xaat-0123456789abcdef";
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==";

/// A theatre whose workers export to `url`, as to Axiom and as to a webhook.
async fn theatre(url: &str) -> Theatre {
    Theatre::with_settings(&[
        ("AXIOM_DATASET", "logs"),
        ("AXIOM_TOKEN", TOKEN),
        ("AXIOM_URL", url),
        ("EVENTS_WEBHOOK_URL", url),
        ("EVENTS_WEBHOOK_SECRET", SECRET),
    ])
    .await
}

/// What both sinks got so far: events of Axiom, events of the webhook.
fn events(posts: &[crate::agents::receiver::Post]) -> (Vec<Value>, Vec<Value>) {
    let (mut axiom, mut hook) = (Vec::new(), Vec::new());
    for post in posts {
        if post.path().ends_with("/ingest") {
            let lines = post.body().lines();
            axiom.extend(lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
        } else {
            hook.extend(post.json()["data"].as_array().expect("events").clone());
        }
    }
    (axiom, hook)
}

/// Waits until both sinks know of `event`, and returns what they know.
async fn both_know(receiver: &Receiver, event: &str) -> (Vec<Value>, Vec<Value>) {
    let knows = |told: &[Value]| told.iter().any(|line| line["event"] == event);
    for count in 1.. {
        let told = events(&receiver.posts(count).await);
        if knows(&told.0) && knows(&told.1) {
            return told;
        }
    }
    unreachable!("it counts for ever")
}

#[tokio::test]
async fn both_sinks_know_what_happened_and_nobody_learns_numbers_or_secrets() {
    let receiver = Receiver::start([Script::Status(200, r#"{"ingested":1000}"#)]).await;
    let theatre = theatre(&receiver.url).await;
    let mut worker = theatre.linked_worker("one").await;
    let asked = theatre.text("a text that is nobody's business");
    theatre.jobs_of(std::slice::from_ref(&asked)).await;
    both_know(&receiver, "whatsapp.inbound.queued").await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let (axiom, hook) = both_know(&receiver, "whatsapp.lease.released").await;
    assert_eq!(axiom.len(), hook.len());
    let owner = axiom[0]["worker"].as_str().expect("an owner");
    assert!(owner.starts_with("one#"), "{owner}");
    let posts = receiver.posts(1).await;
    let told: String = posts.iter().map(|post| post.body()).collect();
    let lines = worker.lines();
    let lines: String = lines.borrow().iter().map(Value::to_string).collect();
    for person in [&theatre.shop, &theatre.alice] {
        let number = person.phone_number();
        assert!(!told.contains(number.trim_start_matches('+')), "a number");
        assert!(!told.contains(person.lid().user.as_str()), "an address");
    }
    assert!(!told.contains("business"), "a text");
    for secret in [TOKEN, SECRET] {
        assert!(
            !told.contains(secret) && !lines.contains(secret),
            "a secret"
        );
    }
    let spool = theatre.stage.dir.join("store.db.events");
    for sink in ["axiom", "webhook"] {
        let left = std::fs::read_dir(spool.join(sink)).expect("made").count();
        assert_eq!(left, 0, "{sink}");
    }
}

#[tokio::test]
async fn what_a_killed_worker_could_not_send_is_sent_by_the_next_one() {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("free ports");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let theatre = theatre(&format!("http://{address}/hook")).await;
    let mut worker = theatre.linked_worker("one").await;
    let so_far = worker.so_far();
    // Told two seconds after the first event, when that is on disk.
    theatre
        .says(&worker, "events are not exported, they wait on disk")
        .await;
    assert!(so_far > 0);
    worker.kill().await.expect("ours");
    let listener = TcpListener::bind(address).await.expect("still free");
    let receiver = Receiver::start_on(listener, [Script::Status(200, r#"{"ingested":1000}"#)]);
    let _next = theatre.stage.start("two").expect("starts");
    let (axiom, hook) = both_know(&receiver, "whatsapp.lease.acquire.success").await;
    for told in [axiom, hook] {
        let owner = told[0]["worker"].as_str().expect("an owner");
        assert!(owner.starts_with("one#"), "{owner}");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_with_its_cure_and_not_by_its_value() {
    let receiver = Receiver::start([Script::Status(403, "forbidden")]).await;
    let theatre = theatre(&receiver.url).await;
    let worker = theatre.linked_worker("one").await;
    theatre.says(&worker, "events are not exported").await;
    let mut lines = worker.lines();
    let cure = |line: &Value| {
        let why = line["why"].as_str().unwrap_or_default();
        line["sink"] == "axiom" && why.contains("403") && why.contains("AXIOM_TOKEN")
    };
    let told = lines.wait_for(|lines| lines.iter().any(cure));
    let told = tokio::time::timeout(PATIENCE, told).await;
    let told: String = told
        .expect("in time")
        .expect("it lives")
        .iter()
        .map(Value::to_string)
        .collect();
    assert!(!told.contains(TOKEN));
}
