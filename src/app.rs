//! The composition root: the only place that builds everything and runs it.

mod service;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use auth_store::KeyRing;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use self::service::Service;
use crate::config::{Accounts, AuthConfig, Config};
use crate::exports::Exports;
use crate::fleet::Roster;
use crate::fleet::share::Worker;
use crate::ids::{AccountId, OwnerId};
use crate::jobs::Queue;
use crate::lease::keeper::Leases;
use crate::notify::Manager;
use crate::outbound::media::Accepting;
use crate::session::asked::Bell;
use crate::session::endpoint::Network;
use crate::session::http::WebClient;
use crate::session::version::ClientVersion;
use crate::session::{AuthHome, Board, prewarm};
use crate::store::{Store, StoreError, Topic};
use crate::supervisor::{Shared, Supervisor};
use crate::telemetry::outlets;

/// How often the fleet is looked at, at least.
const ROUND: Duration = Duration::from_secs(2);
/// And at most, however often the store changes.
const BREATH: Duration = Duration::from_millis(200);

/// Why the worker could not start. Each variant has an exit code.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings or files must be corrected.
    #[error("{0}")]
    Config(String),
    /// The auth state's key cannot be used.
    #[error("{0}")]
    Auth(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Builds what operates accounts, touching disk and store but not WhatsApp.
///
/// # Errors
/// [`StartError`].
pub async fn build_shared(config: Config) -> Result<Shared, StartError> {
    config
        .auth
        .check_for_worker()
        .map_err(|error| StartError::Config(error.to_string()))?;
    let wrong = |error: &dyn std::error::Error| StartError::Config(error.to_string());
    let owner = owner(&config)?;
    let network = Network::new(config.network.clone()).map_err(|error| wrong(&error))?;
    let http = WebClient::new(&network).map_err(|error| wrong(&error))?;
    let home = auth_home(&config.auth)?;
    let store = open_store(&config).await?;
    let leases = Leases::start(store.clone(), owner.clone(), config.lease);
    if let Accounts::Listed(accounts) = &config.accounts {
        for account in accounts {
            store.add_account(account, owner.as_str()).await?;
        }
    }
    let bell = Bell::new(store.clone());
    Ok(Shared {
        version: ClientVersion::new(config.client_version),
        config: Arc::new(config),
        store,
        leases,
        owner,
        network: Arc::new(network),
        http,
        home,
        bell,
    })
}

/// Starts what exports events, over TLS with the configured trust roots.
fn exports(config: &Config, owner: &OwnerId, store: &Store) -> Result<Exports, StartError> {
    let wrong = |error: &dyn std::error::Error| StartError::Config(error.to_string());
    let network = Network::new(config.network.clone()).map_err(|error| wrong(&error))?;
    let started = Exports::start(&config.events, owner, network.tls());
    let (mut exports, mut outlets) = started.map_err(|error| wrong(&error))?;
    if !config.queue.retention.events.is_zero() {
        outlets.push(exports.keep_in(store.clone(), config.events.pace));
    }
    outlets::open(owner, outlets);
    Ok(exports)
}

fn owner(config: &Config) -> Result<OwnerId, StartError> {
    OwnerId::incarnate(&config.worker_id)
        .map_err(|error| StartError::Config(format!("WORKER_ID: {error}")))
}

/// A process: as much of one as its role asks for.
pub struct App {
    /// Settings.
    pub config: Arc<Config>,
    /// The shared store.
    pub store: Store,
    /// This process.
    pub owner: OwnerId,
    /// The agent queue.
    pub queue: Queue,
    /// What operates accounts, in the roles that do.
    shared: Option<Shared>,
    /// What answers agents and probes.
    service: Service,
    /// Where events go beside the log.
    exports: Exports,
    /// What is told how the process does.
    manager: Manager,
}

impl App {
    /// Builds what the role needs, touching disk and store but not WhatsApp. A process that serves
    /// agents alone needs no key, no auth directory and no way to WhatsApp.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(config: Config) -> Result<Self, StartError> {
        let queue = config.queue;
        if config.role.operates() {
            let shared = build_shared(config).await?;
            let queue = Queue::new(shared.store.clone(), queue);
            return Ok(Self {
                service: Service::build(&shared.config, &shared.store, &shared.owner, &queue)
                    .await?,
                exports: exports(&shared.config, &shared.owner, &shared.store)?,
                config: shared.config.clone(),
                queue,
                store: shared.store.clone(),
                owner: shared.owner.clone(),
                shared: Some(shared),
                manager: Manager::of_environment(),
            });
        }
        let store = open_store(&config).await?;
        let queue = Queue::new(store.clone(), queue);
        let owner = owner(&config)?;
        Ok(Self {
            service: Service::build(&config, &store, &owner, &queue).await?,
            exports: exports(&config, &owner, &store)?,
            owner,
            config: Arc::new(config),
            queue,
            store,
            shared: None,
            manager: Manager::of_environment(),
        })
    }

    /// Does what its role asks for until `stop`, then stops all of it. `boards` gives each account the
    /// board that its session shows itself on.
    pub async fn run(self, stop: CancellationToken, boards: impl Fn(&AccountId) -> Board) {
        let chores = async {
            if self.config.role.serves_agents() {
                self.queue.run(stop.clone()).await;
            }
        };
        let operating = async {
            match &self.shared {
                Some(shared) => operate(shared, &stop, boards).await,
                None => stop.cancelled().await,
            }
        };
        let serving = self.service.run(&self.config, stop.clone());
        let hurrying = async {
            stop.cancelled().await;
            self.exports.hurry();
        };
        let working = async { tokio::join!(serving, chores, operating, hurrying) };
        // In one task with the work: when that is stuck, so are the signs of life. They never end.
        tokio::select! {
            _ = working => {}
            () = self.manager.keep_told(&stop) => {}
        }
        outlets::close();
        self.exports.finish().await;
        self.store.close().await;
        info!("[whatsapp] Stopped");
    }
}

/// Operates the configured accounts until `stop`, then drains and releases them all.
async fn operate(shared: &Shared, stop: &CancellationToken, boards: impl Fn(&AccountId) -> Board) {
    let _preparing = AbortOnDropHandle::new(tokio::spawn(prewarm::keep_fresh(
        shared.network.clone(),
        shared.http.clone(),
        shared.version.clone(),
    )));
    let mut roster = roster(shared);
    let mut changes = shared.store.watch(Topic::Fleet);
    let period = round(&shared.config);
    let mut running = JoinSet::new();
    let mut on_duty = HashMap::new();
    let mut lonely = true;
    while !stop.is_cancelled() {
        match roster.round().await {
            Ok(newcomers) => {
                for newcomer in newcomers {
                    let board = boards(&newcomer.account);
                    let supervisor = Supervisor::new(
                        shared.clone(),
                        newcomer.account,
                        newcomer.posting,
                        stop.child_token(),
                        board,
                    );
                    let task = running.spawn(supervisor.clone().run());
                    on_duty.insert(task.id(), supervisor);
                }
                if std::mem::take(&mut lonely) && on_duty.is_empty() {
                    warn!("the store has no accounts yet: `whatsapp-worker accounts add` adds one");
                }
            }
            Err(error) => warn!(%error, "the store does not tell its accounts, retrying..."),
        }
        let stirred = async {
            tokio::time::sleep(BREATH).await;
            changes.next().await;
        };
        // Whoever loses the race is asked again in the next round.
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(period) => {}
            () = stirred => {}
            Some(Err(failed)) = running.join_next() => {
                if let Some(supervisor) = on_duty.remove(&failed.id()) {
                    warn!(error = %failed, "a supervisor failed and is started again");
                    let task = running.spawn(supervisor.clone().run());
                    on_duty.insert(task.id(), supervisor);
                }
            }
        }
    }
    roster.leave().await;
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            warn!(%error, "a supervisor failed");
        }
    }
    roster.retire().await;
    shared.leases.close().await;
}

fn roster(shared: &Shared) -> Roster {
    let Shared {
        config,
        store,
        leases,
        home,
        ..
    } = shared;
    let me = Worker {
        owner: leases.owner().clone(),
        capacity: config.capacity,
        wants: config.accounts.clone(),
        draining: false,
        installation: home.installation.clone(),
    };
    let (ttl, period) = (config.lease.ttl(), round(config));
    Roster::new(store.clone(), leases.clone(), me, ttl, period)
}

/// Time between two rounds of the fleet, when nothing asks for one earlier.
fn round(config: &Config) -> Duration {
    config.lease.heartbeat().min(ROUND)
}

/// Opens the shared store if there is one, for commands that only look.
///
/// # Errors
/// The store's.
pub async fn existing_store(config: &Config) -> Result<Store, StoreError> {
    Store::open_existing(&config.store_url, config.store).await
}

/// Opens the shared store alone, for commands that need nothing else.
///
/// # Errors
/// The store's.
pub async fn open_store(config: &Config) -> Result<Store, StoreError> {
    Store::open(&config.store_url, config.store).await
}

/// What takes files in for messages that are accepted. Reads the configured trust roots.
///
/// # Errors
/// [`StartError::Config`].
pub fn accepting(config: &Config, store: &Store) -> Result<Accepting, StartError> {
    let network = Network::new(config.network.clone())
        .map_err(|error| StartError::Config(error.to_string()))?;
    Accepting::new(store.clone(), network.http_tls(), config.media.clone())
        .map_err(StartError::Config)
}

/// Reads the key that seals auth state, making one beside the state when none is configured and none
/// is needed yet, and the mark that tells this disk from others.
///
/// # Errors
/// [`StartError::Auth`] with the cure.
pub fn auth_home(config: &AuthConfig) -> Result<AuthHome, StartError> {
    let configured = match &config.key {
        Some(text) => Some(KeyRing::parse(text).map_err(|error| {
            StartError::Config(format!(
                "WHATSAPP_AUTH_KEY: {error}, e.g. from `openssl rand -hex 32`"
            ))
        })?),
        None => {
            let (_, origin) = KeyRing::load_or_create(&config.dir)
                .map_err(|error| StartError::Auth(error.to_string()))?;
            if origin == auth_store::KeyOrigin::Created {
                info!(
                    "[whatsapp] A key was made at {}: keep a copy, the auth state cannot be read without it",
                    config.dir.join(auth_store::KEY_FILE).display()
                );
            }
            None
        }
    };
    Ok(AuthHome {
        configured,
        mode: config.mode,
        installation: installation(&config.dir)?,
        dir: config.dir.clone(),
    })
}

fn installation(dir: &Path) -> Result<String, StartError> {
    let path = dir.join("installation");
    let failed = |error: std::io::Error| {
        StartError::Config(format!("WHATSAPP_AUTH_DIR: {}: {error}", path.display()))
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let fresh = uuid::Uuid::new_v4().to_string();
    let temporary = dir.join(format!(".installation.{fresh}"));
    std::fs::write(&temporary, &fresh).map_err(failed)?;
    // Linking fails when another process was first: its mark is then the one.
    let linked = std::fs::hard_link(&temporary, &path);
    std::fs::remove_file(&temporary).map_err(failed)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(std::fs::read_to_string(&path)
            .map_err(failed)?
            .trim()
            .to_owned()),
    }
}
