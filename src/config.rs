//! Settings: from the environment, then the file that `WHATSAPP_CONFIG_FILE` names, then defaults.
//! Parsed once, here, into types; what does not parse names the setting, its value, where it came
//! from and the fix, and ends the process with exit code 78.

mod accounts;
mod agents;
mod api;
mod events;
mod outbox;
mod problems;
pub mod settings;
mod source;

use std::path::PathBuf;
use std::time::Duration;

use crate::exports::ExportOptions;
use crate::ids::Phone;
use crate::inbound::backfill::Backfill;
use crate::inbound::policy::Policy;
use crate::jobs::QueueOptions;
use crate::lease::timing::LeaseTiming;
use crate::outbound::media::MediaLimits;
use crate::session::OutboxSettings;
use crate::session::endpoint::{NetworkSettings, WsUrl};
use crate::store::{AuthMedium, Place, StoreOptions};

pub use accounts::Accounts;
pub use agents::Role;
pub use api::ApiConfig;
pub use source::{Origin, Values};

/// More than one process can serve.
const MOST_ACCOUNTS: u32 = 100_000;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// One setting's value.
    #[error("{name} is {value:?} ({origin}): {problem}")]
    Value {
        /// Its name.
        name: &'static str,
        /// Its value; `…` for a secret.
        value: String,
        /// Where it was set.
        origin: Origin,
        /// What is wrong and how it would be right.
        problem: String,
    },
    /// Settings that do not fit together; the text names them.
    #[error("{0}")]
    Together(String),
    /// The file, or a file that a setting names, cannot be read.
    #[error("{0}")]
    File(String),
}

/// Where auth state lives and how it is sealed.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Where the auth state of an account begins that has none yet.
    pub mode: AuthMedium,
    /// Directory of local auth state.
    pub dir: PathBuf,
    /// The configured keys; without any a file in `dir` holds them, for local auth state alone.
    pub key: Option<String>,
}

impl AuthConfig {
    /// What a worker needs beyond what a command does: a key that every worker has, when they share
    /// the auth state.
    ///
    /// # Errors
    /// [`ConfigError::Together`] with the cure.
    pub fn check_for_worker(&self) -> Result<(), ConfigError> {
        if self.mode == AuthMedium::Remote && self.key.is_none() {
            return Err(ConfigError::Together(format!(
                "WHATSAPP_AUTH_MODE is remote, as it is on PostgreSQL unless set, and no key is set that seals the auth state: {KEY_CURE}; or set WHATSAPP_AUTH_MODE=local to keep it on this machine's disk"
            )));
        }
        Ok(())
    }

    fn parse(values: &Values, place: &Place) -> Result<Self, ConfigError> {
        let key = values.optional("WHATSAPP_AUTH_KEY");
        if let Some(text) = key
            && let Err(error) = auth_store::KeyRing::parse(text)
        {
            return Err(values.wrong(
                "WHATSAPP_AUTH_KEY",
                format!("{error}, e.g. from `openssl rand -hex 32`; of several keys, separated by spaces or commas, the first one seals"),
            ));
        }
        Ok(Self {
            mode: match (values.get("WHATSAPP_AUTH_MODE"), place) {
                ("local", _) | ("", Place::Sqlite(_)) => AuthMedium::Local,
                ("remote" | "convex", _) | ("", Place::Postgres(_)) => AuthMedium::Remote,
                _ => {
                    return Err(values.wrong(
                        "WHATSAPP_AUTH_MODE",
                        "use local or remote; without it, local on SQLite and remote on PostgreSQL",
                    ));
                }
            },
            dir: PathBuf::from(values.get("WHATSAPP_AUTH_DIR")),
            key: key.map(str::to_owned),
        })
    }
}

/// How a worker is given the key of a remote auth state.
pub const KEY_CURE: &str = "make one with `openssl rand -hex 32` and give it to every worker of this store as WHATSAPP_AUTH_KEY, or in a file that WHATSAPP_AUTH_KEY_FILE names";

/// Everything that is set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What this process does.
    pub role: Role,
    /// The agent queue.
    pub queue: QueueOptions,
    /// Which accounts.
    pub accounts: Accounts,
    /// The shared store.
    pub store_url: String,
    /// How the store is used.
    pub store: StoreOptions,
    /// This worker's name.
    pub worker_id: String,
    /// How many accounts it may hold, at least 1; also its weight in a fleet.
    pub capacity: u32,
    /// Link by code for this number.
    pub phone: Option<Phone>,
    /// The lease's times.
    pub lease: LeaseTiming,
    /// How long SIGTERM waits.
    pub shutdown_grace: Duration,
    /// Auth state.
    pub auth: AuthConfig,
    /// How agents reach this process, and it them.
    pub api: ApiConfig,
    /// Who is heard.
    pub policy: Policy,
    /// What becomes of messages that arrived while an account was not linked.
    pub backfill: Backfill,
    /// How WhatsApp is reached.
    pub network: NetworkSettings,
    /// The client version to announce.
    pub client_version: Option<(u32, u32, u32)>,
    /// How long the server may be silent before it is asked for a sign of life.
    pub probe: Duration,
    /// What files are taken in to be sent.
    pub media: MediaLimits,
    /// How messages are sent.
    pub outbox: OutboxSettings,
    /// Where events go beside the log.
    pub events: ExportOptions,
    /// Whether each message is answered, in simulator builds.
    pub reply_to_everything: bool,
    /// Whether sessions do nothing, in simulator builds: for measuring leases alone.
    pub stub_sessions: bool,
}

impl Config {
    /// Parses all of `values`.
    ///
    /// # Errors
    /// The first [`ConfigError`], in the order of [`settings::SETTINGS`].
    pub fn parse(values: &Values) -> Result<Self, ConfigError> {
        let accounts: Accounts =
            values
                .get("WHATSAPP_ACCOUNT_ID")
                .parse()
                .map_err(|error: crate::ids::IdError| {
                    values.wrong("WHATSAPP_ACCOUNT_ID", error.to_string())
                })?;
        let role = Role::parse(values)?;
        let lease = LeaseTiming::new(
            values.millis("WHATSAPP_LEASE_TTL_MS")?.unwrap_or_default(),
            values.millis("WHATSAPP_HEARTBEAT_MS")?,
            values.millis("WHATSAPP_LEASE_MARGIN_MS")?,
        )
        .map_err(|error| ConfigError::Together(error.to_string()))?;
        let place = Place::parse(values.get("STORE_URL"))
            .map_err(|error| ConfigError::Together(error.to_string()))?;
        let auth = AuthConfig::parse(values, &place)?;
        let events = events::parse(values, &place, &auth.dir)?;
        let store = StoreOptions {
            busy: lease.heartbeat() / 2,
            allow_async_commit: match values.get("STORE_ALLOW_ASYNC_COMMIT") {
                "1" | "on" => true,
                "0" | "off" => false,
                _ => return Err(values.wrong("STORE_ALLOW_ASYNC_COMMIT", "use 0 or 1")),
            },
        };
        if let Some(path) = values.optional("WHATSAPP_EXTRA_CA_FILE")
            && let Err(error) = std::fs::File::open(path)
        {
            return Err(values.wrong(
                "WHATSAPP_EXTRA_CA_FILE",
                format!("it cannot be read: {error}"),
            ));
        }
        let worker_id = values
            .optional("WORKER_ID")
            .map_or_else(host_name, str::to_owned);
        crate::ids::OwnerId::incarnate(&worker_id)
            .map_err(|error| values.wrong("WORKER_ID", error.to_string()))?;
        let capacity = values
            .get("WORKER_CAPACITY")
            .parse()
            .ok()
            .filter(|capacity: &u32| (1..=MOST_ACCOUNTS).contains(capacity))
            .ok_or_else(|| {
                values.wrong(
                    "WORKER_CAPACITY",
                    format!("write a whole number from 1 to {MOST_ACCOUNTS}"),
                )
            })?;
        if let Accounts::Listed(accounts) = &accounts
            && accounts.len() > capacity as usize
        {
            return Err(ConfigError::Together(format!(
                "WHATSAPP_ACCOUNT_ID lists {} accounts and WORKER_CAPACITY is {capacity}: raise the capacity or shorten the list",
                accounts.len()
            )));
        }
        let phone = values
            .optional("WHATSAPP_PHONE")
            .map(|text| {
                Phone::parse(text).ok_or_else(|| {
                    values.wrong(
                        "WHATSAPP_PHONE",
                        "write it with its country code, e.g. +49 151 2345678",
                    )
                })
            })
            .transpose()?;
        let policy = Policy::parse(
            values.get("WHATSAPP_ALLOW"),
            values.get("WHATSAPP_DENY"),
            values.get("WHATSAPP_GROUPS"),
            values.get("WHATSAPP_STATUS"),
        )
        .map_err(|error| ConfigError::Together(error.to_string()))?;
        Ok(Self {
            role,
            queue: agents::queue(values)?,
            accounts,
            store_url: values.get("STORE_URL").to_owned(),
            store,
            worker_id,
            capacity,
            phone,
            lease,
            shutdown_grace: values.millis("SHUTDOWN_GRACE_MS")?.unwrap_or_default(),
            auth,
            api: ApiConfig::parse(values)?,
            policy,
            backfill: values
                .get("WHATSAPP_RELINK_BACKFILL")
                .parse()
                .map_err(|()| {
                    values.wrong("WHATSAPP_RELINK_BACKFILL", "use queue, record or off")
                })?,
            network: network(values, lease.margin())?,
            client_version: client_version(values)?,
            probe: probe(values)?,
            media: media(values)?,
            outbox: outbox::parse(values)?,
            events,
            reply_to_everything: cfg!(feature = "simulator")
                && values.optional("SIMULATOR_REPLY") == Some("text"),
            stub_sessions: cfg!(feature = "simulator")
                && values.optional("SIMULATOR_SESSIONS") == Some("stub"),
        })
    }
}

fn media(values: &Values) -> Result<MediaLimits, ConfigError> {
    // What WhatsApp takes as a document.
    const MOST: u64 = 2 << 30;
    let max_bytes = values.get("MEDIA_MAX_BYTES").parse().ok();
    let max_bytes = max_bytes.filter(|bytes| (1..=MOST).contains(bytes));
    Ok(MediaLimits {
        max_bytes: max_bytes
            .ok_or_else(|| values.wrong("MEDIA_MAX_BYTES", format!("write 1 to {MOST}")))?,
        allow_private: match values.get("MEDIA_ALLOW_PRIVATE") {
            "1" | "on" => true,
            "0" | "off" => false,
            _ => return Err(values.wrong("MEDIA_ALLOW_PRIVATE", "use 0 or 1")),
        },
        dir: values.optional("MEDIA_DIR").map(PathBuf::from),
    })
}

fn probe(values: &Values) -> Result<Duration, ConfigError> {
    let probe = values.millis("WHATSAPP_PROBE_MS")?.unwrap_or_default();
    if (Duration::from_millis(500)..=Duration::from_secs(30)).contains(&probe) {
        Ok(probe)
    } else {
        Err(values.wrong("WHATSAPP_PROBE_MS", "write 500 to 30000 milliseconds"))
    }
}

fn network(values: &Values, margin: Duration) -> Result<NetworkSettings, ConfigError> {
    let together =
        |error: crate::session::endpoint::EndpointError| ConfigError::Together(error.to_string());
    Ok(NetworkSettings {
        ws_url: WsUrl::parse(values.get("WHATSAPP_WS_URL")).map_err(together)?,
        proxy: values
            .optional("WHATSAPP_PROXY")
            .map(str::parse)
            .transpose()
            .map_err(together)?,
        extra_ca_file: values.optional("WHATSAPP_EXTRA_CA_FILE").map(PathBuf::from),
        connect_timeout: values
            .millis("WHATSAPP_CONNECT_TIMEOUT_MS")?
            .unwrap_or(crate::session::endpoint::DEFAULT_CONNECT_TIMEOUT),
        user_timeout: margin,
    })
}

fn client_version(values: &Values) -> Result<Option<(u32, u32, u32)>, ConfigError> {
    let Some(text) = values.optional("WHATSAPP_CLIENT_VERSION") else {
        return Ok(None);
    };
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        Some(&[a, b, c]) => Ok(Some((a, b, c))),
        _ => Err(values.wrong(
            "WHATSAPP_CLIENT_VERSION",
            "write three numbers with dots, e.g. 2.3000.1026131876",
        )),
    }
}

fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') {
                c
            } else {
                '-'
            }
        })
        .take(64)
        .collect();
    if plain.is_empty() {
        "worker".to_owned()
    } else {
        plain
    }
}
