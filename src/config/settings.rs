//! The closed list of settings. Everything that shows or checks settings reads this table: loading,
//! `config print`, the commented default file and the README's table.

use crate::session::endpoint::without_credentials;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Name in the environment; its lower case is the name in the file.
    pub name: &'static str,
    /// What holds when it is not set; empty: nothing.
    pub default: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// How much of it is printed.
    pub shown: Shown,
}

/// How much of a setting is printed. What is not printed whole is also read from the file that
/// `<NAME>_FILE` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// A store's URL, without its password.
    AsPlace,
    /// A URL, without the user and password in it.
    AsUrl,
    /// Nothing.
    Never,
}

impl Setting {
    /// Whether a file may hold it instead of the environment.
    pub fn has_file(&self) -> bool {
        self.shown != Shown::Whole
    }

    /// `value` as people may see it.
    pub fn show(&self, value: &str) -> String {
        match self.shown {
            Shown::Whole => value.to_owned(),
            Shown::AsPlace => crate::store::shown(value),
            Shown::AsUrl => without_credentials(value),
            Shown::Never => "…".to_owned(),
        }
    }
}

const fn plain(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default,
        help,
        shown: Shown::Whole,
    }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default: "",
        help,
        shown: Shown::Never,
    }
}

/// All settings of this version, in the order in which people meet them.
pub const SETTINGS: &[Setting] = &[
    plain(
        "WHATSAPP_ACCOUNT_ID",
        "default",
        "Accounts to operate: a comma list, or * for every enabled account of the store",
    ),
    Setting {
        name: "STORE_URL",
        default: "sqlite:data/store.db",
        help: "The shared store: sqlite:PATH, or postgres://USER:PASSWORD@HOST/DATABASE for several machines",
        shown: Shown::AsPlace,
    },
    plain(
        "STORE_ALLOW_ASYNC_COMMIT",
        "0",
        "1 uses a PostgreSQL that may lose commits when it fails (fsync or synchronous_commit off)",
    ),
    plain(
        "WORKER_ID",
        "",
        "Name of this worker in leases and logs; the host name unless set",
    ),
    plain(
        "WORKER_CAPACITY",
        "1000",
        "Accounts that this worker holds at most; its weight beside others with WHATSAPP_ACCOUNT_ID=*",
    ),
    plain(
        "AGENT_ROLE",
        "all",
        "What this process does: whatsapp (lease, session, outbox), agent (agent queue) or all",
    ),
    plain(
        "AGENT_LOCK_MS",
        "300000",
        "How long an agent's claim of a job holds without a heartbeat, 1000 to 86400000",
    ),
    plain(
        "AGENT_MAX_RETRIES",
        "3",
        "How often a job that failed is tried again before it is a dead letter, 0 to 20",
    ),
    plain(
        "MESSAGE_RETENTION_DAYS",
        "90",
        "How long messages, what was sent and names are kept, 1 to 3650",
    ),
    plain(
        "WHATSAPP_PHONE",
        "",
        "Link by an 8-character code for this number instead of a QR code",
    ),
    plain(
        "WHATSAPP_LEASE_TTL_MS",
        "60000",
        "How long a silent holder keeps standbys out, 1000 to 300000",
    ),
    plain(
        "WHATSAPP_HEARTBEAT_MS",
        "",
        "Time between renewals; a quarter of the TTL unless set, a third at most",
    ),
    plain(
        "WHATSAPP_LEASE_MARGIN_MS",
        "",
        "Safety margin before the TTL; a twentieth unless set, less than a quarter",
    ),
    plain(
        "SHUTDOWN_GRACE_MS",
        "10000",
        "How long SIGTERM waits for what is in flight",
    ),
    plain(
        "WHATSAPP_AUTH_MODE",
        "",
        "Where auth state begins: local, a file of this machine, or remote (alias convex), the shared store; unless set, remote on PostgreSQL",
    ),
    plain(
        "WHATSAPP_AUTH_DIR",
        ".whatsapp-auth",
        "Directory of local auth state",
    ),
    secret(
        "WHATSAPP_AUTH_KEY",
        "Key that seals auth state, 32 bytes in base64 or hex, and older ones behind it; for local state made beside it unless set",
    ),
    plain(
        "WHATSAPP_ALLOW",
        "",
        "Accept only these senders and groups: comma list of numbers and JIDs; empty: everybody",
    ),
    plain(
        "WHATSAPP_DENY",
        "",
        "Never accept these; beats WHATSAPP_ALLOW",
    ),
    plain(
        "WHATSAPP_GROUPS",
        "all",
        "Group messages: all, mention (only when addressed), off",
    ),
    plain(
        "WHATSAPP_STATUS",
        "off",
        "Status posts: on queues them, off ignores them",
    ),
    plain(
        "WHATSAPP_RELINK_BACKFILL",
        "queue",
        "Messages that arrived between a logout and the next link of the same number: queue (of the last 24 h), record, off",
    ),
    plain(
        "WHATSAPP_WS_URL",
        "wss://web.whatsapp.com/ws/chat",
        "The server: any wss URL, or ws on loopback",
    ),
    Setting {
        name: "WHATSAPP_PROXY",
        default: "",
        help: "http://[user:pass@]host:port (CONNECT) or socks5://…",
        shown: Shown::AsUrl,
    },
    plain(
        "WHATSAPP_EXTRA_CA_FILE",
        "",
        "PEM file of further trust roots for WebSocket, media and HTTP",
    ),
    plain(
        "WHATSAPP_CLIENT_VERSION",
        "",
        "Client version to announce, e.g. 2.3000.1026131876; fetched when not set",
    ),
    plain(
        "WHATSAPP_CONNECT_TIMEOUT_MS",
        "20000",
        "Time for TCP, proxy, TLS and WebSocket together",
    ),
    plain(
        "WHATSAPP_PROBE_MS",
        "20000",
        "Silence of the server before it is asked for a sign of life, 500 to 30000; half of it is the time to answer",
    ),
    plain(
        "HTTP_LISTEN",
        "127.0.0.1:8080",
        "Address and port of the HTTP API for agents; empty: none. No TLS: beyond this machine put a proxy in front",
    ),
    plain(
        "METRICS_LISTEN",
        "127.0.0.1:9464",
        "Address and port of /metrics for Prometheus, open to whoever reaches it: no numbers, no texts; empty: none",
    ),
    secret(
        "AGENT_SECRET",
        "What agents show as Bearer token or sign requests with; several, separated by spaces, while it is changed",
    ),
    secret(
        "ADMIN_API_TOKEN",
        "What operators show as x-admin-token or Bearer token to see and change everything; several, separated by spaces, while it is changed",
    ),
    secret(
        "ADMIN_READ_TOKEN",
        "The same for who may look and change nothing",
    ),
    plain(
        "WEBHOOKS_FILE",
        "",
        "TOML file of webhooks that jobs are pushed to, beside those made by the API",
    ),
    plain(
        "MEDIA_MAX_BYTES",
        "67108864",
        "The largest file that is taken in to be sent, up to 2 GiB",
    ),
    plain(
        "MEDIA_DIR",
        "",
        "Files beneath it may be named by path in messages; unless set, none",
    ),
    plain(
        "MEDIA_ALLOW_PRIVATE",
        "0",
        "1 lets media URLs lead to addresses that are not public: whoever may send can then read what this machine can reach",
    ),
    plain(
        "OUTBOX_ACK_TIMEOUT_MS",
        "20000",
        "How long WhatsApp may take to acknowledge a message before it is sent again",
    ),
    plain(
        "OUTBOX_COOLDOWN_MS",
        "900000",
        "How long a message waits after three attempts, before the last one",
    ),
    plain(
        "OUTBOX_LANE_BLOCK_MS",
        "60000",
        "How long that wait holds up the messages behind it in the same chat, at most",
    ),
    plain(
        "OUTBOX_RATE_PER_MINUTE",
        "0",
        "Messages that an account sends in a minute at most, evenly spread; 0: no limit",
    ),
    plain("OUTBOX_CHAT_RATE_PER_MINUTE", "0", "The same for one chat"),
    plain(
        "OUTBOX_TYPING",
        "0",
        "1 shows typing before each text, for as long as a person would take",
    ),
    plain(
        "EVENTS_RETENTION_HOURS",
        "168",
        "How long events of all workers are kept in the store for `events tail`, up to 8760 and 100,000 events; 0: they are not",
    ),
    plain(
        "AXIOM_DATASET",
        "",
        "Dataset of Axiom that events are sent to, with AXIOM_TOKEN; empty: none",
    ),
    secret(
        "AXIOM_TOKEN",
        "Token of Axiom that may ingest into AXIOM_DATASET",
    ),
    plain(
        "AXIOM_URL",
        "https://api.axiom.co",
        "Where Axiom is, e.g. https://api.eu.axiom.co for datasets in Europe",
    ),
    secret(
        "EVENTS_WEBHOOK_URL",
        "URL that events are posted to in batches, signed with EVENTS_WEBHOOK_SECRET; empty: none",
    ),
    secret(
        "EVENTS_WEBHOOK_SECRET",
        "Signs what is posted to EVENTS_WEBHOOK_URL, whsec_… as in Standard Webhooks; several, separated by spaces, while it is changed",
    ),
    Setting {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        default: "",
        help: "URL of a receiver of OTLP over HTTP, e.g. http://collector:4318, for traces as JSON: one for each message, from its arrival to the replies; empty: none",
        shown: Shown::AsUrl,
    },
    secret(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Headers for it, name=value, separated by commas, values percent-encoded",
    ),
    plain(
        "OTEL_SERVICE_NAME",
        "whatsapp-worker",
        "What these workers are called in traces",
    ),
    plain(
        "EVENTS_SPOOL_DIR",
        "",
        "Directory on a local disk for events whose sink is down; unless set, beside an SQLite store (store.db.events), else .events in WHATSAPP_AUTH_DIR",
    ),
    plain(
        "EVENTS_SPOOL_MAX_BYTES",
        "67108864",
        "How much may wait there for each sink of a worker before the oldest is lost, 4194304 or more",
    ),
    #[cfg(feature = "simulator")]
    plain(
        "SIMULATOR_SESSIONS",
        "real",
        "Simulator builds only: stub holds leases without connecting, for benchmarks: real, stub",
    ),
    #[cfg(feature = "simulator")]
    plain(
        "SIMULATOR_REPLY",
        "off",
        "Simulator builds only: answer each message, for crash tests: off, text",
    ),
];

/// The setting called `name`.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The settings of a production build.
fn production() -> impl Iterator<Item = &'static Setting> {
    SETTINGS
        .iter()
        .filter(|setting| !setting.name.starts_with("SIMULATOR_"))
}

/// All settings of a production build as a table in Markdown, as the README has it.
pub fn markdown() -> String {
    let mut table = "| Setting | Default | Meaning |\n|---|---|---|\n".to_owned();
    for setting in production() {
        let Setting { name, help, .. } = setting;
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let file = match setting.shown {
            Shown::Whole => String::new(),
            Shown::AsPlace | Shown::AsUrl => format!(" (`{name}_FILE` names a file that holds it)"),
            Shown::Never => format!(" (secret; also `{name}_FILE`)"),
        };
        let help = help.replace('|', "\\|");
        table.push_str(&format!("| `{name}` | {default} | {help}{file} |\n"));
    }
    table
}

/// Every setting with its default, commented out: a configuration file to begin with.
pub const DEFAULT_FILE: &str = include_str!("../../config.default.toml");

#[cfg(test)]
mod tests;
