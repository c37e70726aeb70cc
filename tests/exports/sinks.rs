//! One process's exports against a sink that is as it is told to be.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;
use whatsapp_worker::clock::Boot;
use whatsapp_worker::exports::{Axiom, ExportOptions, Exports, Hook, Pace, SpoolPlace, Target};
use whatsapp_worker::ids::OwnerId;
use whatsapp_worker::telemetry::meters;
use whatsapp_worker::telemetry::outlets::{Level, Outlet, Record, Told};
use whatsapp_worker::webhooks::signature::{Secret, Unverified};

use crate::agents::receiver::{Post, Receiver, Script};
use crate::theatre::PATIENCE;

const TOKEN: &str = "xaat-0123456789abcdef";
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==";
const TAKEN: Script = Script::Status(200, r#"{"ingested":1000}"#);

const PACE: Pace = Pace {
    linger: Duration::from_millis(20),
    again: Duration::from_millis(20),
    seldom: Duration::from_millis(200),
    chores: Duration::from_millis(50),
    flush: Duration::from_millis(500),
};

/// What exports the events of one process.
struct Process {
    exports: Exports,
    outlets: Vec<Outlet>,
}

impl Process {
    fn start(target: Target, dir: &Path) -> Self {
        whatsapp_worker::session::install_crypto_provider();
        let options = ExportOptions {
            targets: vec![target],
            spool: SpoolPlace {
                dir: dir.to_owned(),
                max_bytes: 4 << 20,
            },
            pace: PACE,
        };
        let owner = OwnerId::incarnate("w").expect("valid");
        let roots = rustls::RootCertStore::empty();
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots);
        let started = Exports::start(&options, &owner, tls.with_no_client_auth());
        let (exports, outlets) = started.expect("it can be written");
        Self { exports, outlets }
    }

    fn tell(&self, line: &str) {
        let told = Told {
            name: "whatsapp.inbound.queued",
            level: Level::Info,
            routine: true,
            line,
            payload: json!({"accountId": "shop"}),
        };
        let record = Arc::new(Record::new(Some("w#1"), told));
        self.outlets.iter().for_each(|outlet| outlet.offer(&record));
    }

    /// Ends as by kill -9: nothing is waited for but that its locks are free.
    async fn kill(self, dir: &Path) {
        drop(self);
        let gone = async {
            while files(dir, "lock").iter().any(|lock| is_held(lock)) {
                // justified: a file's lock, of which nobody tells.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("in time");
    }

    /// Ends as after SIGTERM.
    async fn finish(self) {
        drop(self.outlets);
        self.exports.finish().await;
    }
}

fn axiom(receiver: &Receiver) -> Target {
    let base = Url::parse(&receiver.url).expect("a URL");
    Target::Axiom(Axiom::new(
        &base,
        "logs",
        Secret::parse(TOKEN).expect("long enough"),
    ))
}

fn hook(url: &str) -> Target {
    Target::Hook(Hook {
        url: url.to_owned().try_into().expect("a URL"),
        secrets: vec![Secret::parse(SECRET).expect("a key")],
    })
}

/// The events of a webhook's message.
fn data(post: &Post) -> Vec<Value> {
    post.json()["data"].as_array().expect("events").clone()
}

fn texts<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let text = |event: &Value| event["message"].as_str().expect("a text").to_owned();
    events.into_iter().map(text).collect()
}

/// All files in the folders of all processes whose name ends so.
fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let below = |dir: PathBuf| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let files = below(dir.to_owned()).flat_map(below).flat_map(below);
    let named = |path: &PathBuf| path.to_string_lossy().ends_with(end);
    files.filter(named).collect()
}

fn is_held(lock: &Path) -> bool {
    let file = std::fs::OpenOptions::new().write(true).open(lock);
    file.is_ok_and(|file| file.try_lock().is_err())
}

/// Waits until `count` batches lie in `dir`.
async fn spooled(dir: &Path, count: usize) {
    let waiting = async {
        while files(dir, ".jsonl").len() < count {
            // justified: files of another task, of which nobody tells.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{count} batches in {:?}", files(dir, "")));
}

#[tokio::test]
async fn axiom_gets_lines_with_the_token_and_every_event_once() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let receiver = Receiver::start([TAKEN]).await;
    let process = Process::start(axiom(&receiver), dir.path());
    process.tell("from 4915112345678@s.whatsapp.net");
    process.tell("two");
    let post = receiver.posts(1).await.remove(0);
    assert_eq!(post.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(post.header("content-type"), "application/x-ndjson");
    assert_eq!(post.path(), "/hook/v1/datasets/logs/ingest");
    process.tell("three");
    receiver.posts(2).await;
    process.finish().await;
    let posts = receiver.posts(2).await;
    let lines = posts.iter().flat_map(|post| post.body().lines());
    let events: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(texts(&events), ["from …78@s.whatsapp.net", "two", "three"]);
    assert!(
        events[0]["_time"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
    assert_eq!(
        std::fs::read_dir(dir.path().join("axiom"))
            .expect("there")
            .count(),
        0
    );
}

#[tokio::test]
async fn events_that_failed_within_a_200_are_counted_and_not_sent_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let some = r#"{"ingested":1,"failed":2,"failures":[{"error":"too many fields"}]}"#;
    let receiver = Receiver::start([Script::Status(200, some), TAKEN]).await;
    let process = Process::start(axiom(&receiver), dir.path());
    for line in ["one", "two", "three"] {
        process.tell(line);
    }
    process.finish().await;
    let posts = receiver.posts(1).await;
    assert_eq!(posts.len(), 1);
    let mut counted = String::new();
    meters::write(&mut counted);
    for line in [
        r#"wa_events_dropped_total{sink="axiom"} 2"#,
        r#"wa_events_exported_total{sink="axiom"} 1"#,
        r#"wa_events_spooled_bytes{sink="axiom"} 0"#,
        r#"wa_events_sink_up{sink="axiom"} 1"#,
    ] {
        assert!(counted.contains(line), "{line}: {counted}");
    }
}

#[tokio::test]
async fn a_webhook_gets_signed_batches() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let receiver = Receiver::start([Script::Status(204, "")]).await;
    let process = Process::start(hook(&receiver.url), dir.path());
    process.tell("one");
    process.tell("two");
    let post = receiver.posts(1).await.remove(0);
    let secret = Secret::parse(SECRET).expect("a key");
    assert_eq!(post.verify(&secret), Ok(()));
    assert_eq!(post.verify(&Secret::random()), Err(Unverified::Wrong));
    assert_eq!(post.json()["type"], "events");
    assert_eq!(texts(&data(&post)), ["one", "two"]);
    assert_eq!(data(&post)[0]["accountId"], "shop");
    process.finish().await;
}

#[tokio::test]
async fn what_is_told_while_a_sink_is_down_survives_the_process_and_arrives_in_order() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("free ports");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let url = format!("http://{address}/hook");
    for batch in 0..3 {
        let process = Process::start(hook(&url), dir.path());
        process.tell(&format!("event {batch}"));
        spooled(dir.path(), batch + 1).await;
        process.kill(dir.path()).await;
    }
    let listener = TcpListener::bind(address).await.expect("still free");
    let receiver = Receiver::start_on(listener, [Script::Status(200, "")]);
    let process = Process::start(hook(&url), dir.path());
    process.tell("event 3");
    let posts = receiver.posts(4).await;
    process.finish().await;
    let events: Vec<Value> = posts.iter().flat_map(data).collect();
    assert_eq!(texts(&events), ["event 0", "event 1", "event 2", "event 3"]);
    assert_eq!(receiver.posts(4).await.len(), 4, "each once");
}

#[tokio::test]
async fn a_batch_is_sent_under_one_id_until_it_is_taken_and_a_wait_is_kept_to() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let script = [
        Script::Status(500, ""),
        Script::RetryAfter(429, 1),
        Script::Status(403, ""),
        Script::Status(200, ""),
    ];
    let receiver = Receiver::start(script).await;
    let process = Process::start(hook(&receiver.url), dir.path());
    process.tell("one");
    receiver.posts(2).await;
    let began = Boot::now();
    process.tell("two");
    let posts = receiver.posts(3).await;
    let waited = Boot::now().since(began);
    assert!(
        waited >= Duration::from_millis(900),
        "{waited:?}, a second was asked for"
    );
    let ids: Vec<&str> = posts.iter().map(|post| post.header("webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let posts = receiver.posts(5).await;
    assert_eq!(texts(&data(&posts[3])), ["one"], "refused, it was kept");
    assert_eq!(texts(&data(&posts[4])), ["two"]);
    process.finish().await;
}

#[tokio::test]
async fn a_sink_that_hangs_holds_up_neither_events_nor_the_end() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let receiver = Receiver::start([Script::Hang]).await;
    let process = Process::start(hook(&receiver.url), dir.path());
    process.tell("one");
    receiver.posts(1).await;
    process.tell("two");
    spooled(dir.path(), 2).await;
    process.tell("three");
    let began = Boot::now();
    process.finish().await;
    let took = Boot::now().since(began);
    assert!(took < PACE.flush + Duration::from_secs(2), "{took:?}");
    let working = Receiver::start([Script::Status(200, "")]).await;
    let next = Process::start(hook(&working.url), dir.path());
    let posts = working.posts(3).await;
    next.finish().await;
    let events: Vec<Value> = posts.iter().flat_map(data).collect();
    assert_eq!(texts(&events), ["one", "two", "three"]);
    let hung = receiver.posts(1).await.remove(0);
    assert_eq!(hung.header("webhook-id"), posts[0].header("webhook-id"));
}

#[tokio::test]
async fn a_spool_that_is_full_loses_the_oldest() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let receiver = Receiver::start([Script::Hang]).await;
    let process = Process::start(hook(&receiver.url), dir.path());
    let long = "x".repeat(60_000);
    // More than six mebibytes, into four.
    for number in 0..102 {
        process.tell(&format!("{number} {long}"));
        if number % 17 == 16 {
            spooled(dir.path(), (number / 17 + 1).min(4)).await;
        }
    }
    process.finish().await;
    let working = Receiver::start([Script::Status(200, "")]).await;
    let next = Process::start(hook(&working.url), dir.path());
    next.tell("last");
    let arrived = async {
        for count in 1.. {
            let posts = working.posts(count).await;
            let events: Vec<Value> = posts.iter().flat_map(data).collect();
            let texts = texts(&events);
            if texts.last().is_some_and(|text| text == "last") {
                return texts;
            }
        }
        unreachable!("it counts for ever")
    };
    let texts = tokio::time::timeout(PATIENCE, arrived)
        .await
        .expect("in time");
    next.finish().await;
    let first: usize = texts[0]
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    assert!(first > 0, "the oldest are lost");
    assert_eq!(texts.len(), 102 - first + 1, "and no others");
}
