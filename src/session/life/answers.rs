//! Why a connection ended, and what comes next: the failure answers.

use std::time::Duration;

use auth_store::Poison;
use rand::RngExt;
use tracing::debug;

use super::{Attempts, Life, Next, Outcome};
use crate::clock::Boot;
use crate::lease::keeper::Loss;
use crate::session::connection::End;
use crate::session::state::SessionState;
use crate::telemetry::event::{self, Event};

/// Pauses between attempts: doubled each time, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// Before an auth store that takes no more writes is opened again.
const POISONED: Duration = Duration::from_secs(5);
/// So many replacements within [`CONFLICT_WINDOW`] are a conflict.
const CONFLICTS: usize = 3;
const CONFLICT_WINDOW: Duration = Duration::from_mins(1);
/// Between attempts while somebody else uses the credentials, and for other refusals.
const CONFLICT_PAUSE: Duration = Duration::from_mins(5);

impl Life<'_> {
    /// The auth store takes no more writes.
    pub(super) fn poisoned(&self, why: &Poison) -> Next {
        if let Poison::Fenced { .. } = why {
            return Next::Finish(Outcome::Lost(Loss::Refused));
        }
        event::emit(Event::SessionError {
            account: &self.context.account,
            message: &why.to_string(),
        });
        Next::Pause(POISONED)
    }

    /// The failure answers.
    pub(super) async fn after(&self, end: End, linked: bool, attempts: &mut Attempts) -> Next {
        debug!(account = %self.context.account, ?end, "connection ended");
        if attempts.connected {
            attempts.failed = 0;
        }
        self.context.board.code.send_replace(None);
        match end {
            End::CodesExhausted => Next::Connect,
            End::Restart => {
                // The first one is expected; a server that asks again and again is given a rest.
                attempts.failed += 1;
                match attempts.failed {
                    1 => Next::Connect,
                    failed => Next::Pause(pause_after(failed)),
                }
            }
            End::LoggedOut { reason } if linked => {
                self.closed(Some(401), false, &reason);
                Next::Relink(reason)
            }
            // There was no link to end: new credentials would be refused like these.
            End::LoggedOut { reason } => self.try_later(attempts, Some(401), reason).await,
            End::Uncommitted => match self.term.confirm().await {
                Err(Some(loss)) => Next::Finish(Outcome::Lost(loss)),
                Ok(()) if self.context.intake.is_closed() => {
                    Next::Finish(Outcome::Lost(Loss::Unanswered))
                }
                _ => {
                    let reason = "received messages could not be committed".to_owned();
                    self.try_later(attempts, None, reason).await
                }
            },
            End::Closed { reason, code } => self.try_later(attempts, code, reason).await,
            End::Replaced => self.replaced(attempts).await,
            End::Banned { lasts, reason } => {
                self.closed(Some(402), true, &reason);
                self.show(SessionState::Banned {
                    remaining: lasts,
                    reason,
                })
                .await;
                Next::Pause(lasts.max(FIRST_PAUSE))
            }
            End::Outdated => {
                self.closed(Some(405), true, "the client version is outdated");
                if self.context.version.refresh() {
                    return Next::Connect;
                }
                self.show(SessionState::OutdatedClient).await;
                Next::Pause(CONFLICT_PAUSE)
            }
            End::Refused { code } => {
                let detail = format!("the server refuses the connection with code {code}");
                self.closed(Some(code), true, &detail);
                self.show(SessionState::Failed {
                    code: "refused",
                    detail,
                })
                .await;
                Next::Pause(CONFLICT_PAUSE)
            }
        }
    }

    /// Another connection with the same credentials took over: the lease is renewed before anything
    /// else, since the other may be its new holder.
    async fn replaced(&self, attempts: &mut Attempts) -> Next {
        match self.term.confirm().await {
            Ok(()) => {}
            Err(Some(loss)) => return Next::Finish(Outcome::Lost(loss)),
            // The holder may have changed: no connect before the store says that it has not.
            Err(None) => return Next::Pause(LONGEST_PAUSE),
        }
        let now = Boot::now();
        attempts.replaced.push_back(now);
        attempts
            .replaced
            .retain(|at| now.since(*at) < CONFLICT_WINDOW);
        let in_a_row = attempts.replaced.len();
        event::emit(Event::Conflict {
            account: &self.context.account,
            in_a_row,
        });
        if in_a_row >= CONFLICTS {
            self.show(SessionState::Conflict).await;
            return Next::Pause(CONFLICT_PAUSE);
        }
        attempts.failed += 1;
        self.show(SessionState::Reconnecting {
            attempt: attempts.failed,
            reason: "another connection with the same credentials took over".to_owned(),
        })
        .await;
        Next::Pause(pause_after(attempts.failed + 1))
    }

    /// Tries again after a pause that grows.
    async fn try_later(&self, attempts: &mut Attempts, code: Option<u16>, reason: String) -> Next {
        self.closed(code, true, &reason);
        attempts.failed += 1;
        self.show(SessionState::Reconnecting {
            attempt: attempts.failed,
            reason,
        })
        .await;
        Next::Pause(pause_after(attempts.failed))
    }

    fn closed(&self, status_code: Option<u16>, should_reconnect: bool, reason: &str) {
        event::emit(Event::Closed {
            account: &self.context.account,
            status_code,
            should_reconnect,
            reason,
        });
    }
}

/// Doubled each time, with a fifth of jitter.
fn pause_after(failed: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(10));
    let jitter = rand::rng().random_range(0.8..1.2);
    doubled.min(LONGEST_PAUSE).mul_f64(jitter)
}
