//! Worker processes that export their events.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use whatsapp_worker::store::EventFilter;

use crate::admin::Desk;
use crate::agents::receiver::{Post, Receiver, Script};
use crate::agents::text;
use crate::theatre::{Engine, PATIENCE, Theatre, on_each_engine};

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
fn events(posts: &[Post]) -> (Vec<Value>, Vec<Value>) {
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

on_each_engine!(operators_see_what_all_workers_tell);

/// What `events tail` with `arguments` prints, once one of its lines is of `event`.
async fn tail(theatre: &Theatre, arguments: &[&str], event: &str) -> Vec<Value> {
    let tail = ["events", "tail", "--output", "json"];
    let arguments: Vec<&str> = tail.iter().chain(arguments).copied().collect();
    let looking = async {
        loop {
            let output = theatre.stage.command("operator", &arguments).output().await;
            let output = output.expect("runs");
            let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{wrong}");
            let text = String::from_utf8(output.stdout).expect("text");
            let lines = text
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"));
            let lines: Vec<Value> = lines.collect();
            if lines.iter().any(|line| line["event"] == event) {
                return lines;
            }
            // justified: another process writes the store.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .expect("in time")
}

async fn operators_see_what_all_workers_tell(engine: Engine) {
    let theatre = Theatre::open_on(engine, &[]).await;
    let mut worker = theatre.linked_worker("one").await;
    let standby = theatre.stage.start("two").expect("starts");
    let contended = "whatsapp.lease.acquire.contended";
    standby
        .wait_for(contended, PATIENCE, |_| true)
        .await
        .expect("told");
    let lines = tail(
        &theatre,
        &["--event", "whatsapp.lease.", "--since", "1h"],
        contended,
    )
    .await;
    let owner = |line: &Value| line["worker"].as_str().expect("an owner")[..4].to_owned();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (owner(line), line["event"].clone()))
        .collect();
    assert_eq!(
        told[0],
        ("one#".to_owned(), "whatsapp.lease.acquire.success".into())
    );
    assert!(told.contains(&("two#".to_owned(), contended.into())));
    let mut following = theatre
        .stage
        .command("operator", &["events", "tail", "--follow", "--limit", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(following.stdout.take().expect("piped")).lines();
    let mut line = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        line.expect("in time").expect("text").expect("it goes on")
    };
    // Until it follows, what is told may be too early for it.
    let first = async {
        loop {
            theatre.text("hello");
            // justified: the pace of the load, not a wait for anything.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        first = line() => assert!(first.contains("one#"), "{first}"),
        () = first => {}
    }
    // The last words of a process are in time.
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    while !line().await.contains("whatsapp.lease.released") {}
    following.kill().await.expect("ours");
}

#[tokio::test]
async fn operators_see_events_over_http_in_pages_and_a_setting_turns_them_off() {
    let desk = Desk::open(Engine::Sqlite).await;
    for number in ["4915100000001", "4915100000002"] {
        desk.0.receives_from(number, text("hello")).await;
        let claimed = desk
            .0
            .post("/v1/jobs/claim", json!({"processorId": "tester"}));
        assert_eq!(claimed.await.status, 200);
    }
    let claimed = "agent.job.claimed";
    // The second may be written after the first.
    while tail(&desk.0.theatre, &["--event", claimed], claimed)
        .await
        .len()
        < 2
    {}
    let (status, page) = desk.get("/v1/admin/events?account=default&limit=1").await;
    assert_eq!(status, 200);
    assert_eq!(page["events"].as_array().expect("a list").len(), 1);
    assert!(
        page["events"][0]["storedAt"]
            .as_i64()
            .is_some_and(|at| at > 0)
    );
    let cursor = page["nextCursor"].as_str().expect("there are more");
    let (_, next) = desk.get(&format!("/v1/admin/events?cursor={cursor}")).await;
    assert!(
        !next["events"]
            .as_array()
            .expect("a list")
            .contains(&page["events"][0])
    );
    let (_, none) = desk.get("/v1/admin/events?event=whatsapp.leases").await;
    assert_eq!(none, json!({"events": [], "nextCursor": null}));
    let (_, later) = desk.get("/v1/admin/events?since=99999999999999").await;
    assert_eq!(later["events"], json!([]));

    let quiet = Theatre::with_settings(&[("EVENTS_RETENTION_HOURS", "0")]).await;
    let mut worker = quiet.linked_worker("one").await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let store = quiet.store().await;
    let kept = store
        .page_of_events(&EventFilter::default(), 10, None)
        .await;
    assert_eq!(kept.expect("answers").rows, []);
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
    // Told of each sink two seconds after the first event, when that is on its disk.
    for sink in ["axiom", "webhook"] {
        let told = |line: &Value| {
            let text = line["message"].as_str().unwrap_or_default();
            line["sink"] == sink && text.starts_with("events are not exported, they wait on disk")
        };
        let mut lines = worker.lines();
        let told = lines.wait_for(|lines| lines.iter().any(told));
        let told = tokio::time::timeout(PATIENCE, told).await;
        drop(told.expect("in time").expect("it lives"));
    }
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
