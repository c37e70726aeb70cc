//! Measures what it costs to tell: the inbound path of a worker that writes its log, keeps events, exports
//! them to two sinks and is scraped each second, beside one that does none of it; and a scrape of a worker
//! with a thousand accounts. Whole processes, in turn, so that ratios compare like with like.
//!
//! ```text
//! cargo bench --features simulator --bench telemetry
//! ```

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use serde_json::Value;
use simulator::Simulator;
use simulator::people::Content;
use tokio_util::task::AbortOnDropHandle;
use whatsapp_worker::ids::AccountId;
use whatsapp_worker::rehearsal::{Stage, Worker, give_credentials};
use whatsapp_worker::store::{Store, StoreOptions};

const BACKLOG: usize = 10_000;
const CHATS: usize = 50;
const ROUNDS: usize = 7;
const ACCOUNTS: usize = 1_000;
const SCRAPES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(180);

fn main() {
    whatsapp_worker::session::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let build = if cfg!(debug_assertions) {
            "dev"
        } else {
            "optimised"
        };
        println!("{build} build");
        inbound().await;
        scrapes().await;
    });
}

/// What a backlog took.
#[derive(Clone, Copy)]
struct Cost {
    messages_per_second: f64,
    /// Processor time of the worker.
    ms_per_message: f64,
}

async fn inbound() {
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        rows.push((drain(true).await, drain(false).await));
    }
    let median = |pick: &dyn Fn(&(Cost, Cost)) -> f64| {
        let mut values: Vec<f64> = rows.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!();
    println!(
        "| backlog of {BACKLOG}, {CHATS} chats, median of {ROUNDS} | messages per second | processor ms for a message |"
    );
    println!("|---|---|---|");
    let line = |name: &str, pick: fn(&(Cost, Cost)) -> Cost| {
        println!(
            "| {name} | {:.0} | {:.3} |",
            median(&|row| pick(row).messages_per_second),
            median(&|row| pick(row).ms_per_message)
        );
    };
    line(
        "log, metrics, events in the store, Axiom and a webhook",
        |row| row.0,
    );
    line("counters alone", |row| row.1);
    println!(
        "| ratio: telling / not | {:.2} | {:.2} |",
        median(&|row| row.0.messages_per_second / row.1.messages_per_second),
        median(&|row| row.0.ms_per_message / row.1.ms_per_message)
    );
}

/// A server that takes everything, as Axiom and as a receiver.
async fn sink() -> (String, AbortOnDropHandle<()>) {
    let taken = post(async || r#"{"ingested":1000}"#);
    let router = Router::new().fallback(taken);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.expect("loopback has free ports");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let serving = tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    (url, AbortOnDropHandle::new(serving))
}

/// A worker drains what was written while it was away.
async fn drain(telling: bool) -> Cost {
    let sim = Simulator::start(simulator::Options::default()).await;
    let sim = sim.expect("starts");
    let dir = tempfile::tempdir().expect("temporary directory");
    let binary = Path::new(env!("CARGO_BIN_EXE_whatsapp-worker"));
    let mut stage = Stage::set(binary, dir.path(), &sim.url(), sim.ca_pem()).expect("writes");
    let (url, _serving) = sink().await;
    let scraped = free_port().await;
    let settings: &[(&str, &str)] = if telling {
        &[
            ("METRICS_LISTEN", &scraped),
            ("AXIOM_DATASET", "bench"),
            ("AXIOM_TOKEN", "xaat-0123456789abcdef"),
            ("AXIOM_URL", &url),
            ("EVENTS_WEBHOOK_URL", &url),
            ("EVENTS_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="),
        ]
    } else {
        &[("RUST_LOG", "off"), ("EVENTS_RETENTION_HOURS", "0")]
    };
    let settings = settings
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    stage.settings.extend(settings);
    let store = Store::open(&stage.store_url(), StoreOptions::default()).await;
    let store = store.expect("opens");
    let account: AccountId = "default".parse().expect("valid");
    let shop = sim.add_person("Shop");
    give_credentials(&sim, &shop, &account, &stage.auth_dir(), store.store_id())
        .await
        .expect("linked");
    store.close().await;
    let crowd: Vec<_> = (0..CHATS)
        .map(|n| sim.add_person(&format!("Person {n}")))
        .collect();
    let write = |n: usize| {
        let text = Content::Text(format!("backlog {n}"));
        crowd[n % CHATS].send(&shop.jid(), &text).expect("accepted")
    };
    let ids: Vec<String> = (0..BACKLOG).map(write).collect();
    let device = shop.companions()[0];
    let log = std::fs::File::create(dir.path().join("log")).expect("writes");
    let mut worker = stage.start_unheard("bench", log).expect("starts");
    let scraping = keep_scraping(format!("http://{scraped}/metrics"));
    let _scraping = telling.then(|| AbortOnDropHandle::new(tokio::spawn(scraping)));
    sim.wait_delivered(&shop, device, &ids[0], PATIENCE)
        .await
        .expect("a receipt in time");
    let (began, before) = (Instant::now(), worker.processor_time().expect("it runs"));
    sim.wait_empty(&shop, device, PATIENCE)
        .await
        .expect("drained in time");
    let took = began.elapsed();
    // What is told is counted in until it has left.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let used = worker.processor_time().expect("it runs") - before;
    worker.terminate().await.expect("ours");
    sim.stop().await;
    #[expect(clippy::cast_precision_loss, reason = "counts of messages are small")]
    let messages = BACKLOG as f64;
    Cost {
        messages_per_second: messages / took.as_secs_f64(),
        ms_per_message: used.as_secs_f64() * 1_000.0 / messages,
    }
}

/// Where a worker is scraped, once it says so.
fn place(worker: &Worker) -> impl Future<Output = String> + use<> {
    let mut lines = worker.lines();
    async move {
        let listening = |line: &&Value| line["setting"] == "METRICS_LISTEN";
        let said = lines.wait_for(|lines| lines.iter().any(|line| listening(&line)));
        let said = said.await.expect("it lives");
        let line = said.iter().find(listening).expect("waited for");
        format!(
            "http://{}/metrics",
            line["address"].as_str().expect("a text")
        )
    }
}

async fn free_port() -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.expect("loopback has free ports");
    listener.local_addr().expect("bound").to_string()
}

async fn scrape(url: &str) -> reqwest::Result<(Duration, usize)> {
    let began = Instant::now();
    let text = reqwest::get(url).await?.text().await?;
    Ok((began.elapsed(), text.lines().count()))
}

async fn keep_scraping(url: String) {
    loop {
        // It may not listen yet.
        let _ = scrape(&url).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn scrapes() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let binary = Path::new(env!("CARGO_BIN_EXE_whatsapp-worker"));
    let mut stage = Stage::set(binary, dir.path(), "ws://127.0.0.1:1/ws", "").expect("writes");
    let names: Vec<String> = (0..ACCOUNTS).map(|n| format!("account-{n}")).collect();
    for (name, value) in [
        ("WHATSAPP_EXTRA_CA_FILE", ""),
        ("WHATSAPP_ACCOUNT_ID", &names.join(",")),
        ("SIMULATOR_SESSIONS", "stub"),
        ("METRICS_LISTEN", "127.0.0.1:0"),
    ] {
        stage.settings.insert(name.to_owned(), value.to_owned());
    }
    let mut worker = stage.start("bench").expect("starts");
    let place = place(&worker).await;
    let mut lines = worker.lines();
    let held = lines.wait_for(|lines| {
        let acquired = "whatsapp.lease.acquire.success";
        lines
            .iter()
            .filter(|line| line["event"] == acquired)
            .count()
            >= ACCOUNTS
    });
    let held = tokio::time::timeout(PATIENCE, held).await;
    drop(held.expect("in time").expect("it runs"));
    let (mut took, mut count) = (Vec::new(), 0);
    for _ in 0..SCRAPES {
        // Longer than what was read of the store is shown again.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let (one, lines) = scrape(&place).await.expect("it listens");
        took.push(one.as_secs_f64() * 1_000.0);
        count = lines;
    }
    worker.terminate().await.expect("ours");
    took.sort_by(f64::total_cmp);
    println!();
    println!("| accounts | lines | scrape, median ms | worst of {SCRAPES} |");
    println!("|---|---|---|---|");
    println!(
        "| {ACCOUNTS} | {count} | {:.0} | {:.0} |",
        took[SCRAPES / 2],
        took[SCRAPES - 1]
    );
}
