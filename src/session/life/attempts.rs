//! The failure answers, as a pure decision: why a connection ended and what the attempts before it
//! have shown say what comes next. It looks at no clock and touches nothing; [`super::answers`] does.

use std::collections::VecDeque;
use std::time::Duration;

use super::Outcome;
use crate::clock::Boot;
use crate::ids::Jid;
use crate::lease::keeper::Loss;
use crate::session::connection::End;
use crate::session::linking::Linking;
use crate::session::state::SessionState;

/// Pauses between attempts: doubled each time, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// A connection that lasted this long was none of the failed attempts.
const STABLE: Duration = Duration::from_secs(10);
/// So many replacements within [`CONFLICT_WINDOW`] are a conflict.
const CONFLICTS: usize = 3;
const CONFLICT_WINDOW: Duration = Duration::from_mins(1);
/// A connection that lasted this long has no rival any more.
const PEACE: Duration = Duration::from_mins(10);
/// Between attempts that need a person: while somebody else uses the credentials, and after other
/// refusals.
const REST: Duration = Duration::from_mins(5);

/// What follows an ended connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another connection, at once.
    Connect,
    /// Another one after a pause.
    Pause(Duration),
    /// Another one after a pause that a person may end.
    Rest(Duration),
    /// New credentials.
    Relink(String),
    /// New credentials, because an operator wants it.
    Clear {
        /// Who.
        by: String,
    },
    /// The phone that was linked has another number than the account.
    TurnAway {
        /// That number.
        number: Jid,
    },
    /// The session is over.
    Finish(Outcome),
}

/// What is told of an ended connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Closed {
        code: Option<u16>,
        should_reconnect: bool,
        reason: String,
    },
    Conflict {
        in_a_row: usize,
    },
    Deaf {
        in_a_row: u32,
    },
}

/// What the store says about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Us,
    Lost(Loss),
}

/// What is known beside the reason of the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) now: Boot,
    /// The credentials are those of a link.
    pub(super) linked: bool,
    /// As the store said after the end, if [`must_confirm`]; as it was believed otherwise.
    pub(super) holder: Holder,
    /// Nothing can be committed any more.
    pub(super) intake_closed: bool,
    /// The client version was refused, and a newer one is there now.
    pub(super) version_refreshed: bool,
    /// Between 0.8 and 1.2, by chance.
    pub(super) jitter: f64,
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) next: Next,
    pub(super) told: Option<Told>,
    pub(super) show: Option<SessionState>,
}

impl Answer {
    fn only(next: Next) -> Self {
        Self {
            next,
            told: None,
            show: None,
        }
    }

    fn closed(next: Next, code: Option<u16>, should_reconnect: bool, reason: &str) -> Self {
        Self {
            told: Some(Told::Closed {
                code,
                should_reconnect,
                reason: reason.to_owned(),
            }),
            ..Self::only(next)
        }
    }

    fn showing(self, state: SessionState) -> Self {
        Self {
            show: Some(state),
            ..self
        }
    }
}

/// Whether the store is asked who holds the lease before this end is answered: the other connection
/// may be the next holder's, and what cannot be committed may be refused for the same reason.
pub(super) const fn must_confirm(end: &End) -> bool {
    matches!(end, End::Replaced | End::Uncommitted)
}

/// What the attempts so far have shown.
pub(super) struct Attempts {
    pub(super) linking: Linking,
    failed: u32,
    deaf: u32,
    /// When the connection logged in.
    since: Option<Boot>,
    replaced: VecDeque<Boot>,
    replaced_in_a_row: u32,
    conflict: bool,
}

impl Attempts {
    pub(super) fn new(linking: Linking) -> Self {
        Self {
            linking,
            failed: 0,
            deaf: 0,
            since: None,
            replaced: VecDeque::new(),
            replaced_in_a_row: 0,
            conflict: false,
        }
    }

    /// A connection begins.
    pub(super) fn begin(&mut self) {
        self.since = None;
    }

    /// It is logged in.
    pub(super) fn logged_in(&mut self, now: Boot) {
        self.since = Some(now);
    }

    /// The server answers on it. `true`: the one before was deaf.
    pub(super) fn hears(&mut self) -> bool {
        std::mem::take(&mut self.deaf) > 0
    }

    /// Connections in a row that ended deaf.
    pub(super) const fn deaf(&self) -> u32 {
        self.deaf
    }

    /// The credentials are new.
    pub(super) fn begin_anew(&mut self, now: Boot) {
        self.linking.begin_anew(now);
        self.failed = 0;
    }

    /// A person ended a rest: what led to it is not held against the next attempts.
    pub(super) fn forgive(&mut self) {
        self.failed = 0;
        self.conflict = false;
        self.replaced_in_a_row = 0;
        self.replaced.clear();
    }

    /// The failure answers.
    pub(super) fn answer(&mut self, end: End, facts: &Facts) -> Answer {
        let lasted = self
            .since
            .take()
            .map_or(Duration::ZERO, |since| facts.now.since(since));
        if lasted >= STABLE {
            self.failed = 0;
        }
        if lasted >= PEACE {
            self.forgive();
        }
        if let Holder::Lost(loss) = facts.holder {
            return Answer::only(Next::Finish(Outcome::Lost(loss)));
        }
        match end {
            End::CodesExhausted => Answer::only(Next::Connect),
            End::Restart => {
                // The first one is expected; a server that asks again and again is given a rest.
                self.failed += 1;
                Answer::only(match self.failed {
                    1 => Next::Connect,
                    failed => Next::Pause(pause_after(failed, facts.jitter)),
                })
            }
            End::LoggedOut { reason } if facts.linked => {
                Answer::closed(Next::Relink(reason.clone()), Some(401), false, &reason)
            }
            // There was no link to end: new credentials would be refused like these.
            End::LoggedOut { reason } => self.later(Some(401), reason, facts),
            End::Uncommitted if facts.intake_closed => {
                Answer::only(Next::Finish(Outcome::Lost(Loss::Unanswered)))
            }
            End::Uncommitted => {
                let reason = "received messages could not be committed".to_owned();
                self.later(None, reason, facts)
            }
            End::Closed { reason, code } => self.later(code, reason, facts),
            End::Deaf => self.deaf_again(facts),
            End::Replaced => self.replaced_again(facts),
            End::Banned { lasts, reason } => {
                let next = Next::Pause(lasts.max(FIRST_PAUSE));
                Answer::closed(next, Some(402), true, &reason).showing(SessionState::Banned {
                    remaining: lasts,
                    reason,
                })
            }
            End::Outdated => {
                let reason = "the client version is outdated";
                if facts.version_refreshed {
                    Answer::closed(Next::Connect, Some(405), true, reason)
                } else {
                    Answer::closed(Next::Rest(REST), Some(405), true, reason)
                        .showing(SessionState::OutdatedClient)
                }
            }
            End::Refused { code } => {
                let detail = format!("the server refuses the connection with code {code}");
                Answer::closed(Next::Rest(REST), Some(code), true, &detail).showing(
                    SessionState::Failed {
                        code: "refused",
                        detail,
                    },
                )
            }
        }
    }

    /// Tries again after a pause that grows.
    fn later(&mut self, code: Option<u16>, reason: String, facts: &Facts) -> Answer {
        self.failed += 1;
        let next = Next::Pause(pause_after(self.failed, facts.jitter));
        Answer::closed(next, code, true, &reason).showing(SessionState::Reconnecting {
            attempt: self.failed,
            reason,
        })
    }

    /// At once the first time; a server that stays silent is asked at a pace that slows down.
    fn deaf_again(&mut self, facts: &Facts) -> Answer {
        self.deaf += 1;
        let next = match self.deaf {
            1 => Next::Connect,
            again => Next::Pause(pause_after(again - 1, facts.jitter)),
        };
        Answer {
            told: Some(Told::Deaf {
                in_a_row: self.deaf,
            }),
            ..Answer::only(next)
        }
        .showing(SessionState::Reconnecting {
            attempt: self.deaf,
            reason: "the server did not answer".to_owned(),
        })
    }

    /// Somebody else uses these credentials. Each replacement is answered later than the one before,
    /// whatever the connection did in between, so that two programs never chase each other; three
    /// within a minute are a conflict, which is left by a person, or by a connection that lasts.
    fn replaced_again(&mut self, facts: &Facts) -> Answer {
        self.replaced.push_back(facts.now);
        self.replaced
            .retain(|at| facts.now.since(*at) < CONFLICT_WINDOW);
        self.replaced_in_a_row += 1;
        self.conflict |= self.replaced.len() >= CONFLICTS;
        let told = Told::Conflict {
            in_a_row: self.replaced.len(),
        };
        let (next, show) = if self.conflict {
            (Next::Rest(REST), SessionState::Conflict)
        } else {
            let pause = pause_after(self.replaced_in_a_row + 1, facts.jitter);
            let reconnecting = SessionState::Reconnecting {
                attempt: self.replaced_in_a_row,
                reason: "another connection with the same credentials took over".to_owned(),
            };
            (Next::Pause(pause), reconnecting)
        };
        Answer {
            told: Some(told),
            ..Answer::only(next)
        }
        .showing(show)
    }
}

/// Doubled each time.
fn pause_after(failed: u32, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(10));
    doubled.min(LONGEST_PAUSE).mul_f64(jitter)
}

#[cfg(test)]
mod tests;
