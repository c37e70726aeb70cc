//! The life of a session through one term: connect, be told why it ended, decide what comes next.

mod answers;
mod attempts;
mod auth;
mod failure;
mod live;
mod mark;
mod number;
mod orders;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use auth_store::{AuthStore, Poison};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use self::attempts::{Attempts, Next};
use self::auth::Medium;
use self::live::Live;
use super::SessionContext;
use super::connection::{Connection, End, Errand};
use super::linking::{self, Linking};
use super::observer::Signal;
use super::pulse::{Beat, Pulse};
use super::reins::{Grace, Order, Reins};
use super::state::SessionState;
use crate::clock::Boot;
use crate::lease::keeper::{Loss, Term};
use crate::store::{AuthMedium, StoreError};

/// How often it is looked for missing messages.
const SWEEP: Duration = Duration::from_secs(5);
/// How long an ended connection may take to settle: what it does not commit comes again.
const SETTLE: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to end, and everything is settled: the lease may be released.
    Stopped,
    /// The lease is gone: nothing more may be touched.
    Lost(Loss),
    /// The auth state cannot be used; a person must act. The text says what and how.
    Unusable {
        /// Reason code.
        code: &'static str,
        /// For people.
        detail: String,
        /// When it may be tried again.
        retry: Duration,
    },
}

/// Runs the session of `context` until it is told to end by `reins`, or finds its lease lost. Not
/// cancel safe: dropped, it leaves what is in flight unacknowledged.
pub async fn run(context: &SessionContext, term: &Term, reins: &Reins) -> Outcome {
    let life = Life {
        context,
        term,
        reins,
    };
    life.run().await
}

struct Life<'a> {
    context: &'a SessionContext,
    term: &'a Term,
    reins: &'a Reins,
}

impl Life<'_> {
    async fn run(self) -> Outcome {
        self.show(SessionState::Starting).await;
        let outcome = match self.open_medium().await {
            Ok(mut medium) => {
                let outcome = self.generations(&mut medium).await;
                medium.close(outcome == Outcome::Stopped).await;
                outcome
            }
            Err(outcome) => outcome,
        };
        if let Outcome::Unusable { code, detail, .. } = &outcome {
            let detail = detail.clone();
            self.show(SessionState::Failed { code, detail }).await;
        }
        outcome
    }

    /// One round for each set of credentials: a logout begins the next.
    async fn generations(&self, medium: &mut Medium) -> Outcome {
        let linking = Linking::new(self.context.phone.clone(), Boot::now());
        let mut attempts = Attempts::new(linking);
        loop {
            let auth = match self.open_auth(medium).await {
                Ok(auth) => auth,
                Err(outcome) => return outcome,
            };
            let begun = match self.connections(&auth, medium.kind, &mut attempts).await {
                Next::Finish(outcome) => {
                    self.close_auth(&auth, &outcome).await;
                    return outcome;
                }
                Next::Relink(reason) => self.retire(&auth, &reason).await,
                Next::Clear { by } => self.clear(&auth, &by).await,
                Next::TurnAway { number } => {
                    let away = self.turn_away(&auth, &number, &mut attempts).await;
                    if away.is_ok() {
                        continue;
                    }
                    away
                }
                // Only a poisoned auth store comes here: what it holds in memory is of no use.
                Next::Connect | Next::Pause(_) | Next::Rest(_) => {
                    self.close_auth(&auth, &Outcome::Lost(Loss::Unanswered))
                        .await;
                    continue;
                }
            };
            match begun {
                Ok(()) => attempts.begin_anew(Boot::now()),
                Err(outcome) => return outcome,
            }
        }
    }

    /// Connects again and again with the same credentials.
    async fn connections(
        &self,
        auth: &Arc<AuthStore>,
        kind: AuthMedium,
        attempts: &mut Attempts,
    ) -> Next {
        loop {
            if let Some(finish) = halt(self.reins.order()) {
                return finish;
            }
            if !is_linked(auth).await
                && let Some(finish) = self.wait_until_worthwhile(attempts).await
            {
                return finish;
            }
            let next = match self.connection(auth, kind, attempts).await {
                Ok(end) => self.after(end, is_linked(auth).await, attempts).await,
                Err(next) => next,
            };
            let finish = match next {
                Next::Connect => None,
                Next::Pause(pause) => self.pause(pause).await,
                Next::Rest(pause) => self.rest(pause, attempts).await,
                next => return next,
            };
            if let Some(finish) = finish {
                return finish;
            }
            if auth.poisoned().borrow().is_some() {
                return Next::Connect;
            }
        }
    }

    /// Waits for somebody to look at codes, once nobody has for long enough.
    async fn wait_until_worthwhile(&self, attempts: &mut Attempts) -> Option<Next> {
        loop {
            self.told(attempts.linking.look(self.context).await.map(drop));
            let watched = *self.context.board.watched.borrow();
            if attempts.linking.worthwhile(watched, Boot::now()) {
                return None;
            }
            self.show(attempts.linking.needs_link()).await;
            if let Some(finish) = self.pause(linking::LOOK).await {
                return Some(finish);
            }
        }
    }

    /// One connection, to its end. `Err`: the session is over or the client could not be built.
    async fn connection(
        &self,
        auth: &Arc<AuthStore>,
        kind: AuthMedium,
        attempts: &mut Attempts,
    ) -> Result<End, Next> {
        if !auth.is_current().await
            && let Some(next) = self.look_at_stranger(auth, kind, attempts).await
        {
            return Err(next);
        }
        let linked = is_linked(auth).await;
        let phone = attempts.linking.phone().filter(|_| !linked);
        let opened = Connection::open(self.context, auth, Errand::Operate { phone }).await;
        let (mut connection, mut signals) =
            opened.map_err(|error| Next::Finish(failure::unreadable(&error)))?;
        attempts.begin();
        let mut live = Live::new(self, &connection, auth, kind);
        let mut pulse = Pulse::new(self.context.probe);
        let mut poisoned = auth.poisoned();
        let mut look = tokio::time::interval(linking::LOOK);
        let mut sweep = tokio::time::interval(SWEEP);
        let mut listen = tokio::time::interval(pulse.pace());
        listen.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked = pin!(self.asked());
        // Each branch may lose the race: signals stay queued, the others are levels or clocks, or kept.
        let end = loop {
            tokio::select! {
                biased;
                order = self.reins.halted() => {
                    return Err(match order {
                        Order::Drain { until } => {
                            let grace = Grace::new(Boot::now(), until);
                            self.drain(connection, signals, live, attempts, grace).await
                        }
                        order => {
                            connection.cut().await;
                            halt(order).expect("it was waited for a halt")
                        }
                    });
                }
                why = poison(&mut poisoned) => {
                    connection.cut().await;
                    return Err(self.poisoned(&why));
                }
                next = &mut asked => {
                    live.end().await;
                    connection.log_out().await;
                    connection
                        .drain(Grace::new(Boot::now(), Boot::now().plus(SETTLE)))
                        .await;
                    return Err(next);
                }
                end = connection.ended() => break end,
                Some(signal) = signals.recv() => live.hear(signal, &connection, attempts).await,
                _ = look.tick(), if !linked => {
                    match attempts.linking.look(self.context).await {
                        // Another kind of code is wanted: only a new connection can ask for it.
                        Ok(true) => break End::Restart,
                        seen => self.told(seen.map(drop)),
                    }
                }
                _ = sweep.tick(), if live.ready() => live.sweep(&connection),
                _ = listen.tick(), if linked => {
                    match pulse.listen(connection.ear().last(), Boot::now()) {
                        Beat::Quiet => {}
                        Beat::Ask => live.ask(&connection, pulse.patience()),
                        Beat::Answered => live.hears(attempts),
                        Beat::Deaf => break End::Deaf,
                    }
                }
            }
        };
        // What was said before the end still counts: pairing succeeds right before its restart.
        while let Ok(signal) = signals.try_recv() {
            live.hear(signal, &connection, attempts).await;
        }
        live.end().await;
        let stranger = live.stranger();
        match end {
            // What is not committed must not be flushed either.
            End::Uncommitted => connection.cut().await,
            _ => {
                connection
                    .drain(Grace::new(Boot::now(), Boot::now().plus(SETTLE)))
                    .await
            }
        }
        stranger.map_or(Ok(end), |number| Err(Next::TurnAway { number }))
    }

    /// Ends in the order that loses nothing: nothing new is sent, the server's answers to what was
    /// sent are waited for while messages go on coming in, then the connection drains.
    async fn drain(
        &self,
        mut connection: Connection,
        mut signals: mpsc::UnboundedReceiver<Signal>,
        mut live: Live<'_>,
        attempts: &mut Attempts,
        grace: Grace,
    ) -> Next {
        live.send_no_more();
        let patience = tokio::time::sleep(grace.answers().remaining());
        tokio::pin!(patience);
        // Each branch may lose the race: signals stay queued, the others are levels or clocks.
        loop {
            tokio::select! {
                biased;
                loss = self.reins.cut() => {
                    connection.cut().await;
                    return Next::Finish(Outcome::Lost(loss));
                }
                _ = connection.ended() => break,
                Some(signal) = signals.recv() => live.hear(signal, &connection, attempts).await,
                () = live.settled() => break,
                () = &mut patience => {
                    warn!(account = %self.context.account, "the server has not answered everything that was sent");
                    break;
                }
            }
        }
        live.end().await;
        let cut = connection.drain_unless(grace, self.reins.cut()).await;
        Next::Finish(cut.map_or(Outcome::Stopped, Outcome::Lost))
    }

    /// Waits, unless the session is over before.
    async fn pause(&self, pause: Duration) -> Option<Next> {
        tokio::select! {
            biased;
            order = self.reins.halted() => halt(order),
            next = self.asked() => Some(next),
            () = tokio::time::sleep(pause) => None,
        }
    }

    /// Waits for a person, or for as long as it is worth without one.
    async fn rest(&self, pause: Duration, attempts: &mut Attempts) -> Option<Next> {
        tokio::select! {
            biased;
            finish = self.pause(pause) => finish,
            () = self.reins.nudged() => {
                attempts.forgive();
                None
            }
        }
    }

    async fn show(&self, state: SessionState) {
        if *self.context.board.state.borrow() == state {
            return;
        }
        let text = state.describe();
        let published = self.context.store.publish_session_status(
            &self.context.fence,
            state.name(),
            state.reason_code(),
            &text,
        );
        self.told(published.await);
        self.context.board.state.send_replace(state);
    }

    /// What is shown to others is worth a warning when it fails, not the session.
    fn told(&self, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            warn!(account = %self.context.account, %error, "the store did not take what the session tells");
        }
    }
}

/// Whether there is a link to log in with. A process that died right after the phone vouched left one
/// that is not in use yet: it is completed by logging in, or refused by the server.
async fn is_linked(auth: &AuthStore) -> bool {
    // A device that cannot be read is found by the connection, which says so.
    auth.is_current().await || auth.is_vouched_for().await.unwrap_or(false)
}

/// What an order to end makes of the session.
const fn halt(order: Order) -> Option<Next> {
    match order {
        Order::Run => None,
        Order::Drain { .. } => Some(Next::Finish(Outcome::Stopped)),
        Order::Cut(loss) => Some(Next::Finish(Outcome::Lost(loss))),
    }
}

/// Resolves when the auth store takes no more writes. Cancel safe.
async fn poison(state: &mut watch::Receiver<Option<Poison>>) -> Poison {
    let reason = state.wait_for(Option::is_some).await;
    reason
        .ok()
        .and_then(|reason| reason.clone())
        .unwrap_or(Poison::Closed)
}
