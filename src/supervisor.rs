//! Runs one account in this process: bid, operate, stop or lose, bid again.
//!
//! ```text
//!  disabled ─▶ standby ─▶ acquiring ─▶ active ─▶ draining ─▶ standby
//!                 ▲                       │ lease lost          ▲
//!  ineligible ────┘                       └───────── lost ──────┘
//! ```
//!
//! Losing the lease always closes the socket and returns to standby in the same process: an operator
//! need never restart a worker. The states of the session live inside `active`.
//!
//! Failures: an auth state that cannot be used keeps its lease (no other worker on this disk would
//! fare better) and is tried again each minute; one that belongs to another installation makes this
//! process ineligible, and it does not bid.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::ids::{AccountId, OwnerId};
use crate::inbound::intake;
use crate::lease::bid::Bidder;
use crate::lease::keeper::{Loss, Term};
use crate::session::connection::ClientVersion;
use crate::session::endpoint::Network;
use crate::session::http::WebClient;
use crate::session::life::{self, Outcome};
use crate::session::state::SessionState;
use crate::session::{AuthHome, Board, SessionContext};
use crate::store::Store;
use crate::telemetry::event::{self, Event};

/// Between two looks whether something that a person must change has changed.
const RECHECK: Duration = Duration::from_secs(10);

/// What an account is doing in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// An operator switched it off.
    Disabled,
    /// Its auth state is on another installation's disk.
    Ineligible {
        /// That installation.
        auth_home: String,
    },
    /// Somebody else holds the lease, or nobody yet.
    Standby,
    /// We hold the lease.
    Active,
    /// We hold the lease and are giving it up.
    Draining,
    /// The lease was lost a moment ago.
    Lost(Loss),
}

/// What all accounts of a process share.
#[derive(Clone)]
pub struct Shared {
    /// Settings.
    pub config: Arc<Config>,
    /// The shared store.
    pub store: Store,
    /// This process.
    pub owner: OwnerId,
    /// How WhatsApp is reached.
    pub network: Arc<Network>,
    /// For media and the client version.
    pub http: WebClient,
    /// The version to announce.
    pub version: ClientVersion,
    /// The auth states' place.
    pub home: AuthHome,
}

/// Operates `account` until `stop`. Await it to the end: it drains and releases.
pub struct Supervisor {
    shared: Shared,
    account: AccountId,
    stop: CancellationToken,
    state: watch::Sender<AccountState>,
    board: Board,
}

impl Supervisor {
    /// A supervisor that shows its session on `board`.
    pub fn new(shared: Shared, account: AccountId, stop: CancellationToken, board: Board) -> Self {
        Self {
            shared,
            account,
            stop,
            state: watch::Sender::new(AccountState::Standby),
            board,
        }
    }

    /// What the account is doing in this process.
    pub fn state(&self) -> watch::Receiver<AccountState> {
        self.state.subscribe()
    }

    /// Runs until told to stop. Not cancel safe: dropped, the lease runs out by its TTL.
    pub async fn run(self) {
        let mut bidder = self.bidder();
        loop {
            if !self.wait_until_eligible().await {
                return;
            }
            self.enter(AccountState::Standby);
            // A dropped bid may have won: its lease runs out, and its beacon tells at once.
            let term = tokio::select! {
                () = self.stop.cancelled() => return,
                term = bidder.win() => term,
            };
            self.operate(term, &mut bidder).await;
            if self.stop.is_cancelled() {
                return;
            }
        }
    }

    fn bidder(&self) -> Bidder {
        Bidder::new(
            self.shared.store.clone(),
            self.account.clone(),
            self.shared.owner.clone(),
            self.shared.config.lease,
        )
    }

    /// Waits until this process may bid. `false`: told to stop.
    async fn wait_until_eligible(&self) -> bool {
        let home = &self.shared.home.installation;
        loop {
            let account = match self.shared.store.account(&self.account).await {
                Ok(Some(account)) => account,
                Ok(None) => return true,
                Err(error) => {
                    warn!(account = %self.account, %error, "the store does not answer, retrying...");
                    if !self.pause(Duration::from_secs(1)).await {
                        return false;
                    }
                    continue;
                }
            };
            let obstacle = match account.auth_home {
                _ if !account.enabled => AccountState::Disabled,
                Some(auth_home) if auth_home != *home => AccountState::Ineligible { auth_home },
                _ => return true,
            };
            if self.enter(obstacle.clone()) {
                warn!(account = %self.account, "{}", obstacle.describe());
            }
            if !self.pause(RECHECK).await {
                return false;
            }
        }
    }

    /// One term, from its start to its release or loss.
    async fn operate(&self, term: Term, bidder: &mut Bidder) {
        self.enter(AccountState::Active);
        event::emit(Event::AuthMode {
            account: &self.account,
            mode: "local",
        });
        let (intake, committer) = intake::open(
            self.shared.store.clone(),
            term.fence().clone(),
            term.trust().clone(),
            self.shared.config.policy.clone(),
        );
        let context = self.context(&term, intake);
        let outcome = self.sessions(&context, &term).await;
        drop(context);
        committer.finish().await;
        match outcome {
            Outcome::Lost(loss) => {
                event::emit(Event::HeartbeatLost {
                    account: &self.account,
                    owner: &self.shared.owner,
                    epoch: term.fence().epoch(),
                    reason: loss.as_str(),
                });
                // The beacon goes out before anybody waits for it.
                drop(term);
                self.enter(AccountState::Lost(loss));
                if loss == Loss::Refused {
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = bidder.step_aside_if_ousted() => {}
                    }
                }
            }
            Outcome::Stopped | Outcome::Unusable { .. } => {
                term.release("stopped").await;
            }
        }
    }

    /// Sessions of one term: a new one after each time the auth state could not be used.
    async fn sessions(&self, context: &SessionContext, term: &Term) -> Outcome {
        let grace = self.shared.config.shutdown_grace;
        loop {
            let outcome = tokio::select! {
                outcome = life::run(context, term, &self.stop, grace) => outcome,
                // Never wins: it only notes the beginning of the drain.
                () = self.note_draining() => unreachable!("it does not end"),
            };
            let Outcome::Unusable {
                code,
                detail,
                retry,
            } = &outcome
            else {
                return outcome;
            };
            event::emit(Event::SessionError {
                account: &self.account,
                message: detail,
            });
            let failed = SessionState::Failed {
                code,
                detail: detail.clone(),
            };
            let told = self.shared.store.publish_session_status(
                term.fence(),
                failed.name(),
                failed.reason_code(),
                detail,
            );
            if let Err(error) = told.await {
                warn!(account = %self.account, %error, "the store did not take the session's state");
            }
            self.board.state.send_replace(failed);
            tokio::select! {
                loss = term.lost() => return Outcome::Lost(loss),
                more = self.pause(*retry) => {
                    if !more {
                        return outcome;
                    }
                }
            }
        }
    }

    async fn note_draining(&self) {
        self.stop.cancelled().await;
        if self.enter(AccountState::Draining) {
            info!(account = %self.account, "[whatsapp] Draining before the lease is released...");
        }
        std::future::pending().await
    }

    fn context(&self, term: &Term, intake: intake::Intake) -> SessionContext {
        let shared = &self.shared;
        SessionContext {
            account: self.account.clone(),
            store: shared.store.clone(),
            fence: term.fence().clone(),
            trust: term.trust().clone(),
            intake,
            network: shared.network.clone(),
            http: shared.http.clone(),
            version: shared.version.clone(),
            home: shared.home.clone(),
            phone: shared.config.phone.clone(),
            board: self.board.clone(),
            reply_to_everything: shared.config.reply_to_everything,
        }
    }

    /// `false`: told to stop.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    /// `true`: this is a change.
    fn enter(&self, state: AccountState) -> bool {
        self.state.send_if_modified(|current| {
            let changed = *current != state;
            *current = state;
            changed
        })
    }
}

impl AccountState {
    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Disabled => "disabled in the store".to_owned(),
            Self::Ineligible { auth_home } => format!(
                "ineligible: the local auth state of this account is on installation {auth_home}; run the worker there"
            ),
            Self::Standby => "standby".to_owned(),
            Self::Active => "active".to_owned(),
            Self::Draining => "draining".to_owned(),
            Self::Lost(loss) => format!("lost: {}", loss.as_str()),
        }
    }
}
