//! The linked device of one account, for one term of its lease.
//!
//! ```text
//!   life (this term) ──▶ connection (one client) ──▶ transport (kill switch) ──▶ WhatsApp
//!     │                     │ observer: events → signals
//!     │                     └ hook: messages → intake (the acknowledgement waits)
//!     ├ linking: QR rounds, pairing codes
//!     ├ delivery: what waits in the outbox
//!     ├ asked: lookups, typing, read marks that other processes ask for
//!     ├ missing: what arrived and is not there
//!     ├ peers: whose messages cannot be read
//!     └ history: what arrived while nothing was linked
//! ```
//!
//! Only this directory, the auth store and the simulator name types of the protocol library.
//!
//! Invariants: nothing is connected or written past the trust in the lease; a message is acknowledged
//! only after its commit; a reply leaves only when the backlog is through and the ratchets are
//! durable. Failures and their answers are the closed table in [`life`].

pub mod acquaintances;
pub mod adoption;
mod arrivals;
pub mod asked;
mod ballots;
pub mod compose;
pub mod connection;
pub mod decode;
mod delivery;
pub mod encode;
pub mod endpoint;
mod history;
mod hook;
pub mod http;
pub mod life;
pub mod linking;
mod lookup;
pub mod media;
mod missing;
mod observer;
pub mod peers;
pub mod prewarm;
mod pulse;
pub mod qr;
pub mod reins;
pub mod send;
pub mod shelf;
mod sound;
pub mod state;
pub mod transport;
mod typing;
pub mod upload;
pub mod version;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auth_store::{KeyFile, KeyFileError, KeyRing};
use tokio::sync::watch;

use self::acquaintances::Acquaintances;
use self::asked::Bell;
use self::compose::Composer;
use self::endpoint::Network;
use self::http::WebClient;
use self::peers::Peers;
use self::send::Sessions;
use self::state::SessionState;
use self::version::ClientVersion;
use crate::ids::{AccountId, Phone};
use crate::inbound::backfill::Backfill;
use crate::inbound::intake::Intake;
use crate::lease::trust::Trust;
use crate::outbound::delivery::Rules;
use crate::outbound::pacing::Pacing;
use crate::store::{AuthMedium, Fence, LinkCode, Store};

/// Makes ring the process's only source of cryptography for TLS. Call it once, first of all.
pub fn install_crypto_provider() {
    // A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// What this installation has for auth states: a disk for local ones, and what seals them all.
#[derive(Clone)]
pub struct AuthHome {
    /// Directory of local auth state.
    pub dir: PathBuf,
    /// The configured keys, which other machines may have too; none: they lie in a file under `dir`.
    pub configured: Option<KeyRing>,
    /// Where the auth state of an account begins that has none yet.
    pub mode: AuthMedium,
    /// Tells this disk from others.
    pub installation: String,
}

impl AuthHome {
    /// The keys that hold now. A key file is read each time: a rotation reaches running workers, and
    /// configuring a key takes over what was sealed without one.
    ///
    /// # Errors
    /// The file is gone or holds something else.
    pub fn ring(&self) -> Result<KeyRing, KeyFileError> {
        let file = KeyFile::beside(&self.dir).read();
        match (&self.configured, file) {
            (None, file) => file,
            (Some(configured), Ok(older)) => Ok(configured.before(&older)),
            // What it alone could open is refused by the name of its key.
            (Some(configured), Err(_)) => Ok(configured.clone()),
        }
    }
}

/// What a session needs, given anew for each term.
#[derive(Clone)]
pub struct SessionContext {
    /// Whose session.
    pub account: AccountId,
    /// The shared store.
    pub store: Store,
    /// The term's fence.
    pub fence: Arc<Fence>,
    /// The term's trust.
    pub trust: Trust,
    /// The way into the inbox.
    pub intake: Intake,
    /// How WhatsApp is reached.
    pub network: Arc<Network>,
    /// For media and the client version.
    pub http: WebClient,
    /// The version to announce.
    pub version: ClientVersion,
    /// The auth state's place.
    pub home: AuthHome,
    /// Link by code for this number, unless somebody wishes otherwise.
    pub phone: Option<Phone>,
    /// Where the session shows what it does.
    pub board: Board,
    /// How long the server may be silent before it is asked for a sign of life.
    pub probe: Duration,
    /// What becomes of messages that arrived while the account was not linked.
    pub backfill: Backfill,
    /// Whose messages cannot be read.
    pub peers: Peers,
    /// Who was met and is not noted yet.
    pub acquaintances: Acquaintances,
    /// Rings when something is asked of the session.
    pub bell: Bell,
    /// What makes messages of what is to be sent.
    pub composer: Composer,
    /// How it is sent.
    pub outbox: OutboxSettings,
    /// Held by those who write to devices; whoever drops a session waits for them.
    pub sessions: Sessions,
    /// Answer each message: for crash tests in simulator builds.
    pub reply_to_everything: bool,
}

/// How messages are sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutboxSettings {
    /// Attempts and their times.
    pub rules: Rules,
    /// How fast.
    pub pacing: Pacing,
}

/// What a session shows to its own process. The store shows the same to others.
#[derive(Clone, Debug)]
pub struct Board {
    /// What it is doing.
    pub state: watch::Sender<SessionState>,
    /// The code that waits to be scanned or typed.
    pub code: watch::Sender<Option<LinkCode>>,
    /// Somebody in this process looks at the codes, so new ones are worth making.
    pub watched: watch::Sender<bool>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(SessionState::Starting),
            code: watch::Sender::new(None),
            watched: watch::Sender::new(false),
        }
    }
}
