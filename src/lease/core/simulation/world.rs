//! The scheduler, the wire, the store, and the promises.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::Event;
use super::super::table::{Fence, Owner, Row};
use super::node::{Node, Question};
use super::{HEARTBEAT, SLACK, STORM, TTL};
use crate::ids::{AccountId, Epoch};

/// What protects, and how far clocks are off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) fence: bool,
    pub(super) trust: bool,
    pub(super) drift_ppm: i64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            fence: true,
            trust: true,
            drift_ppm: 5_000,
        }
    }
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) terms: u64,
    pub(super) by_time: u64,
    /// Taken too early after a step of the store's clock, by somebody who did not see the holder
    /// alive or had looked before the step.
    pub(super) excused: u64,
    pub(super) refused: u64,
    pub(super) writes: u64,
    pub(super) sends: u64,
    pub(super) held_back: u64,
    pub(super) handed_over: u64,
    /// Of the last acquisition, after all healed.
    pub(super) slowest_recovery_ms: i64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.terms += other.terms;
        self.by_time += other.by_time;
        self.excused += other.excused;
        self.refused += other.refused;
        self.writes += other.writes;
        self.sends += other.sends;
        self.held_back += other.held_back;
        self.handed_over += other.handed_over;
        self.slowest_recovery_ms = self.slowest_recovery_ms.max(other.slowest_recovery_ms);
    }
}

/// Something that happens at a moment. `owner` is the process it is meant for: its successor after a
/// restart does not get it.
#[derive(Debug)]
pub(super) enum Later {
    Wake {
        at: usize,
        owner: Owner,
        alarm: u64,
    },
    Tell {
        at: usize,
        owner: Owner,
        event: Event,
    },
    Arrive {
        at: usize,
        owner: Owner,
        id: u64,
        question: Question,
    },
    Reply {
        at: usize,
        owner: Owner,
        id: u64,
        reply: Reply,
    },
    TimeOut {
        at: usize,
        owner: Owner,
        id: u64,
    },
    Session {
        at: usize,
        owner: Owner,
    },
    Released {
        at: usize,
        owner: Owner,
        account: AccountId,
        epoch: Epoch,
    },
    Restart {
        at: usize,
    },
    Strike,
    Heal,
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Tell(Event),
    Acquired(AccountId, Option<Fence>),
    Claimed(AccountId, Fence, bool),
    Nothing,
}

pub(super) struct World {
    pub(super) rng: StdRng,
    pub(super) plan: Plan,
    pub(super) now: i64,
    pub(super) queue: BinaryHeap<Reverse<(i64, u64)>>,
    pub(super) happenings: BTreeMap<u64, Later>,
    pub(super) serial: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) owners: Owner,
    pub(super) rows: BTreeMap<AccountId, Option<Row>>,
    pub(super) tokens: u32,
    pub(super) store_offset: i64,
    pub(super) store_back: i64,
    pub(super) slow_until: i64,
    pub(super) steps: u8,
    /// When the store's clock stepped.
    pub(super) stepped: i64,
    /// Tokens under which a message stands as `sending`.
    pub(super) sending: BTreeSet<(AccountId, u32)>,
    /// The last acquisition of each account that time allowed.
    pub(super) by_time: BTreeMap<AccountId, u32>,
    /// Until when, in true time, the last renewal keeps others out.
    pub(super) kept_until: BTreeMap<AccountId, i64>,
    pub(super) acquisitions: u64,
    pub(super) tally: Tally,
    pub(super) broken: Option<String>,
    pub(super) trace: Option<VecDeque<String>>,
}

impl World {
    pub(super) fn new(seed: u64, plan: Plan, traced: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let accounts = rng.random_range(1..=5);
        let workers: Owner = rng.random_range(2..=4);
        let mut world = Self {
            rng,
            plan,
            now: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            serial: 0,
            nodes: Vec::new(),
            owners: 0,
            rows: (0..accounts)
                .map(|n| (format!("a{n}").parse().expect("valid"), None))
                .collect(),
            tokens: 0,
            store_offset: 1_000_000_000,
            store_back: 0,
            slow_until: 0,
            steps: 1,
            stepped: 0,
            sending: BTreeSet::new(),
            by_time: BTreeMap::new(),
            kept_until: BTreeMap::new(),
            acquisitions: 0,
            tally: Tally::default(),
            broken: None,
            trace: traced.then(VecDeque::new),
        };
        for worker in 0..workers {
            let machine = world.rng.random_range(0..2);
            let clock = world.any_clock();
            world.owners += 1;
            let node = Node::new(worker, world.owners, machine, clock);
            world.nodes.push(node);
            world.begin(usize::from(worker));
        }
        world.later(1_000, Later::Strike);
        world.later(STORM, Later::Heal);
        world
    }

    /// Until everything healed and stayed whole.
    pub(super) fn run(&mut self) -> Result<Tally, String> {
        let recovered = STORM + 2 * TTL + SLACK;
        self.until(recovered)?;
        self.each_account_has_one_holder()?;
        let before: Vec<_> = self.nodes.iter().map(|node| node.renewals).collect();
        let acquisitions = self.acquisitions;
        let calm = 4 * HEARTBEAT;
        self.until(recovered + calm)?;
        self.each_account_has_one_holder()?;
        if self.acquisitions != acquisitions {
            return Err("a lease changed hands in the calm".to_owned());
        }
        for (node, before) in self.nodes.iter().zip(before) {
            let renewals = node.renewals - before;
            if renewals > 5 {
                return Err(format!("{renewals} renewals in four heartbeats"));
            }
        }
        Ok(self.tally)
    }

    fn until(&mut self, end: i64) -> Result<(), String> {
        while let Some(Reverse((at, serial))) = self.queue.pop() {
            if at > end {
                self.queue.push(Reverse((at, serial)));
                break;
            }
            self.now = self.now.max(at);
            let happening = self.happenings.remove(&serial).expect("queued once");
            self.happen(happening);
            if let Some(broken) = self.broken.take() {
                self.note(|| broken.clone());
                return Err(broken);
            }
        }
        self.now = end;
        Ok(())
    }

    fn each_account_has_one_holder(&self) -> Result<(), String> {
        for (account, row) in &self.rows {
            let row = row.ok_or_else(|| format!("{account} never had a holder"))?;
            let holders: Vec<_> = self
                .nodes
                .iter()
                .filter_map(|node| Some((node, node.terms.get(account)?)))
                .filter(|(node, term)| node.trusts(term, self.now))
                .map(|(_, term)| term.fence.token)
                .collect();
            if holders != [row.token] {
                return Err(format!(
                    "{account}: terms {holders:?} but token {} in the store",
                    row.token
                ));
            }
        }
        Ok(())
    }

    pub(super) fn trace(&self) -> impl Iterator<Item = &String> {
        self.trace.iter().flatten()
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push_back(format!("{:>6} {}", self.now, line()));
            if trace.len() > 400 {
                trace.pop_front();
            }
        }
    }

    pub(super) fn later(&mut self, at: i64, what: Later) {
        self.serial += 1;
        self.queue.push(Reverse((at, self.serial)));
        self.happenings.insert(self.serial, what);
    }

    pub(super) fn next_token(&mut self) -> u32 {
        self.tokens += 1;
        self.tokens
    }

    pub(super) fn any_account(&mut self) -> AccountId {
        let nth = self.rng.random_range(0..self.rows.len());
        let account = self.rows.keys().nth(nth);
        account.expect("in range").clone()
    }

    /// A process starts: it bids for all, and its sessions run.
    fn begin(&mut self, at: usize) {
        let owner = self.nodes[at].owner;
        let accounts: Vec<_> = self.rows.keys().cloned().collect();
        for account in accounts {
            let handicap = self.rng.random_range(0..200);
            self.bid(at, account, handicap, 0);
        }
        self.later(self.now + 100, Later::Session { at, owner });
    }

    pub(super) fn bid(&mut self, at: usize, account: AccountId, handicap: u64, pause: i64) {
        let owner = self.nodes[at].owner;
        let event = Event::Bid {
            account,
            handicap: Duration::from_millis(handicap),
        };
        self.later(self.now + pause, Later::Tell { at, owner, event });
    }

    fn happen(&mut self, what: Later) {
        let (at, owner) = match &what {
            Later::Wake { at, owner, .. }
            | Later::Tell { at, owner, .. }
            | Later::Reply { at, owner, .. }
            | Later::TimeOut { at, owner, .. }
            | Later::Session { at, owner }
            | Later::Released { at, owner, .. } => (*at, *owner),
            Later::Arrive { .. } | Later::Restart { .. } | Later::Strike | Later::Heal => {
                return self.happen_outside(what);
            }
        };
        let node = &mut self.nodes[at];
        if !node.alive || node.owner != owner {
            return;
        }
        if self.now < node.frozen_until {
            let thawed = node.frozen_until;
            return self.later(thawed, what);
        }
        match what {
            Later::Wake { alarm, .. } if alarm == node.alarm => self.tell(at, Event::Wake),
            Later::Tell { event, .. } => self.tell(at, event),
            Later::Reply { id, reply, .. } => {
                let cut = self.now < node.cut_until;
                if !cut && node.awaited.remove(&id).is_some() {
                    self.hear(at, reply);
                }
            }
            Later::TimeOut { id, .. } => {
                if let Some(question) = node.awaited.remove(&id) {
                    self.fail(at, question);
                }
            }
            Later::Session { .. } => self.session(at),
            Later::Released { account, epoch, .. } => self.stop(at, account, epoch),
            _ => {}
        }
    }

    fn happen_outside(&mut self, what: Later) {
        match what {
            Later::Arrive {
                at,
                owner,
                id,
                question,
            } => self.arrive(at, owner, id, question),
            Later::Restart { at } => {
                self.owners += 1;
                let clock = self.any_clock();
                let old = &self.nodes[at];
                self.nodes[at] = Node::new(old.worker, self.owners, old.machine, clock);
                self.note(|| format!("n{at} starts"));
                self.begin(at);
            }
            Later::Strike => self.strike(),
            Later::Heal => self.heal(),
            _ => unreachable!("the others belong to a process"),
        }
    }
}
