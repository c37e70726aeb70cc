//! One session of a term, in a task of its own.
//!
//! The task ends when its session has ended and its committer has finished, and it is waited for: only
//! then may the lease be given back. A session that outlives its time is dropped, which closes its
//! socket; a panic in it is an end like any other.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::Shared;
use super::state::{Ending, Input};
use crate::clock::Boot;
use crate::ids::AccountId;
use crate::inbound::intake;
use crate::lease::keeper::{Loss, Term};
use crate::session::Board;
use crate::session::life::{self, Outcome};
use crate::session::reins::{Order, Reins, Rider, reins};
use crate::telemetry::event::{self, Event};

/// How long after its time a session may still be ending: what it does then is bounded by itself.
const OVERTIME: Duration = Duration::from_millis(250);
/// How long a session whose lease is lost may take to end.
const CUT: Duration = Duration::from_secs(5);
/// Before a session that panicked is started again.
const PANICKED: Duration = Duration::from_secs(10);

/// What a session begins with.
pub(super) struct Plan {
    pub(super) shared: Shared,
    pub(super) account: AccountId,
    pub(super) board: Board,
    pub(super) term: Arc<Term>,
}

/// A running session. Dropping it ends it without waiting.
pub(super) struct Operation {
    account: AccountId,
    rider: Rider,
    task: AbortOnDropHandle<Ending>,
}

impl Operation {
    pub(super) fn start(plan: Plan, paused: bool) -> Self {
        let (rider, reins) = reins(paused);
        let account = plan.account.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(plan.operate(reins)));
        Self {
            account,
            rider,
            task,
        }
    }

    pub(super) fn drain(&self, until: Boot) {
        self.rider.drain(until);
    }

    pub(super) fn cut(&self, loss: Loss) {
        self.rider.cut(loss);
    }

    pub(super) fn pause(&self, paused: bool) {
        self.rider.pause(paused);
    }

    pub(super) fn nudge(&self) {
        self.rider.nudge();
    }

    pub(super) fn attend(&self) {
        self.rider.attend();
    }

    /// Resolves when something is worth telling. Cancel safe, up to and including its end.
    pub(super) async fn next(&mut self) -> Input {
        tokio::select! {
            biased;
            ended = &mut self.task => Input::Ended(ended.unwrap_or_else(|failed| {
                event::emit(Event::SessionError {
                    account: &self.account,
                    message: &format!("the session failed and is started again: {failed}"),
                });
                Ending::Unusable { retry: PANICKED }
            })),
            in_a_row = self.rider.deaf() => Input::Deaf(in_a_row),
        }
    }
}

impl Plan {
    async fn operate(self, reins: Reins) -> Ending {
        // The session that loses the race is dropped: nothing of it goes on.
        tokio::select! {
            biased;
            ending = self.session(&reins) => ending,
            ending = overdue(&reins) => {
                warn!(account = %self.account, "the session did not end in time and is dropped");
                self.term.trust().revoke();
                ending
            }
        }
    }

    async fn session(&self, reins: &Reins) -> Ending {
        if self.shared.config.stub_sessions {
            return stub(reins).await;
        }
        let (intake, committer) = intake::open(
            self.shared.store.clone(),
            self.term.fence().clone(),
            self.term.trust().clone(),
            self.shared.config.policy.clone(),
        );
        let context = self
            .shared
            .session(&self.account, &self.term, intake, self.board.clone());
        let outcome = life::run(&context, &self.term, reins).await;
        drop(context);
        committer.finish().await;
        self.ending(outcome)
    }

    fn ending(&self, outcome: Outcome) -> Ending {
        match outcome {
            Outcome::Stopped => Ending::Settled,
            Outcome::Lost(loss) => Ending::Lost(loss),
            Outcome::Unusable { detail, retry, .. } => {
                event::emit(Event::SessionError {
                    account: &self.account,
                    message: &detail,
                });
                Ending::Unusable { retry }
            }
        }
    }
}

/// Resolves when the session should have ended long ago.
async fn overdue(reins: &Reins) -> Ending {
    let cut = async {
        let loss = reins.cut().await;
        tokio::time::sleep(CUT).await;
        Ending::Lost(loss)
    };
    let drained = async {
        let Order::Drain { until } = reins.halted().await else {
            return std::future::pending().await;
        };
        tokio::time::sleep(until.remaining() + OVERTIME).await;
        Ending::Settled
    };
    tokio::select! {
        ending = cut => ending,
        ending = drained => ending,
    }
}

/// A session that does nothing, for measuring leases alone.
async fn stub(reins: &Reins) -> Ending {
    match reins.halted().await {
        Order::Cut(loss) => Ending::Lost(loss),
        Order::Run | Order::Drain { .. } => Ending::Settled,
    }
}
