//! What can happen in the model.

use super::super::table::Owner;
use super::process::{Life, Process};
use super::world::{Letter, World};
use super::{PROCESSES, Rules, SECOND};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A second passes.
    Tick,
    /// The core's moment came.
    Wake(Owner),
    /// The store gets to a letter.
    Execute(usize),
    /// Its answer arrives.
    Deliver(usize),
    /// The driver stops waiting for it.
    TimeOut(usize),
    /// A protected write is sent to the store.
    Write(Owner),
    /// A message is committed as `sending`.
    Claim(Owner),
    /// The message is sent to WhatsApp.
    Send(Owner),
    GiveUp(Owner),
    Crash(Owner),
    Pause(Owner),
    Resume(Owner),
    ForceRelease,
    /// To the last process.
    Transfer,
    /// The store loses the last acquisition and all that came after.
    FailOver,
}

/// What becomes of a statement when all does not go well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Unheard,
    Unanswered,
    Late,
}

/// An act, and the fate of its n-th statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) act: Act,
    pub(super) fault: Option<(u8, Fate)>,
}

impl Act {
    /// Whether statements may follow from it.
    pub(super) fn speaks(self) -> bool {
        matches!(self, Self::Wake(_) | Self::Deliver(_) | Self::GiveUp(_))
    }

    /// Whether it is paid for from the budget of faults, apart from what befalls its statements.
    pub(super) fn is_fault(self) -> bool {
        matches!(
            self,
            Self::GiveUp(_) | Self::Crash(_) | Self::Pause(_) | Self::ForceRelease | Self::Transfer
        )
    }
}

impl World {
    pub(super) fn acts(&self, rules: &Rules, acts: &mut Vec<Act>) {
        let mut woken = false;
        for (me, process) in (0..).zip(&self.processes) {
            if process.is_due(self.now) && (rules.any_order || !woken) {
                acts.push(Act::Wake(me));
                woken = true;
            }
            self.session_acts(rules, me, process, acts);
            if process.life == Life::StandsStill {
                acts.push(Act::Resume(me));
            } else if process.life == Life::Runs && self.faults > 0 {
                acts.extend([Act::Crash(me), Act::Pause(me)]);
            }
        }
        for (at, letter) in self.letters.iter().enumerate() {
            let runs = self.process(letter.by).life == Life::Runs;
            if letter.answer.is_none() {
                acts.push(Act::Execute(at));
            } else if runs {
                acts.push(Act::Deliver(at));
            }
            if letter.awaited && runs && letter.sent < self.now {
                acts.push(Act::TimeOut(at));
            }
        }
        if let Some(row) = self.row.filter(|row| row.owner.is_some()) {
            if self.faults > 0 {
                acts.push(Act::ForceRelease);
                if row.successor.is_none() && row.owner != Some(PROCESSES - 1) {
                    acts.push(Act::Transfer);
                }
            }
            if self.failovers > 0 && self.replica.is_some() {
                acts.push(Act::FailOver);
            }
        }
        let end = 10 * SECOND + rules.horizon * SECOND;
        let overdue = |letter: &Letter| {
            let runs = self.process(letter.by).life == Life::Runs;
            letter.awaited && runs && letter.sent < self.now
        };
        let due = self
            .processes
            .iter()
            .any(|process| process.is_due(self.now));
        if self.now < end && !due && !self.letters.iter().any(overdue) {
            acts.push(Act::Tick);
        }
    }

    fn session_acts(&self, rules: &Rules, me: Owner, process: &Process, acts: &mut Vec<Act>) {
        let Some(term) = process.term.filter(|_| process.life == Life::Runs) else {
            return;
        };
        let trusted = !rules.trust || self.now < term.until;
        if trusted && self.writes > 0 {
            acts.push(Act::Write(me));
        }
        if trusted && self.claims > 0 {
            acts.push(Act::Claim(me));
            if !rules.persist_first {
                acts.push(Act::Send(me));
            }
        }
        if trusted && term.claimed {
            acts.push(Act::Send(me));
        }
        if self.faults > 0 {
            acts.push(Act::GiveUp(me));
        }
    }
}
