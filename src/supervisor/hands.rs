//! What a supervisor holds, and how it carries out the commands of its state machine.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Sleep;
use tracing::{info, warn};

use super::operation::{Operation, Plan};
use super::state::{Command, Input, Wish};
use super::{Shared, wish};
use crate::clock::Boot;
use crate::fleet::Posting;
use crate::ids::AccountId;
use crate::lease::keeper::{Loss, Term};
use crate::session::Board;
use crate::telemetry::event::{self, Event};

/// How the grace of a stop is shared out: the session has the most of it, giving the lease back the
/// rest. What is left over is for the process itself.
const SESSION_SHARE: f64 = 0.7;
const RELEASE_SHARE: f64 = 0.15;

pub(super) struct Hands {
    shared: Shared,
    account: AccountId,
    board: Board,
    bid: Option<BoxFuture<'static, Term>>,
    tenure: Option<Tenure>,
    check: Option<BoxFuture<'static, Option<Wish>>>,
    operation: Option<Operation>,
    alarm: Option<Pin<Box<Sleep>>>,
}

/// A term, and what of it has been heard and told: each once.
struct Tenure {
    term: Arc<Term>,
    loss_heard: bool,
    loss_told: bool,
    call_heard: bool,
}

impl Tenure {
    /// Resolves when the lease is gone, or somebody else should have it. Cancel safe.
    async fn next(&mut self) -> Input {
        tokio::select! {
            biased;
            loss = self.term.lost(), if !self.loss_heard => {
                self.loss_heard = true;
                Input::Lost(loss)
            }
            why = self.term.called_for(), if !self.call_heard => {
                self.call_heard = true;
                Input::CalledFor(why)
            }
            else => std::future::pending().await,
        }
    }
}

impl Hands {
    pub(super) fn new(shared: Shared, account: AccountId, board: Board) -> Self {
        Self {
            shared,
            account,
            board,
            bid: None,
            tenure: None,
            check: None,
            operation: None,
            alarm: None,
        }
    }

    /// What happens next. Cancel safe.
    pub(super) async fn next(&mut self) -> Input {
        // Whoever loses the race is kept, and asked again.
        tokio::select! {
            biased;
            input = tenure(&mut self.tenure) => input,
            input = happened(&mut self.operation) => {
                if let Input::Ended(_) = input {
                    self.operation = None;
                }
                input
            }
            term = answer(&mut self.bid) => {
                self.bid = None;
                self.tenure = Some(Tenure {
                    term: Arc::new(term),
                    loss_heard: false,
                    loss_told: false,
                    call_heard: false,
                });
                Input::Won
            }
            seen = answer(&mut self.check) => {
                self.check = None;
                Input::Checked(seen)
            }
            () = rung(&mut self.alarm) => {
                self.alarm = None;
                Input::Alarm
            }
        }
    }

    /// Carries out `command`; `false` after the last one.
    pub(super) async fn obey(
        &mut self,
        command: Command,
        postings: &watch::Receiver<Posting>,
    ) -> bool {
        match command {
            Command::Bid => self.bid = Some(self.bid()),
            Command::Withdraw => self.bid = None,
            Command::Check => self.check = Some(self.check(postings.borrow().standbys)),
            Command::Start { paused } => {
                let tenure = self.tenure.as_ref();
                let plan = Plan {
                    shared: self.shared.clone(),
                    account: self.account.clone(),
                    board: self.board.clone(),
                    term: tenure.expect("a session begins under a lease").term.clone(),
                };
                self.operation = Some(Operation::start(plan, paused));
            }
            Command::Pause(paused) => {
                self.operation().pause(paused);
                let now = if paused {
                    "[whatsapp] Paused: nothing is sent, messages are still taken in"
                } else {
                    "[whatsapp] Resumed: sending again"
                };
                info!(account = %self.account, "{now}");
            }
            Command::Nudge => self.operation().nudge(),
            Command::Attend => self.operation().attend(),
            Command::Drain => {
                let until = Boot::now().plus(self.share(SESSION_SHARE));
                self.operation().drain(until);
            }
            Command::Cut(loss) => {
                self.tell_loss(loss);
                self.operation().cut(loss);
            }
            Command::Release(why) => self.release(why).await,
            Command::Forget(loss) => self.forget(loss),
            Command::SitOut => self.ring_after(self.shared.config.lease.ttl()),
            Command::RetryAfter(pause) => self.ring_after(pause),
            Command::End => return false,
        }
        true
    }

    fn operation(&self) -> &Operation {
        self.operation
            .as_ref()
            .expect("the machine steers a session only while it runs")
    }

    fn bid(&self) -> BoxFuture<'static, Term> {
        let (leases, account) = (self.shared.leases.clone(), self.account.clone());
        Box::pin(async move { leases.win(&account).await })
    }

    /// Reads the account again: what was read before the lease was ours may be old.
    fn check(&self, standbys: usize) -> BoxFuture<'static, Option<Wish>> {
        let (store, account) = (self.shared.store.clone(), self.account.clone());
        let installation = self.shared.home.installation.clone();
        Box::pin(async move {
            match store.account(&account).await {
                Ok(account) => Some(wish(&Posting { account, standbys }, &installation)),
                Err(error) => {
                    warn!(%account, %error, "the account could not be read again, going on with what is known");
                    None
                }
            }
        })
    }

    /// Gives the lease back. A store that does not take it leaves it to its TTL.
    async fn release(&mut self, why: &'static str) {
        self.check = None;
        let Some(tenure) = self.tenure.take() else {
            return;
        };
        let term = Arc::into_inner(tenure.term).expect("the session that shared it has ended");
        let limit = self.share(RELEASE_SHARE);
        if tokio::time::timeout(limit, term.release(why))
            .await
            .is_err()
        {
            warn!(account = %self.account, "the store did not take the lease back in time: it ends by its TTL");
        }
    }

    /// Lets go of a lease that is lost.
    fn forget(&mut self, loss: Loss) {
        self.check = None;
        self.tell_loss(loss);
        let tenure = self.tenure.take();
        let term = tenure.and_then(|tenure| Arc::into_inner(tenure.term));
        if let (Some(term), Loss::Refused) = (term, loss) {
            // The session may have met the new fence before the next heartbeat does.
            term.fenced();
        }
    }

    /// Tells of the loss, once for each term.
    fn tell_loss(&mut self, loss: Loss) {
        let Some(tenure) = &mut self.tenure else {
            return;
        };
        if std::mem::replace(&mut tenure.loss_told, true) {
            return;
        }
        event::emit(Event::HeartbeatLost {
            account: &self.account,
            owner: &self.shared.owner,
            epoch: tenure.term.fence().epoch(),
            reason: loss.as_str(),
        });
    }

    fn ring_after(&mut self, pause: Duration) {
        self.alarm = Some(Box::pin(tokio::time::sleep(pause)));
    }

    fn share(&self, share: f64) -> Duration {
        self.shared.config.shutdown_grace.mul_f64(share)
    }
}

/// Resolves when something happens to the lease. Cancel safe.
async fn tenure(tenure: &mut Option<Tenure>) -> Input {
    match tenure {
        Some(tenure) => tenure.next().await,
        None => std::future::pending().await,
    }
}

/// Resolves when the session did something worth telling. Cancel safe.
async fn happened(operation: &mut Option<Operation>) -> Input {
    match operation {
        Some(operation) => operation.next().await,
        None => std::future::pending().await,
    }
}

/// Resolves when what is waited for is there. Cancel safe.
async fn answer<T>(waiting: &mut Option<BoxFuture<'static, T>>) -> T {
    match waiting {
        Some(waiting) => waiting.await,
        None => std::future::pending().await,
    }
}

/// Resolves when the alarm rings. Cancel safe.
async fn rung(alarm: &mut Option<Pin<Box<Sleep>>>) {
    match alarm {
        Some(alarm) => alarm.await,
        None => std::future::pending().await,
    }
}
