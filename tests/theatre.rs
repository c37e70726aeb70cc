//! A simulated WhatsApp, a stage for worker processes on either store, and what tests look at
//! afterwards.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use simulator::people::Content;
use simulator::{Options, PairingError, Person, Simulator};
use whatsapp_worker::ids::AccountId;
use whatsapp_worker::rehearsal::postgres::{Postgres, PostgresOptions};
use whatsapp_worker::rehearsal::proxy::Proxy;
use whatsapp_worker::rehearsal::{Stage, Worker};
pub use whatsapp_worker::store::Engine;
use whatsapp_worker::store::{Job, JobFilter, JobStatus, LinkCode, Store, StoreOptions};

/// Longer than anything that is waited for takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The binary under test.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_whatsapp-worker"))
}

/// Whether the counts of the release bar are wanted instead of short forms.
pub fn full() -> bool {
    std::env::var_os("WORKER_TEST_FULL").is_some()
}

/// Kills of one loop on one medium: three loops on three media make 300 and more at full count.
pub fn kills() -> usize {
    if full() { 34 } else { 2 }
}

/// A seed that is printed, so that a failure can be repeated with `WORKER_TEST_SEED`.
pub fn seed() -> u64 {
    let seed = std::env::var("WORKER_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("seed {seed}: repeat with WORKER_TEST_SEED={seed}");
    seed
}

/// Makes a test on each engine out of `async fn name(engine: Engine)`.
macro_rules! on_each_engine {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::theatre::Engine::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::theatre::Engine::Postgres).await;
            })*
        }
    };
}
pub(crate) use on_each_engine;

/// A PostgreSQL and the road that workers reach it by.
pub struct Remote {
    pub server: Postgres,
    pub road: Proxy,
}

/// One simulated WhatsApp with one account and its customers.
pub struct Theatre {
    pub sim: Simulator,
    pub shop: Person,
    pub alice: Person,
    pub stage: Stage,
    pub account: AccountId,
    /// With [`Engine::Postgres`].
    pub remote: Option<Remote>,
    /// The store without a proxy in between.
    store_url: String,
    _dir: tempfile::TempDir,
}

impl Theatre {
    pub async fn open() -> Self {
        Self::with_settings(&[]).await
    }

    pub async fn with_settings(settings: &[(&str, &str)]) -> Self {
        Self::open_on(Engine::Sqlite, settings).await
    }

    pub async fn open_on(engine: Engine, settings: &[(&str, &str)]) -> Self {
        match engine {
            Engine::Sqlite => Self::build(None, settings).await,
            Engine::Postgres => Self::open_on_server(PostgresOptions::default(), settings).await,
        }
    }

    /// On a PostgreSQL that is set up by `options`.
    pub async fn open_on_server(options: PostgresOptions, settings: &[(&str, &str)]) -> Self {
        let server = Postgres::start_with(options)
            .await
            .expect("PostgreSQL starts");
        let upstream = ([127, 0, 0, 1], server.port()).into();
        let road = Proxy::start(upstream)
            .await
            .expect("loopback has free ports");
        Self::build(Some(Remote { server, road }), settings).await
    }

    async fn build(remote: Option<Remote>, settings: &[(&str, &str)]) -> Self {
        whatsapp_worker::session::install_crypto_provider();
        let options = Options {
            seed: seed(),
            ..Options::default()
        };
        let sim = Simulator::start(options)
            .await
            .expect("loopback has free ports");
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut stage =
            Stage::set(&binary(), dir.path(), &sim.url(), sim.ca_pem()).expect("writable");
        let mut store_url = stage.store_url();
        if let Some(remote) = &remote {
            // A name of its own tells what tests ask from what workers ask.
            store_url = format!("{}?application_name=theatre", remote.server.url());
            stage.store_url = remote.server.url_by_port(remote.road.address().port());
        }
        stage.settings = settings
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>();
        Self {
            shop: sim.add_person("Shop"),
            alice: sim.add_person("Alice"),
            sim,
            stage,
            account: "default".parse().expect("valid"),
            remote,
            store_url,
            _dir: dir,
        }
    }

    /// The PostgreSQL of [`Engine::Postgres`].
    pub fn server(&mut self) -> &mut Postgres {
        &mut self.remote.as_mut().expect("on PostgreSQL").server
    }

    /// The network between workers and [`Self::server`].
    pub fn road(&self) -> &Proxy {
        &self.remote.as_ref().expect("on PostgreSQL").road
    }

    /// The store without a proxy in between.
    pub fn store_url(&self) -> &str {
        &self.store_url
    }

    pub async fn store(&self) -> Store {
        Store::open(&self.store_url, StoreOptions::default())
            .await
            .expect("the store opens")
    }

    /// Starts a worker and links it by scanning its QR code.
    pub async fn linked_worker(&self, name: &str) -> Worker {
        let worker = self.stage.start(name).expect("the binary starts");
        worker
            .wait_for("whatsapp.qr.available", PATIENCE, |_| true)
            .await
            .expect("a QR code");
        self.scan().await;
        self.connected(&worker, 1).await;
        worker
    }

    /// Scans the code that the holder shows, and returns the number of the new device.
    pub async fn scan(&self) -> u16 {
        let scanning = async {
            loop {
                let code = self.published_code().await;
                match self.shop.scan_qr(&code.code).await {
                    Ok(device) => return device,
                    // One of the connection before: the next is published in a moment.
                    Err(PairingError::UnknownCode | PairingError::OtherIdentity) => {
                        tokio::time::sleep(Duration::from_millis(20)).await; // justified: another process writes the store
                    }
                    Err(error) => panic!("the phone links the worker: {error}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, scanning)
            .await
            .expect("a code that works, in time")
    }

    /// The code of the holder, which it shows on its own screen a moment before it publishes it.
    pub async fn published_code(&self) -> LinkCode {
        let store = self.store().await;
        let looking = async {
            loop {
                let code = store.link_code(&self.account).await;
                if let Some(code) = code.expect("the store answers") {
                    return code;
                }
                tokio::time::sleep(Duration::from_millis(10)).await; // justified: another process writes the store
            }
        };
        let code = tokio::time::timeout(PATIENCE, looking).await;
        store.close().await;
        code.expect("the code is published in time")
    }

    /// Waits for the worker's `times`th connection.
    pub async fn connected(&self, worker: &Worker, times: usize) {
        let mut lines = worker.lines();
        let established = |lines: &Vec<serde_json::Value>| {
            lines
                .iter()
                .filter(|line| line["event"] == "whatsapp.connection.established")
                .count()
                >= times
        };
        tokio::time::timeout(PATIENCE, lines.wait_for(established))
            .await
            .expect("connected in time")
            .expect("the worker lives");
    }

    /// Waits for a line whose human text contains `text`.
    pub async fn says(&self, worker: &Worker, text: &str) {
        let mut lines = worker.lines();
        let said = |lines: &Vec<serde_json::Value>| {
            lines
                .iter()
                .filter_map(|line| line["message"].as_str())
                .any(|message| message.contains(text))
        };
        tokio::time::timeout(PATIENCE, lines.wait_for(said))
            .await
            .expect("said in time")
            .expect("the worker lives");
    }

    pub fn text(&self, text: &str) -> String {
        self.alice
            .send(&self.shop.jid(), &Content::Text(text.to_owned()))
            .expect("the server accepts it")
    }

    /// Waits until each of `ids` has a job, and returns all jobs, oldest first.
    pub async fn jobs_of(&self, ids: &[String]) -> Vec<Job> {
        let store = self.store().await;
        let filter = JobFilter {
            limit: 1_000_000,
            ..JobFilter::default()
        };
        let looking = async {
            loop {
                let mut jobs = store.jobs(&filter).await.expect("the store answers");
                let present: std::collections::HashSet<&str> = jobs
                    .iter()
                    .map(|job| job.channel_message_id.as_str())
                    .collect();
                if ids.iter().all(|id| present.contains(id.as_str())) {
                    jobs.reverse();
                    return jobs;
                }
                // justified: another process writes the store, and SQLite does not notify.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let jobs = tokio::time::timeout(PATIENCE, looking).await;
        store.close().await;
        match jobs {
            Ok(jobs) => jobs,
            Err(_) => {
                let jobs = self
                    .store()
                    .await
                    .jobs(&filter)
                    .await
                    .expect("the store answers");
                let missing: Vec<_> = ids
                    .iter()
                    .filter(|id| !jobs.iter().any(|job| job.channel_message_id == **id))
                    .collect();
                panic!("{} messages have no job: {missing:?}", missing.len());
            }
        }
    }

    /// Every message that the server accepted is one job, and nothing was acknowledged too early.
    pub async fn assert_each_queued_once(&self, ids: &[String]) {
        let jobs = self.jobs_of(ids).await;
        let mut counts = BTreeMap::new();
        for job in &jobs {
            *counts.entry(job.channel_message_id.as_str()).or_insert(0) += 1;
        }
        let doubled: Vec<_> = counts.iter().filter(|(_, n)| **n != 1).collect();
        assert_eq!(
            doubled,
            Vec::<(&&str, &i32)>::new(),
            "queued more than once"
        );
        assert_eq!(jobs.len(), ids.len(), "jobs that nobody wrote");
        for job in &jobs {
            assert_eq!(job.kind, "message");
            assert_eq!(job.status, JobStatus::Pending, "{:?}", job.error_message);
        }
        assert_eq!(self.sim.lint(), [], "violations of the protocol");
    }

    /// From now on the simulator asks the store about each receipt: acknowledged before committed is
    /// a violation.
    pub async fn check_receipts(&self) {
        let store = self.store().await;
        let account = self.account.clone();
        self.sim
            .on_receipt(std::sync::Arc::new(move |_, message_id: String| {
                let (store, account) = (store.clone(), account.clone());
                Box::pin(async move {
                    let results = store.inbox_results(&account, &message_id).await;
                    !results.expect("the store answers").is_empty()
                })
            }));
    }
}
