//! Measures the inbound path from the simulator's socket to the committed job and its receipt, and
//! the memory of idle accounts. Whole process, one run, absolute figures and ratios:
//!
//! ```text
//! cargo bench --features simulator --bench inbound                # as a release is built
//! cargo bench --profile dev --features simulator --bench inbound  # minutes less to compile
//! ```
//!
//! Three things are measured in turn, so that a ratio compares like with like on a noisy machine:
//! the worker's session and intake; the same with an intake that stores nothing; and the bare cost of
//! committing as often on the same disk.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::path::Path;
use std::time::{Duration, Instant};

use simulator::people::Content;
use simulator::{Person, Simulator};
use whatsapp_worker::clock::Boot;
use whatsapp_worker::config::{Config, Values};
use whatsapp_worker::ids::AccountId;
use whatsapp_worker::inbound::intake::{self, Intake};
use whatsapp_worker::rehearsal::{Stage, give_credentials};
use whatsapp_worker::session::reins::reins;
use whatsapp_worker::session::{Board, life};
use whatsapp_worker::store::{Store, StoreOptions};

const ONE_BY_ONE: usize = 200;
const BACKLOG: usize = 3000;
const CHATS: usize = 50;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    whatsapp_worker::session::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        throughput().await;
        memory().await;
    });
}

#[derive(Clone, Copy, PartialEq)]
enum Keeping {
    Everything,
    Nothing,
}

async fn throughput() {
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        rows.push((
            measure(Keeping::Everything).await,
            measure(Keeping::Nothing).await,
            raw_commits().await,
        ));
    }
    let median = |pick: &dyn Fn(&(Rates, Rates, Rates)) -> f64| {
        let mut values: Vec<f64> = rows.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let build = if cfg!(debug_assertions) {
        "dev"
    } else {
        "optimised"
    };
    println!("{build} build");
    println!();
    println!(
        "| messages per second, median of {ROUNDS} | one by one | backlog of {BACKLOG}, one chat | backlog of {BACKLOG}, {CHATS} chats |"
    );
    println!("|---|---|---|---|");
    let print = |name: &str, pick: fn(&(Rates, Rates, Rates)) -> &Rates| {
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} |",
            median(&|r| pick(r).single),
            median(&|r| pick(r).one_chat),
            median(&|r| pick(r).many_chats)
        );
    };
    print("worker: committed job and receipt", |r| &r.0);
    print("the same session, nothing stored", |r| &r.1);
    print("bare commits on the same disk (1 and 400 rows each)", |r| {
        &r.2
    });
    println!(
        "| ratio: nothing stored / worker | {:.2} | {:.2} | {:.2} |",
        median(&|r| r.1.single / r.0.single),
        median(&|r| r.1.one_chat / r.0.one_chat),
        median(&|r| r.1.many_chats / r.0.many_chats)
    );
}

struct Rates {
    single: f64,
    one_chat: f64,
    many_chats: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts of messages are small")]
fn rate(messages: usize, took: Duration) -> f64 {
    messages as f64 / took.as_secs_f64()
}

/// One linked account in this process.
struct Bench {
    sim: Simulator,
    shop: Person,
    crowd: Vec<Person>,
    config: Config,
    store: Store,
    account: AccountId,
    dir: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let sim = Simulator::start(simulator::Options::default())
            .await
            .expect("starts");
        let dir = tempfile::tempdir().expect("temporary directory");
        let stage =
            Stage::set(Path::new("unused"), dir.path(), &sim.url(), sim.ca_pem()).expect("writes");
        let values = Values::from_environment(stage.environment("bench")).expect("settings");
        let config = Config::parse(&values).expect("settings");
        let store = Store::open(&config.store_url, StoreOptions::default())
            .await
            .expect("opens");
        let shop = sim.add_person("Shop");
        let account: AccountId = "default".parse().expect("valid");
        give_credentials(&sim, &shop, &account, &config.auth.dir, store.store_id())
            .await
            .expect("linked");
        Self {
            crowd: (0..CHATS)
                .map(|n| sim.add_person(&format!("Person {n}")))
                .collect(),
            shop,
            sim,
            config,
            store,
            account,
            dir,
        }
    }

    /// Runs a session until `work` is done.
    async fn operate<T>(&self, keeping: Keeping, work: impl Future<Output = T>) -> T {
        let shared = whatsapp_worker::app::build_shared(self.config.clone())
            .await
            .expect("builds");
        let term = shared.leases.win(&self.account).await;
        let (intake, committer): (Intake, _) = match keeping {
            Keeping::Everything => intake::open(
                self.store.clone(),
                term.fence().clone(),
                term.trust().clone(),
                self.config.policy.clone(),
            ),
            Keeping::Nothing => intake::discard(self.config.policy.clone()),
        };
        let context = shared.session(&self.account, &term, intake, Board::default());
        let (rider, reins) = reins(false);
        let session = life::run(&context, &term, &reins);
        let working = async {
            let done = work.await;
            rider.drain(Boot::now().plus(Duration::from_secs(10)));
            done
        };
        let (_, done) = tokio::join!(session, working);
        drop(context);
        committer.finish().await;
        term.release("measured").await;
        shared.leases.close().await;
        done
    }

    async fn receipt(&self, id: &str) {
        let device = self.shop.companions()[0];
        self.sim
            .wait_delivered(&self.shop, device, id, PATIENCE)
            .await
            .expect("a receipt in time");
    }

    fn write(&self, from: usize, text: String) -> String {
        self.crowd[from]
            .send(&self.shop.jid(), &Content::Text(text))
            .expect("accepted")
    }

    /// Messages per second of a backlog that `chats` people wrote while nobody was connected.
    async fn backlog(&self, keeping: Keeping, chats: usize) -> f64 {
        let ids: Vec<String> = (0..BACKLOG)
            .map(|n| self.write(n % chats, format!("backlog {n}")))
            .collect();
        let drained = async {
            self.receipt(&ids[0]).await;
            let began = Instant::now();
            let device = self.shop.companions()[0];
            self.sim
                .wait_empty(&self.shop, device, PATIENCE)
                .await
                .expect("drained in time");
            rate(BACKLOG, began.elapsed())
        };
        self.operate(keeping, drained).await
    }
}

async fn measure(keeping: Keeping) -> Rates {
    let bench = Bench::new().await;
    let single = bench
        .operate(keeping, async {
            let first = bench.write(0, "warm up".to_owned());
            bench.receipt(&first).await;
            let began = Instant::now();
            for n in 0..ONE_BY_ONE {
                let id = bench.write(0, format!("message {n}"));
                bench.receipt(&id).await;
            }
            rate(ONE_BY_ONE, began.elapsed())
        })
        .await;
    let one_chat = bench.backlog(keeping, 1).await;
    let many_chats = bench.backlog(keeping, CHATS).await;
    bench.store.close().await;
    bench.sim.stop().await;
    drop(bench.dir);
    Rates {
        single,
        one_chat,
        many_chats,
    }
}

/// What the disk allows: one row a commit, and 400.
async fn raw_commits() -> Rates {
    let dir = tempfile::tempdir().expect("temporary directory");
    let url = format!("sqlite:{}", dir.path().join("store.db").display());
    drop(
        Store::open(&url, StoreOptions::default())
            .await
            .expect("opens"),
    );
    let pool = sqlx::sqlite::SqlitePoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::query("PRAGMA synchronous = FULL")
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .connect(&url)
        .await
        .expect("opens");
    let mut rates = [0.0; 2];
    for (slot, (rows, together)) in [(ONE_BY_ONE, 1), (BACKLOG, 400)].into_iter().enumerate() {
        let began = Instant::now();
        for _ in 0..rows / together {
            let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.expect("begins");
            for _ in 0..together {
                sqlx::query("INSERT INTO audit(id, at, actor, action, detail) VALUES(lower(hex(randomblob(16))), 0, 'bench', 'bench', '')")
                    .execute(&mut *tx)
                    .await
                    .expect("inserts");
            }
            tx.commit().await.expect("commits");
        }
        rates[slot] = rate(rows / together * together, began.elapsed());
    }
    Rates {
        single: rates[0],
        one_chat: rates[1],
        many_chats: rates[1],
    }
}

async fn memory() {
    println!();
    println!("| idle accounts in one process | RSS MiB | KiB for each further one |");
    println!("|---|---|---|");
    let mut before: Option<(u64, u64)> = None;
    for accounts in [1, 10, 100] {
        let kib = resident(accounts).await;
        let further = before.map_or_else(
            || "-".to_owned(),
            |(n, rss)| (kib.saturating_sub(rss) / (accounts - n)).to_string(),
        );
        println!("| {accounts} | {} | {further} |", kib / 1024);
        before = Some((accounts, kib));
    }
}

/// Resident memory of the worker's binary with so many connected accounts.
async fn resident(accounts: u64) -> u64 {
    let sim = Simulator::start(simulator::Options::default())
        .await
        .expect("starts");
    let dir = tempfile::tempdir().expect("temporary directory");
    let binary = Path::new(env!("CARGO_BIN_EXE_whatsapp-worker"));
    let mut stage = Stage::set(binary, dir.path(), &sim.url(), sim.ca_pem()).expect("writes");
    let store = Store::open(&stage.store_url(), StoreOptions::default())
        .await
        .expect("opens");
    let mut names = Vec::new();
    for n in 0..accounts {
        let account: AccountId = format!("account-{n}").parse().expect("valid");
        let person = sim.add_person(account.as_str());
        give_credentials(&sim, &person, &account, &stage.auth_dir(), store.store_id())
            .await
            .expect("linked");
        names.push(account.to_string());
    }
    store.close().await;
    stage
        .settings
        .insert("WHATSAPP_ACCOUNT_ID".to_owned(), names.join(","));
    let mut worker = stage.start("bench").expect("starts");
    let mut lines = worker.lines();
    let connected = lines.wait_for(|lines| {
        let n = lines
            .iter()
            .filter(|line| line["event"] == "whatsapp.connection.established")
            .count();
        n as u64 >= accounts
    });
    tokio::time::timeout(PATIENCE, connected)
        .await
        .expect("in time")
        .expect("it runs");
    // What the first login fetches and uploads is over by then; an idle account is meant.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let pid = worker.pid().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    worker.terminate().await.expect("ours");
    sim.stop().await;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .expect("a number")
}
