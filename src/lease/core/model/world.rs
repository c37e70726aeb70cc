//! The state of the model, and what becomes of it when something happens.

use std::collections::VecDeque;

use super::super::Event;
use super::super::table::{Bid, Owner, Row};
use super::act::{Act, Fate, Happening};
use super::process::{Answer, Life, Process, Question, Term, account, bid};
use super::{PROCESSES, Rules, SECOND, TTL, Work};

/// Everything there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: i64,
    pub(super) row: Option<Row>,
    /// The row before the last acquisition: what a failover that loses commits goes back to.
    pub(super) replica: Option<Row>,
    pub(super) tokens: u32,
    /// The token under which a message was committed as `sending`.
    pub(super) sending: Option<u32>,
    pub(super) processes: Vec<Process>,
    pub(super) letters: Vec<Letter>,
    pub(super) faults: u8,
    pub(super) failovers: u8,
    pub(super) writes: u8,
    pub(super) claims: u8,
    /// Token of the last acquisition that time allowed; 0: none.
    pub(super) by_time: u32,
    /// Seconds without an active process since the last fault, while one runs.
    pub(super) idle: u8,
    pub(super) broken: Broken,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Broken {
    pub(super) old_write: bool,
    pub(super) late_send: bool,
    pub(super) unknown_send: bool,
}

/// A statement or an answer that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Letter {
    pub(super) by: Owner,
    pub(super) sent: i64,
    pub(super) question: Question,
    pub(super) answer: Option<Answer>,
    /// The driver waits for the answer.
    pub(super) awaited: bool,
}

impl World {
    /// Nobody has ever held the lease.
    pub(super) fn cold(rules: &Rules) -> Self {
        let mut world = Self {
            now: 10 * SECOND,
            row: None,
            replica: None,
            tokens: 0,
            sending: None,
            processes: (0..PROCESSES).map(|_| Process::new()).collect(),
            letters: Vec::new(),
            faults: rules.faults,
            failovers: rules.failovers,
            writes: u8::from(rules.work == Work::Write),
            claims: u8::from(rules.work == Work::Send),
            by_time: 0,
            idle: 0,
            broken: Broken::default(),
        };
        for me in 0..PROCESSES {
            let process = &mut world.processes[usize::from(me)];
            // The first look is lost, so that the first thing that happens is a race of all three.
            let (_, _) = process.step(bid(0), world.now - SECOND);
            let (_, _) = process.step(Event::Blind, world.now - SECOND);
        }
        world
    }

    /// The first process is active, the others stand by.
    pub(super) fn settled(rules: &Rules) -> Self {
        let mut world = Self::cold(rules);
        for me in 0..PROCESSES {
            world.tell(rules, me, Event::Wake, &mut None);
        }
        world
    }

    /// Returns whether it could happen.
    pub(super) fn happen(&mut self, rules: &Rules, happening: Happening) -> bool {
        let mut fault = happening.fault;
        if happening.act.is_fault() {
            self.spend_fault();
        }
        match happening.act {
            Act::Tick => self.tick(),
            Act::Wake(me) => self.tell(rules, me, Event::Wake, &mut fault),
            Act::Execute(at) => self.execute(rules, at),
            Act::Deliver(at) => {
                let letter = self.letters.remove(at);
                let answer = letter.answer.expect("only answers are delivered");
                self.hear(rules, letter.by, answer, &mut fault);
            }
            Act::TimeOut(at) => {
                let letter = &mut self.letters[at];
                letter.awaited = false;
                letter.sent = 0;
                let (by, question) = (letter.by, letter.question);
                if letter.answer.is_some() || question == Question::Look {
                    self.letters.remove(at);
                }
                if let Some(failure) = question.failure() {
                    self.tell(rules, by, failure, &mut fault);
                }
            }
            Act::Write(me) => {
                self.writes -= 1;
                let term = self.process(me).term.expect("only in a term");
                self.send_letter(me, Question::Write(term.fence), false);
            }
            Act::Claim(me) => self.claim(rules, me),
            Act::Send(me) => self.send(rules, me),
            Act::GiveUp(me) => {
                let term = self.process_mut(me).term.take().expect("only in a term");
                let release = Event::Release {
                    account: account(),
                    epoch: super::process::epoch(term.fence),
                };
                self.tell(rules, me, release, &mut fault);
            }
            Act::Crash(me) => {
                self.process_mut(me).die();
                self.letters.retain(|letter| {
                    letter.by != me || letter.answer.is_none() && letter.question != Question::Look
                });
                for letter in self.letters.iter_mut().filter(|letter| letter.by == me) {
                    letter.awaited = false;
                    letter.sent = 0;
                }
            }
            Act::Pause(me) => {
                self.process_mut(me).life = Life::StandsStill;
            }
            Act::Resume(me) => {
                self.process_mut(me).life = Life::Runs;
                self.idle = 0;
            }
            Act::ForceRelease => {
                self.tokens += 1;
                let row = self.row.as_mut().expect("only a row is released");
                row.force_release(self.tokens);
            }
            Act::Transfer => {
                let row = self.row.as_mut().expect("only a row is transferred");
                row.successor = Some(PROCESSES - 1);
            }
            Act::FailOver => {
                self.failovers -= 1;
                self.row = self.replica.take();
                self.idle = 0;
            }
        }
        self.letters.sort_unstable_by_key(|letter| {
            (letter.by, letter.sent, letter.question, letter.awaited)
        });
        fault.is_none()
    }

    fn tick(&mut self) {
        let active = self.processes.iter().any(|process| {
            let holds = |row: Row| {
                process
                    .term
                    .is_some_and(|term| row.admits(term.fence, true) && self.now < term.until)
            };
            process.life == Life::Runs && self.row.is_some_and(holds)
        });
        let runs = self
            .processes
            .iter()
            .any(|process| process.life == Life::Runs);
        self.idle = if active || !runs { 0 } else { self.idle + 1 };
        self.now += SECOND;
    }

    fn spend_fault(&mut self) {
        self.faults -= 1;
        self.idle = 0;
    }

    pub(super) fn process(&self, me: Owner) -> &Process {
        &self.processes[usize::from(me)]
    }

    fn process_mut(&mut self, me: Owner) -> &mut Process {
        &mut self.processes[usize::from(me)]
    }

    pub(super) fn has_old_write(&self) -> bool {
        self.letters.iter().any(|letter| {
            matches!((letter.question, self.row), (Question::Write(fence), Some(row)) if fence.token < row.token)
        })
    }

    pub(super) fn has_replaced_sender(&self) -> bool {
        self.processes.iter().any(|process| {
            let replaced = |term: Term| term.claimed && term.fence.token < self.by_time;
            process.life == Life::Runs && process.term.is_some_and(replaced)
        })
    }

    fn send_letter(&mut self, by: Owner, question: Question, awaited: bool) {
        self.letters.push(Letter {
            by,
            sent: if awaited { self.now } else { 0 },
            question,
            answer: None,
            awaited,
        });
    }

    fn hear(&mut self, rules: &Rules, me: Owner, answer: Answer, fault: &mut Option<(u8, Fate)>) {
        if let Some(event) = self.process_mut(me).hear(me, answer) {
            self.tell(rules, me, event, fault);
        }
    }

    /// Tells a core something and carries out what follows. The statement that `fault` counts down
    /// to meets its fate; the others are answered at once.
    fn tell(&mut self, rules: &Rules, me: Owner, event: Event, fault: &mut Option<(u8, Fate)>) {
        let now = self.now;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let (questions, next) = self.process_mut(me).step(event, now);
            for question in questions {
                let fate = match fault {
                    Some((0, fate)) => Some(*fate),
                    _ => None,
                };
                *fault = fault.and_then(|(nth, fate)| Some((nth.checked_sub(1)?, fate)));
                if fate.is_some() {
                    self.spend_fault();
                }
                match fate {
                    None => {
                        let answer = self.answer(me, question, rules.token);
                        events.extend(self.process_mut(me).hear(me, answer));
                    }
                    Some(Fate::Unheard) => events.extend(question.failure()),
                    Some(Fate::Unanswered) => {
                        self.answer(me, question, rules.token);
                        events.extend(question.failure());
                    }
                    Some(Fate::Late) => {
                        self.send_letter(me, question, question.failure().is_some());
                    }
                }
            }
            events.extend(next);
        }
    }

    fn execute(&mut self, rules: &Rules, at: usize) {
        let Letter {
            by,
            question,
            awaited,
            ..
        } = self.letters[at];
        if let Question::Write(fence) = question {
            let row = self.row.expect("never deleted");
            let committed = !rules.fence || row.admits(fence, rules.token);
            self.broken.old_write |= committed && fence.token != row.token;
        }
        let answer = self.answer(by, question, rules.token);
        if awaited {
            self.letters[at].answer = Some(answer);
        } else {
            self.letters.remove(at);
        }
    }

    fn answer(&mut self, me: Owner, question: Question, by_token: bool) -> Answer {
        let now = self.now;
        match question {
            Question::Look => Answer::Rows {
                row: self.row,
                dead: self.row.is_some_and(|row| self.is_proven_dead(me, row)),
                at: now,
            },
            Question::Acquire { unchanged, dead } => {
                let before = self.row;
                let bid = Bid {
                    owner: me,
                    token: self.tokens + 1,
                    ttl: TTL,
                    unchanged,
                    dead,
                };
                let won = Row::acquire(&mut self.row, bid, now);
                if let (Some(fence), Some(row)) = (won, self.row) {
                    self.tokens = fence.token;
                    self.replica = before;
                    if row.way.is_by_time() {
                        self.by_time = fence.token;
                    }
                }
                Answer::Acquired(won)
            }
            Question::Renew(fence) => {
                let row = self.row.as_mut();
                Answer::Renewed(row.is_some_and(|row| row.renew(fence, by_token, TTL, now)))
            }
            Question::Release(fence) => {
                if let Some(row) = &mut self.row {
                    row.release(fence, by_token);
                }
                Answer::None
            }
            Question::Write(_) => Answer::None,
        }
    }

    /// All but the last process run on one machine and see each other's file locks.
    fn is_proven_dead(&self, me: Owner, row: Row) -> bool {
        let here = |process: Owner| process != PROCESSES - 1;
        row.owner
            .is_some_and(|owner| here(owner) && here(me) && self.process(owner).life == Life::Dead)
    }

    fn claim(&mut self, rules: &Rules, me: Owner) {
        self.claims -= 1;
        let term = self.process(me).term.expect("only in a term");
        let row = self.row.expect("never deleted");
        if row.admits(term.fence, rules.token) {
            self.sending = Some(term.fence.token);
            let term = self.process_mut(me).term.as_mut().expect("as above");
            term.claimed = true;
        } else {
            let fenced = Event::Fenced {
                account: account(),
                epoch: super::process::epoch(term.fence),
            };
            self.tell(rules, me, fenced, &mut None);
        }
    }

    fn send(&mut self, rules: &Rules, me: Owner) {
        let term = self.process_mut(me).term.as_mut().expect("only in a term");
        term.claimed = false;
        let token = term.fence.token;
        if !rules.persist_first {
            self.claims = 0;
        }
        self.broken.unknown_send |= self.sending.take() != Some(token);
        // A failover that loses renewals voids this promise.
        self.broken.late_send |= token < self.by_time && rules.failovers == 0;
    }
}
