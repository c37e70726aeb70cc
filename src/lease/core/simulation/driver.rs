//! Between the cores and the store: carries out actions, bounds every question, loses some.

use rand::RngExt;

use super::super::table::{Fence, Owner};
use super::super::{Action, Event, Holder, Seen};
use super::node::{Claim, Question, Term};
use super::world::{Later, Reply, World};
use super::{HEARTBEAT, STORM, TTL};
use crate::ids::{AccountId, Epoch};

impl World {
    pub(super) fn tell(&mut self, at: usize, event: Event) {
        let now = self.now;
        let node = &mut self.nodes[at];
        match &event {
            Event::Bid { account, .. } => {
                node.seen_alive.remove(account);
            }
            Event::Seen { rows } => {
                let alive = |row: &&Seen| row.remaining_ms > 0 && row.holder == Holder::Other;
                node.looked = node.look_asked;
                let asked = node.looked;
                let alive = rows
                    .iter()
                    .filter(alive)
                    .map(|row| (row.account.clone(), asked));
                node.seen_alive.extend(alive);
            }
            _ => {}
        }
        let said = self.trace.is_some().then(|| format!("{event:?}"));
        let boot = self.nodes[at].boot(now);
        let todo = self.nodes[at].core.step(event, boot);
        if let Some(said) = said {
            self.note(|| format!("n{at} @{} {said} -> {todo:?}", boot.as_ms()));
        }
        self.nodes[at].alarm += 1;
        for action in todo {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let node = &mut self.nodes[at];
        match action {
            Action::WakeAt(boot) => {
                let wake = node.clock.when(boot.as_ms());
                let (owner, alarm) = (node.owner, node.alarm);
                self.later(wake, Later::Wake { at, owner, alarm });
            }
            Action::Look => {
                node.look_asked = self.now;
                self.ask(at, Question::Look);
            }
            Action::Acquire {
                account,
                unchanged,
                dead,
            } => {
                let looked = node.looked;
                let question = Question::Acquire {
                    account,
                    unchanged,
                    dead,
                    looked,
                };
                self.ask(at, question);
            }
            Action::Renew { leases } => {
                node.renewals += 1;
                let fences = leases.into_iter().map(|(account, epoch)| {
                    let fence = node.fences[&account];
                    assert_eq!(fence.epoch, epoch.0);
                    (account, fence)
                });
                let question = Question::Renew(fences.collect());
                self.ask(at, question);
            }
            Action::Release { account, kept, .. } => {
                let fence = node.fences[&account];
                self.ask(at, Question::Release(account.clone(), fence));
                if kept {
                    let pause = self.rng.random_range(0..300);
                    self.bid(at, account, 500, pause);
                }
            }
            Action::Won {
                account,
                trusted_until,
                ..
            } => {
                self.tally.terms += 1;
                let term = Term {
                    fence: node.fences[&account],
                    until: trusted_until.as_ms(),
                    claim: Claim::None,
                    leaving: false,
                };
                let before = node.terms.insert(account, term);
                assert!(before.is_none(), "one term at a time");
            }
            Action::Trust { account, until, .. } => {
                if let Some(term) = node.terms.get_mut(&account) {
                    assert!(term.until <= until.as_ms(), "trust is never shortened");
                    term.until = until.as_ms();
                }
            }
            Action::Lost { account, epoch, .. } => {
                if let Some(term) = node.terms.remove(&account) {
                    assert_eq!(term.fence.epoch, epoch.0);
                }
                let pause = self.rng.random_range(0..300);
                self.bid(at, account, 0, pause);
            }
            Action::HandOver { account, .. } => {
                self.tally.handed_over += 1;
                self.drain(at, &account);
            }
        }
    }

    fn latency(&mut self) -> i64 {
        if self.now < self.slow_until {
            return self.rng.random_range(1..TTL);
        }
        // A packet that is sent again.
        let storm = self.now < STORM && self.rng.random_bool(0.02);
        self.rng
            .random_range(if storm { 200..3_000 } else { 1..25 })
    }

    fn is_lost(&mut self, at: usize) -> bool {
        self.now < self.store_back
            || self.now < self.nodes[at].cut_until
            || self.now < STORM && self.rng.random_bool(0.01)
    }

    pub(super) fn ask(&mut self, at: usize, question: Question) {
        self.serial += 1;
        let id = self.serial;
        let node = &mut self.nodes[at];
        let owner = node.owner;
        let bound = node.clock.when(node.clock.read(self.now) + HEARTBEAT);
        node.awaited.insert(id, question.clone());
        self.later(bound, Later::TimeOut { at, owner, id });
        let arrival = self.now + self.latency();
        if !self.is_lost(at) {
            self.later(
                arrival,
                Later::Arrive {
                    at,
                    owner,
                    id,
                    question,
                },
            );
        }
    }

    pub(super) fn arrive(&mut self, at: usize, owner: Owner, id: u64, question: Question) {
        if self.now < self.store_back {
            return;
        }
        let reply = self.execute(at, owner, question);
        let back = self.now + self.latency();
        if !self.is_lost(at) {
            self.later(
                back,
                Later::Reply {
                    at,
                    owner,
                    id,
                    reply,
                },
            );
        }
    }

    pub(super) fn fail(&mut self, at: usize, question: Question) {
        match question {
            Question::Look => self.tell(at, Event::Blind),
            Question::Acquire { account, .. } => self.tell(at, Event::AcquireFailed { account }),
            Question::Renew(_) => self.tell(at, Event::RenewFailed),
            Question::Claim(account, fence) => self.unclaim(at, &account, fence),
            Question::Release(..) | Question::Write(..) => {}
        }
    }

    fn unclaim(&mut self, at: usize, account: &AccountId, fence: Fence) {
        if let Some(term) = self.nodes[at].terms.get_mut(account)
            && term.fence == fence
        {
            term.claim = Claim::None;
        }
    }

    pub(super) fn hear(&mut self, at: usize, reply: Reply) {
        match reply {
            Reply::Tell(event) => self.tell(at, event),
            Reply::Acquired(account, None) => self.tell(at, Event::Refused { account }),
            Reply::Acquired(account, Some(fence)) => {
                self.nodes[at].fences.insert(account.clone(), fence);
                let epoch = Epoch(fence.epoch);
                self.tell(at, Event::Acquired { account, epoch });
            }
            Reply::Claimed(account, fence, true) => {
                if let Some(term) = self.nodes[at].terms.get_mut(&account)
                    && term.fence == fence
                {
                    term.claim = Claim::Committed;
                }
            }
            Reply::Claimed(account, fence, false) => {
                let epoch = Epoch(fence.epoch);
                self.tell(at, Event::Fenced { account, epoch });
            }
            Reply::Nothing => {}
        }
    }
}
