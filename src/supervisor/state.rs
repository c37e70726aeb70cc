//! What an account does in this process, as a pure state machine: told what happened, it says what to
//! do next. It neither looks at a clock nor touches anything; the runner ([`super`]) does.
//!
//! ```text
//!  disabled   ─┐            won            checked           stop, disabled, called for, deaf
//!  ineligible ─┴▶ standby ──────▶ acquiring ──────▶ active ──────────────────▶ draining ─┐
//!                  ▲   ▲ └ sitting out                │ lost                    │ lost   │ session ended,
//!                  │   │                              ▼                         ▼        │ released
//!                  │   └─────────── cut, ended ───── lost ◀─────────────────────┘        │
//!                  └─────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Invariants, each of them a property test:
//! - a session runs only while the lease is held, and never two of them;
//! - a lost lease cuts the session, and nothing is bid for before that session has ended;
//! - a lease is released only when no session uses it any more;
//! - an account that is not wanted here ends up without session, lease and bid;
//! - after [`Input::Stop`] nothing is begun, and the machine ends.
//!
//! What cannot have happened in a state, such as an alarm of a state that was left meanwhile, changes
//! nothing.

mod shown;

use std::time::Duration;

use crate::lease::keeper::Loss;

pub use self::shown::AccountState;

/// So many deaf connections in a row are too many, when somebody else could do better.
pub const DEAF_LIMIT: u32 = 3;

/// Whether, and how, the account is wanted in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whether it may run here.
    pub place: Place,
    /// Nothing is sent; the session and its intake go on.
    pub paused: bool,
    /// When an operator last resumed it: a later moment ends the rest of a session that takes one.
    pub resumed_at: Option<i64>,
    /// When an operator asked something of its auth state that is not done yet.
    pub asked_at: Option<i64>,
    /// How many other live workers would take the account.
    pub standbys: usize,
}

/// Whether an account may run in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The store has not told of it, or does not know it.
    #[default]
    Unknown,
    /// It may.
    Here,
    /// An operator switched it off.
    Disabled,
    /// Its auth state is on another installation's disk.
    Elsewhere {
        /// That installation.
        auth_home: String,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The wish for the account changed, or what surrounds it.
    Posted(Wish),
    /// The lease is ours.
    Won,
    /// The account was read again under the lease; `None` when the store did not tell.
    Checked(Option<Wish>),
    /// Somebody else should have the lease.
    CalledFor(&'static str),
    /// The lease is gone.
    Lost(Loss),
    /// The session ended, and nothing of it is left.
    Ended(Ending),
    /// So many connections in a row have ended deaf; zero when the last one hears.
    Deaf(u32),
    /// The moment of the last [`Command::RetryAfter`] or [`Command::SitOut`] came.
    Alarm,
    /// The process stops.
    Stop,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order, because it was told to, or by force because it took too long.
    Settled,
    /// It found the lease gone.
    Lost(Loss),
    /// It cannot go on before something changes.
    Unusable {
        /// When to try again.
        retry: Duration,
    },
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Try to get the lease.
    Bid,
    /// Stop trying; a lease that is won at this moment is given back.
    Withdraw,
    /// Read the account again, now that the lease protects it.
    Check,
    /// Start a session.
    Start {
        /// It begins paused.
        paused: bool,
    },
    /// Let the session send, or not.
    Pause(bool),
    /// End the rest that the session takes, if it takes one.
    Nudge,
    /// Let the session look at what an operator asks of it.
    Attend,
    /// Tell the session to settle and end.
    Drain,
    /// End the session now: nothing may be sent or written any more.
    Cut(Loss),
    /// Give the lease back.
    Release(&'static str),
    /// Drop a lease that is gone already.
    Forget(Loss),
    /// Alarm after one TTL: others go first.
    SitOut,
    /// Alarm after this long.
    RetryAfter(Duration),
    /// This is the end.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not wanted here, or not known to be.
    Away,
    Bidding,
    /// Others go first, until the alarm.
    SittingOut,
    Acquiring,
    Running,
    /// The lease is held without a session, until the alarm.
    Resting,
    Draining {
        why: &'static str,
        sit_out: bool,
    },
    /// The session is being cut.
    Losing(Loss),
    Ended,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    phase: Phase,
    wish: Wish,
    /// What was asked of the auth state when the last session began.
    began_with: Option<i64>,
    deaf: u32,
    stopping: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            phase: Phase::Away,
            wish: Wish::default(),
            began_with: None,
            deaf: 0,
            stopping: false,
        }
    }
}

impl Machine {
    /// What the account does.
    pub fn state(&self) -> AccountState {
        match self.phase {
            Phase::Away | Phase::Ended => match &self.wish.place {
                Place::Disabled => AccountState::Disabled,
                Place::Elsewhere { auth_home } => AccountState::Ineligible {
                    auth_home: auth_home.clone(),
                },
                Place::Unknown | Place::Here => AccountState::Standby,
            },
            Phase::Bidding | Phase::SittingOut => AccountState::Standby,
            Phase::Acquiring => AccountState::Acquiring,
            Phase::Running | Phase::Resting => AccountState::Active,
            Phase::Draining { .. } => AccountState::Draining,
            Phase::Losing(loss) => AccountState::Lost(loss),
        }
    }

    /// Takes note of `input` and says what to do, in this order.
    pub fn on(&mut self, input: Input) -> Vec<Command> {
        match input {
            Input::Posted(wish) => self.posted(wish),
            Input::Won => self.won(),
            Input::Checked(wish) => self.checked(wish),
            Input::CalledFor(why) => self.give_up(why, false),
            Input::Lost(loss) => self.lost(loss),
            Input::Ended(ending) => self.ended(ending),
            Input::Deaf(in_a_row) => {
                self.deaf = in_a_row;
                self.give_up_if_deaf()
            }
            Input::Alarm => self.alarm(),
            Input::Stop => self.stop(),
        }
    }

    fn posted(&mut self, wish: Wish) -> Vec<Command> {
        let before = std::mem::replace(&mut self.wish, wish);
        match self.phase {
            Phase::Away if self.wanted() => self.go(Phase::Bidding, [Command::Bid]),
            Phase::Bidding if !self.wanted() => self.go(Phase::Away, [Command::Withdraw]),
            Phase::SittingOut if !self.wanted() => self.go(Phase::Away, []),
            Phase::Running | Phase::Resting if !self.wanted() => {
                self.give_up(self.obstacle(), false)
            }
            Phase::Running => {
                let mut commands = self.give_up_if_deaf();
                if commands.is_empty() {
                    if before.paused != self.wish.paused {
                        commands.push(Command::Pause(self.wish.paused));
                    }
                    if before.resumed_at < self.wish.resumed_at {
                        commands.push(Command::Nudge);
                    }
                    if self.asked_since(before.asked_at) {
                        commands.push(Command::Attend);
                    }
                }
                commands
            }
            Phase::Resting
                if before.resumed_at < self.wish.resumed_at
                    || self.asked_since(before.asked_at) =>
            {
                self.start()
            }
            _ => Vec::new(),
        }
    }

    /// Whether something is asked that was not asked `before`.
    fn asked_since(&self, before: Option<i64>) -> bool {
        self.wish.asked_at.is_some() && self.wish.asked_at != before
    }

    fn won(&mut self) -> Vec<Command> {
        self.deaf = 0;
        match self.phase {
            Phase::Bidding => self.go(Phase::Acquiring, [Command::Check]),
            // Withdrawn at the same moment.
            Phase::Away | Phase::SittingOut | Phase::Ended => {
                vec![Command::Release("not wanted any more")]
            }
            _ => Vec::new(),
        }
    }

    fn checked(&mut self, wish: Option<Wish>) -> Vec<Command> {
        if self.phase != Phase::Acquiring {
            return wish.map(|wish| self.posted(wish)).unwrap_or_default();
        }
        if let Some(wish) = wish {
            self.wish = wish;
        }
        if self.wanted() {
            self.start()
        } else {
            self.give_up(self.obstacle(), false)
        }
    }

    fn start(&mut self) -> Vec<Command> {
        let paused = self.wish.paused;
        self.began_with = self.wish.asked_at;
        self.go(Phase::Running, [Command::Start { paused }])
    }

    /// Ends the term in order.
    fn give_up(&mut self, why: &'static str, sit_out: bool) -> Vec<Command> {
        match self.phase {
            Phase::Running => self.go(Phase::Draining { why, sit_out }, [Command::Drain]),
            Phase::Acquiring | Phase::Resting => self.settle(Command::Release(why), sit_out),
            _ => Vec::new(),
        }
    }

    fn give_up_if_deaf(&mut self) -> Vec<Command> {
        let hopeless = self.deaf >= DEAF_LIMIT && self.wish.standbys > 0;
        if hopeless && self.phase == Phase::Running {
            self.give_up("the server does not answer this worker", true)
        } else {
            Vec::new()
        }
    }

    fn lost(&mut self, loss: Loss) -> Vec<Command> {
        match self.phase {
            Phase::Running | Phase::Draining { .. } => {
                self.go(Phase::Losing(loss), [Command::Cut(loss)])
            }
            Phase::Acquiring | Phase::Resting => self.settle(Command::Forget(loss), false),
            _ => Vec::new(),
        }
    }

    fn ended(&mut self, ending: Ending) -> Vec<Command> {
        match (self.phase, ending) {
            (Phase::Losing(loss), _) => self.settle(Command::Forget(loss), false),
            (Phase::Running | Phase::Draining { .. }, Ending::Lost(loss)) => {
                self.settle(Command::Forget(loss), false)
            }
            (Phase::Draining { why, sit_out }, _) => self.settle(Command::Release(why), sit_out),
            // It may have ended before it was told.
            (Phase::Running, Ending::Unusable { .. }) if self.asked_since(self.began_with) => {
                self.start()
            }
            (Phase::Running, Ending::Unusable { retry }) => {
                self.go(Phase::Resting, [Command::RetryAfter(retry)])
            }
            (Phase::Running, Ending::Settled) => {
                self.settle(Command::Release("the session ended"), false)
            }
            _ => Vec::new(),
        }
    }

    fn alarm(&mut self) -> Vec<Command> {
        match self.phase {
            Phase::SittingOut => self.go(Phase::Bidding, [Command::Bid]),
            Phase::Resting => self.start(),
            _ => Vec::new(),
        }
    }

    fn stop(&mut self) -> Vec<Command> {
        self.stopping = true;
        match self.phase {
            Phase::Away | Phase::SittingOut => self.go(Phase::Ended, [Command::End]),
            Phase::Bidding => self.go(Phase::Ended, [Command::Withdraw, Command::End]),
            _ => self.give_up("stopped", false),
        }
    }

    /// The lease goes, by `last`; what comes then.
    fn settle(&mut self, last: Command, sit_out: bool) -> Vec<Command> {
        if self.stopping {
            self.go(Phase::Ended, [last, Command::End])
        } else if !self.wanted() {
            self.go(Phase::Away, [last])
        } else if sit_out {
            self.go(Phase::SittingOut, [last, Command::SitOut])
        } else {
            self.go(Phase::Bidding, [last, Command::Bid])
        }
    }

    fn wanted(&self) -> bool {
        self.wish.place == Place::Here
    }

    /// Why it is not wanted.
    const fn obstacle(&self) -> &'static str {
        match self.wish.place {
            Place::Disabled => "disabled",
            Place::Elsewhere { .. } => "its auth state is on another installation",
            Place::Unknown | Place::Here => "removed from the store",
        }
    }

    fn go<const N: usize>(&mut self, phase: Phase, commands: [Command; N]) -> Vec<Command> {
        self.phase = phase;
        commands.into()
    }
}

#[cfg(test)]
mod tests;
