//! Measures the agent queue on both engines: messages committed as jobs, jobs claimed and completed with
//! a reply, and how long a message takes to a waiting long-poll. Each beside the same work in raw SQL on
//! the same store, first on an empty store, then with a large one behind it.
//!
//! ```text
//! cargo bench --features simulator --bench queue                # as a release is built
//! QUEUE_BENCH_BACKLOG=100000 cargo bench --profile dev --features simulator --bench queue
//! ```
//!
//! `QUEUE_BENCH_BACKLOG` jobs (1,000,000 unless set) wait behind, a tenth of them in one conversation,
//! beside ten times as many dedupe rows.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

#[path = "queue/fill.rs"]
mod fill;
#[path = "queue/raw.rs"]
mod raw;

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use whatsapp_worker::ids::{AccountId, Jid, OwnerId};
use whatsapp_worker::inbound::disposition::dispose;
use whatsapp_worker::inbound::identity::Identity;
use whatsapp_worker::inbound::message::{Chat, Content, Context, Inbound, MessageKey, Party};
use whatsapp_worker::inbound::policy::Policy;
use whatsapp_worker::jobs::{Queue, QueueOptions};
use whatsapp_worker::outbound::message::Draft;
use whatsapp_worker::rehearsal::postgres::Postgres;
use whatsapp_worker::store::{
    AcquireLease, Arrival, ClaimRequest, Completed, Completion, Engine, Fence, Retention, Retries,
    Store, StoreOptions,
};

/// Messages of one transaction, as a backlog of WhatsApp's is committed.
const BATCH: usize = 100;
/// Messages, and jobs worked off, of one measurement.
const WORK: usize = 2000;
/// Conversations that they are of.
const TALKS: usize = 50;
const CONSUMERS: [usize; 3] = [1, 3, 8];
/// Messages to a waiting long-poll.
const POLLS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let backlog = std::env::var("QUEUE_BENCH_BACKLOG")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    let mut rates = String::from(
        "| per second | messages enqueued | claimed and completed, 1 agent | 3 agents | 8 agents |\n|---|---|---|---|---|\n",
    );
    let mut delays = String::from("| message to waiting long-poll | p50 | p99 |\n|---|---|---|\n");
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let site = Site::open(engine).await;
        let empty = site.measure(&mut rates, "empty store").await;
        let raw = raw::measure(&site).await;
        row(&mut rates, engine, "raw SQL, empty store", &raw);
        site.latencies(&mut delays).await;
        fill::fill(&site.url, engine, backlog).await;
        let title = format!("{backlog} jobs, {} dedupe rows", backlog * 10);
        let full = site.measure(&mut rates, &title).await;
        let raw_full = raw::measure(&site).await;
        row(&mut rates, engine, &format!("raw SQL, {title}"), &raw_full);
        row(&mut rates, engine, "empty / full", &ratio(&empty, &full));
        row(
            &mut rates,
            engine,
            "raw / ours, empty",
            &ratio(&raw, &empty),
        );
        site.store.close().await;
    }
    let build = if cfg!(debug_assertions) {
        "dev"
    } else {
        "optimised"
    };
    println!("{build} build\n\n{rates}\n{delays}");
}

/// Per second: enqueued, then claimed and completed by each number of consumers.
type Rates = [f64; 4];

fn ratio(one: &Rates, other: &Rates) -> Rates {
    std::array::from_fn(|n| one[n] / other[n])
}

fn row(table: &mut String, engine: Engine, what: &str, rates: &Rates) {
    let cells: Vec<String> = rates
        .iter()
        .map(|rate| match rate {
            0.0..20.0 => format!("{rate:.2}"),
            _ => format!("{rate:.0}"),
        })
        .collect();
    let cells = cells.join(" | ");
    writeln!(table, "| {engine}: {what} | {cells} |").expect("a String takes everything");
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn rate(count: usize, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}

/// A store with one account, held.
struct Site {
    url: String,
    engine: Engine,
    store: Store,
    fence: Arc<Fence>,
    written: AtomicUsize,
    _dir: tempfile::TempDir,
    _server: Option<Postgres>,
}

impl Site {
    async fn open(engine: Engine) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let server = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Postgres::start().await.expect("PostgreSQL starts")),
        };
        let url = server.as_ref().map_or_else(
            || format!("sqlite:{}", dir.path().join("store.db").display()),
            Postgres::url,
        );
        let store = open(&url).await;
        let account: AccountId = "bench".parse().expect("valid");
        store.add_account(&account, "bench").await.expect("answers");
        let owner = OwnerId::incarnate("bench").expect("valid");
        let bid = AcquireLease {
            account: &account,
            owner: &owner,
            ttl: Duration::from_hours(10),
            unchanged: None,
            dead: None,
        };
        let fence = store.acquire_lease(bid).await.expect("answers");
        Self {
            fence: Arc::new(fence.expect("free")),
            url,
            engine,
            store,
            written: AtomicUsize::new(0),
            _dir: dir,
            _server: server,
        }
    }

    /// Commits `count` messages in one transaction.
    async fn write(&self, count: usize) {
        let arrivals: Vec<Arrival> = (0..count).map(|_| self.arrival()).collect();
        let accepted = self.store.accept_inbound(&self.fence, &arrivals).await;
        assert_eq!(accepted.expect("ours").len(), count);
    }

    fn arrival(&self) -> Arrival {
        let n = self.written.fetch_add(1, Ordering::Relaxed);
        let sender = Party {
            pn: Some(Jid::new(format!("49151{:06}@s.whatsapp.net", n % TALKS))),
            lid: None,
        };
        let inbound = Inbound {
            key: MessageKey {
                id: format!("BENCH{n:010}"),
                chat: Chat::Direct(sender.clone()),
                sender,
                from_me: false,
            },
            sent_at_ms: 1_700_000_000_000,
            push_name: Some("Somebody".to_owned()),
            offline: false,
            content: Ok(Content::Text {
                body: format!("message {n} of a benchmark"),
            }),
            context: Context::default(),
            raw: vec![7; 200],
        };
        Arrival {
            identity: Identity::of(&inbound),
            disposition: dispose(&inbound, &Policy::default()),
            summary: "text".to_owned(),
            inbound,
        }
    }

    async fn measure(&self, table: &mut String, title: &str) -> Rates {
        self.write(BATCH).await;
        let began = Instant::now();
        for _ in 0..WORK / BATCH {
            self.write(BATCH).await;
        }
        let mut rates = [rate(WORK, began), 0.0, 0.0, 0.0];
        for (slot, consumers) in CONSUMERS.into_iter().enumerate() {
            for _ in 0..WORK / BATCH {
                self.write(BATCH).await;
            }
            rates[slot + 1] = self.work_off(consumers).await;
        }
        row(table, self.engine, title, &rates);
        rates
    }

    /// Agents claim one job after the other and complete each with a reply.
    async fn work_off(&self, consumers: usize) -> f64 {
        let taken = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let agents: Vec<_> = (0..consumers)
            .map(|n| tokio::spawn(agent(self.store.clone(), n, taken.clone())))
            .collect();
        for agent in agents {
            agent.await.expect("it works");
        }
        rate(WORK, began)
    }

    async fn latencies(&self, table: &mut String) {
        // What waits from before would answer at once.
        self.work_off_all().await;
        let other = open(&self.url).await;
        for (how, store) in [("same process", &self.store), ("another process", &other)] {
            let mut delays = Vec::new();
            for _ in 0..POLLS {
                delays.push(self.latency(store).await);
            }
            delays.sort_unstable();
            let at = |part: usize| delays[POLLS * part / 100].as_secs_f64() * 1000.0;
            writeln!(
                table,
                "| {}: {how} | {:.1} ms | {:.1} ms |",
                self.engine,
                at(50),
                at(99)
            )
            .expect("a String takes everything");
        }
        other.close().await;
    }

    async fn work_off_all(&self) {
        loop {
            let claims = self.store.claim_jobs(&request(100)).await.expect("answers");
            if claims.is_empty() {
                return;
            }
            for claim in claims {
                let done = Completion::default();
                let id = &claim.job.job.job_id;
                let done = self.store.complete_job(id, &claim.claim_token, &done).await;
                assert!(matches!(done, Ok(Completed::Done { .. })));
            }
        }
    }

    /// From before the commit of a message to the claim of its job.
    async fn latency(&self, store: &Store) -> Duration {
        let options = QueueOptions {
            lock: Duration::from_mins(5),
            retries: Retries { max: 3 },
            retention: Retention::of_messages(Duration::from_hours(24)),
        };
        let queue = Queue::new(store.clone(), options);
        let poll = tokio::spawn(async move {
            let stop = CancellationToken::new();
            let claims = queue
                .claim(&request(1), Duration::from_mins(1), &stop)
                .await;
            (Instant::now(), claims.expect("answers"))
        });
        // So that it waits by then.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let began = Instant::now();
        self.write(1).await;
        let (got, claims) = poll.await.expect("it polls");
        let claim = claims.first().expect("in time");
        let (id, done) = (&claim.job.job.job_id, Completion::default());
        let done = self.store.complete_job(id, &claim.claim_token, &done).await;
        assert!(matches!(done, Ok(Completed::Done { .. })));
        got - began
    }
}

async fn agent(store: Store, n: usize, taken: Arc<AtomicUsize>) {
    let request = ClaimRequest {
        processor_id: format!("agent-{n}"),
        ..request(1)
    };
    let completion = Completion {
        result: None,
        replies: vec![Draft::text("an answer")],
    };
    while taken.fetch_add(1, Ordering::Relaxed) < WORK {
        let claim = loop {
            if let Some(claim) = store.claim_jobs(&request).await.expect("answers").pop() {
                break claim;
            }
        };
        let id = &claim.job.job.job_id;
        let done = store
            .complete_job(id, &claim.claim_token, &completion)
            .await;
        assert!(matches!(done, Ok(Completed::Done { .. })), "{done:?}");
    }
}

fn request(limit: usize) -> ClaimRequest {
    ClaimRequest {
        accounts: None,
        processor_id: "bench".to_owned(),
        limit,
        lock: Duration::from_mins(5),
    }
}

async fn open(url: &str) -> Store {
    // A benchmark must not fail because others write.
    let options = StoreOptions {
        busy: Duration::from_secs(30),
        ..StoreOptions::default()
    };
    Store::open(url, options).await.expect("opens")
}
