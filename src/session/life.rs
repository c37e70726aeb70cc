//! The life of a session through one term: connect, be told why it ended, decide what comes next.

mod answers;
mod auth;
mod live;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use auth_store::{AuthStore, LocalMedium, Poison};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::auth::UNUSABLE;
use self::live::Live;
use super::SessionContext;
use super::connection::{Connection, End};
use super::linking::{self, Linking};
use super::state::SessionState;
use crate::clock::Boot;
use crate::lease::keeper::{Loss, Term};
use crate::store::StoreError;

/// How often it is looked for missing messages.
const SWEEP: Duration = Duration::from_secs(5);
/// How long an ended connection may take to settle: what it does not commit comes again.
const SETTLE: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was told to stop, and everything is settled: the lease may be released.
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

/// Runs the session of `context` until it is told to `stop` or loses its lease. `grace` bounds the
/// stop. Not cancel safe: dropped, it leaves what is in flight unacknowledged.
pub async fn run(
    context: &SessionContext,
    term: &Term,
    stop: &CancellationToken,
    grace: Duration,
) -> Outcome {
    let life = Life {
        context,
        term,
        stop,
        grace,
    };
    life.run().await
}

struct Life<'a> {
    context: &'a SessionContext,
    term: &'a Term,
    stop: &'a CancellationToken,
    grace: Duration,
}

/// What follows an ended connection.
enum Next {
    Connect,
    Pause(Duration),
    Relink(String),
    Finish(Outcome),
}

/// What the attempts so far have shown.
struct Attempts {
    failed: u32,
    replaced: VecDeque<Boot>,
    linking: Linking,
    connected: bool,
}

impl Life<'_> {
    async fn run(self) -> Outcome {
        self.show(SessionState::Starting).await;
        let medium = match self.open_medium().await {
            Ok(medium) => medium,
            Err(outcome) => return outcome,
        };
        let outcome = self.generations(&medium).await;
        medium.close().await;
        outcome
    }

    /// One round for each set of credentials: a logout begins the next.
    async fn generations(&self, medium: &Arc<LocalMedium>) -> Outcome {
        let mut attempts = Attempts {
            failed: 0,
            replaced: VecDeque::new(),
            linking: Linking::new(self.context.phone.clone(), Boot::now()),
            connected: false,
        };
        loop {
            let auth = match self.open_auth(medium).await {
                Ok(auth) => auth,
                Err(outcome) => return outcome,
            };
            match self.connections(&auth, &mut attempts).await {
                Next::Finish(outcome) => {
                    self.close_auth(&auth, &outcome).await;
                    return outcome;
                }
                Next::Relink(reason) => {
                    if let Err(outcome) = self.retire(&auth, &reason).await {
                        return outcome;
                    }
                    attempts.linking.begin_anew(Boot::now());
                    attempts.failed = 0;
                }
                // Only a poisoned auth store comes here: what it holds in memory is of no use.
                Next::Connect | Next::Pause(_) => {
                    self.close_auth(&auth, &Outcome::Lost(Loss::Unanswered))
                        .await;
                }
            }
        }
    }

    /// Connects again and again with the same credentials.
    async fn connections(&self, auth: &Arc<AuthStore>, attempts: &mut Attempts) -> Next {
        loop {
            if self.stop.is_cancelled() {
                return Next::Finish(Outcome::Stopped);
            }
            if !auth.is_current().await
                && let Some(finish) = self.wait_until_worthwhile(attempts).await
            {
                return finish;
            }
            let next = match self.connection(auth, attempts).await {
                Ok(end) => self.after(end, auth.is_current().await, attempts).await,
                Err(next) => next,
            };
            let pause = match next {
                Next::Connect => Duration::ZERO,
                Next::Pause(pause) => pause,
                next => return next,
            };
            if let Some(finish) = self.pause(pause).await {
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
            self.show(SessionState::NeedsLink).await;
            if let Some(finish) = self.pause(linking::LOOK).await {
                return Some(finish);
            }
        }
    }

    /// One connection, to its end. `Err`: the session is over or the client could not be built.
    async fn connection(
        &self,
        auth: &Arc<AuthStore>,
        attempts: &mut Attempts,
    ) -> Result<End, Next> {
        let linked = auth.is_current().await;
        let phone = attempts.linking.phone().filter(|_| !linked);
        let opened = Connection::open(self.context, auth, phone).await;
        let (mut connection, mut signals) = opened.map_err(|error| {
            Next::Finish(Outcome::Unusable {
                code: "auth_damaged",
                detail: format!("{error:#}"),
                retry: UNUSABLE,
            })
        })?;
        attempts.connected = false;
        let mut live = Live::new(self, auth);
        let mut poisoned = auth.poisoned();
        let mut look = tokio::time::interval(linking::LOOK);
        let mut sweep = tokio::time::interval(SWEEP);
        // Each branch may lose the race: signals stay queued, the others are levels or clocks.
        let end = loop {
            tokio::select! {
                biased;
                loss = self.term.lost() => {
                    connection.cut().await;
                    return Err(Next::Finish(Outcome::Lost(loss)));
                }
                why = poison(&mut poisoned) => {
                    connection.cut().await;
                    return Err(self.poisoned(&why));
                }
                () = self.stop.cancelled() => {
                    live.end().await;
                    connection.drain(self.grace).await;
                    return Err(Next::Finish(Outcome::Stopped));
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
            }
        };
        // What was said before the end still counts: pairing succeeds right before its restart.
        while let Ok(signal) = signals.try_recv() {
            live.hear(signal, &connection, attempts).await;
        }
        live.end().await;
        match end {
            // What is not committed must not be flushed either.
            End::Uncommitted => connection.cut().await,
            _ => connection.drain(SETTLE).await,
        }
        Ok(end)
    }

    /// Waits, unless the session is over before.
    async fn pause(&self, pause: Duration) -> Option<Next> {
        tokio::select! {
            biased;
            loss = self.term.lost() => Some(Next::Finish(Outcome::Lost(loss))),
            () = self.stop.cancelled() => Some(Next::Finish(Outcome::Stopped)),
            () = tokio::time::sleep(pause) => None,
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

/// Resolves when the auth store takes no more writes. Cancel safe.
async fn poison(state: &mut watch::Receiver<Option<Poison>>) -> Poison {
    let reason = state.wait_for(Option::is_some).await;
    reason
        .ok()
        .and_then(|reason| reason.clone())
        .unwrap_or(Poison::Closed)
}
