//! Runs one account in this process: bid, operate, stop or lose, bid again.
//!
//! What happens next is decided by the pure [`state::Machine`]; here its commands are carried out and
//! what happened is told to it. The supervisor owns everything of the account: the bid, the term, the
//! session's task. Losing the lease always closes the socket and returns to standby in the same
//! process: an operator need never restart a worker.
//!
//! Failures: an auth state that cannot be used keeps its lease (no other worker on this disk would
//! fare better) and is tried again each minute; one that belongs to another installation makes this
//! process ineligible, and it does not bid. A session that does not settle within its grace is dropped,
//! and one that panics is started again; either way nothing of it can be sent or written afterwards,
//! because trust and fence end with the term.

mod hands;
mod operation;
pub mod state;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::state::AccountState;

use self::hands::Hands;
use self::state::{Input, Machine, Place, Wish};
use crate::config::Config;
use crate::fleet::Posting;
use crate::ids::{AccountId, OwnerId};
use crate::inbound::intake::Intake;
use crate::lease::keeper::{Leases, Term};
use crate::session::acquaintances::Acquaintances;
use crate::session::asked::Bell;
use crate::session::compose::Composer;
use crate::session::endpoint::Network;
use crate::session::http::WebClient;
use crate::session::peers::Peers;
use crate::session::send::Sessions;
use crate::session::version::ClientVersion;
use crate::session::{AuthHome, Board, SessionContext};
use crate::store::{Account, Store};

/// What all accounts of a process share.
#[derive(Clone)]
pub struct Shared {
    /// Settings.
    pub config: Arc<Config>,
    /// The shared store.
    pub store: Store,
    /// The leases of this process.
    pub leases: Leases,
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
    /// Rings when something is asked of a session.
    pub bell: Bell,
}

impl Shared {
    /// What a session of `account` needs during `term`.
    pub fn session(
        &self,
        account: &AccountId,
        term: &Term,
        intake: Intake,
        board: Board,
    ) -> SessionContext {
        SessionContext {
            account: account.clone(),
            store: self.store.clone(),
            fence: term.fence().clone(),
            trust: term.trust().clone(),
            intake,
            network: self.network.clone(),
            http: self.http.clone(),
            version: self.version.clone(),
            home: self.home.clone(),
            phone: self.config.phone.clone(),
            board,
            probe: self.config.probe,
            backfill: self.config.backfill,
            peers: Peers::default(),
            acquaintances: Acquaintances::default(),
            bell: self.bell.clone(),
            composer: Composer::new(self.store.clone(), account.clone()),
            outbox: self.config.outbox,
            sessions: Sessions::default(),
            reply_to_everything: self.config.reply_to_everything,
        }
    }
}

/// Operates `account` until `stop`. Await it to the end: it drains and releases.
#[derive(Clone)]
pub struct Supervisor {
    shared: Shared,
    account: AccountId,
    postings: watch::Receiver<Posting>,
    stop: CancellationToken,
    board: Board,
}

impl Supervisor {
    /// A supervisor that hears of its account by `postings` and shows its session on `board`.
    pub fn new(
        shared: Shared,
        account: AccountId,
        postings: watch::Receiver<Posting>,
        stop: CancellationToken,
        board: Board,
    ) -> Self {
        Self {
            shared,
            account,
            postings,
            stop,
            board,
        }
    }

    /// Runs until told to stop. Not cancel safe: dropped, the lease runs out by its TTL.
    pub async fn run(mut self) {
        let mut machine = Machine::default();
        let mut hands = Hands::new(
            self.shared.clone(),
            self.account.clone(),
            self.board.clone(),
        );
        self.postings.mark_changed();
        let mut stopped = false;
        let mut state = machine.state();
        loop {
            // Each branch may lose the race: all of them are levels, or are kept in `hands`.
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled(), if !stopped => {
                    stopped = true;
                    Input::Stop
                }
                input = hands.next() => input,
                posting = posted(&mut self.postings) => {
                    Input::Posted(wish(&posting, &self.shared.home.installation))
                }
            };
            let commands = machine.on(input);
            let before = std::mem::replace(&mut state, machine.state());
            if state != before {
                self.tell(&state);
            }
            for command in commands {
                if !hands.obey(command, &self.postings).await {
                    return;
                }
            }
        }
    }

    fn tell(&self, state: &AccountState) {
        let account = &self.account;
        match state {
            AccountState::Disabled | AccountState::Ineligible { .. } => {
                warn!(%account, "{}", state.describe());
            }
            AccountState::Draining => {
                info!(%account, "[whatsapp] Draining before the lease is released...");
            }
            _ => {}
        }
    }
}

/// The next posting. Cancel safe.
async fn posted(postings: &mut watch::Receiver<Posting>) -> Posting {
    if postings.changed().await.is_err() {
        // Nobody posts any more: the last word stays.
        std::future::pending::<()>().await;
    }
    postings.borrow_and_update().clone()
}

/// What a posting means for the process of `installation`.
fn wish(posting: &Posting, installation: &str) -> Wish {
    let account = posting.account.as_ref();
    Wish {
        place: account.map_or(Place::Unknown, |account| place(account, installation)),
        paused: account.is_some_and(|account| account.paused),
        resumed_at: account.and_then(|account| account.resumed_at),
        asked_at: account.and_then(|account| account.auth_asked_at),
        standbys: posting.standbys,
    }
}

fn place(account: &Account, installation: &str) -> Place {
    match &account.auth_home {
        _ if !account.enabled => Place::Disabled,
        Some(auth_home) if auth_home != installation => Place::Elsewhere {
            auth_home: auth_home.clone(),
        },
        _ => Place::Here,
    }
}
