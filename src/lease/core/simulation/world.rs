//! The scheduler, the wire, the store, and the promises.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::table::{Bid, Fence, Owner, Row};
use super::super::{Action, Event, Holder};
use super::node::{Claim, Node, Question, Term};
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
    /// alive or whose bid was on its way.
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
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    happenings: BTreeMap<u64, Later>,
    serial: u64,
    pub(super) nodes: Vec<Node>,
    owners: Owner,
    pub(super) rows: BTreeMap<AccountId, Option<Row>>,
    tokens: u32,
    pub(super) store_offset: i64,
    pub(super) store_back: i64,
    pub(super) slow_until: i64,
    pub(super) steps: u8,
    /// When the store's clock stepped.
    pub(super) stepped: i64,
    /// Tokens under which a message stands as `sending`.
    sending: BTreeSet<(AccountId, u32)>,
    /// The last acquisition of each account that time allowed.
    by_time: BTreeMap<AccountId, u32>,
    /// Until when, in true time, the last renewal keeps others out.
    kept_until: BTreeMap<AccountId, i64>,
    acquisitions: u64,
    tally: Tally,
    broken: Option<String>,
    trace: Option<VecDeque<String>>,
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

    fn bid(&mut self, at: usize, account: AccountId, handicap: u64, pause: i64) {
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

    fn tell(&mut self, at: usize, event: Event) {
        let now = self.now;
        let node = &mut self.nodes[at];
        match &event {
            Event::Bid { account, .. } => {
                node.seen_alive.remove(account);
            }
            Event::Seen { rows } => {
                let alive =
                    |row: &&super::super::Seen| row.remaining_ms > 0 && row.holder == Holder::Other;
                let asked = node.look_asked;
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
            } => self.ask(
                at,
                Question::Acquire {
                    account,
                    unchanged,
                    dead,
                    asked: self.now,
                },
            ),
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

    /// A session stops by its own will: it takes a while, then the lease is released.
    pub(super) fn drain(&mut self, at: usize, account: &AccountId) {
        let node = &mut self.nodes[at];
        let owner = node.owner;
        let Some(term) = node.terms.get_mut(account).filter(|term| !term.leaving) else {
            return;
        };
        term.leaving = true;
        let epoch = Epoch(term.fence.epoch);
        let drained = self.now + self.rng.random_range(20..500);
        let account = account.clone();
        self.later(
            drained,
            Later::Released {
                at,
                owner,
                account,
                epoch,
            },
        );
    }

    fn stop(&mut self, at: usize, account: AccountId, epoch: Epoch) {
        let terms = &mut self.nodes[at].terms;
        if terms
            .get(&account)
            .is_some_and(|term| term.fence.epoch == epoch.0)
        {
            terms.remove(&account);
            self.tell(at, Event::Release { account, epoch });
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

    fn ask(&mut self, at: usize, question: Question) {
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

    fn arrive(&mut self, at: usize, owner: Owner, id: u64, question: Question) {
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

    fn fail(&mut self, at: usize, question: Question) {
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

    fn hear(&mut self, at: usize, reply: Reply) {
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

    fn execute(&mut self, at: usize, owner: Owner, question: Question) -> Reply {
        let now = self.now + self.store_offset;
        match question {
            Question::Look => {
                let worker = self.nodes[at].worker;
                let rows = self.rows.iter().filter_map(|(account, row)| {
                    let row = (*row)?;
                    let dead = self.is_proven_dead(at, row);
                    Some(row.seen(account.clone(), owner, worker, dead, now))
                });
                Reply::Tell(Event::Seen {
                    rows: rows.collect(),
                })
            }
            Question::Acquire {
                account,
                unchanged,
                dead,
                asked,
            } => {
                let bid = Bid {
                    owner,
                    token: self.tokens + 1,
                    ttl: TTL,
                    unchanged,
                    dead,
                };
                let slot = self.rows.get_mut(&account).expect("never deleted");
                let before = *slot;
                let won = Row::acquire(slot, bid, now);
                if won.is_some() {
                    let row = slot.expect("just written");
                    self.tokens += 1;
                    self.acquisitions += 1;
                    self.tally.slowest_recovery_ms = (self.now - STORM).max(0);
                    self.let_in(at, &account, before, row, asked);
                }
                Reply::Acquired(account, won)
            }
            Question::Renew(leases) => {
                let mut kept = BTreeSet::new();
                for (account, fence) in leases {
                    let row = self.rows.get_mut(&account).and_then(Option::as_mut);
                    if row.is_some_and(|row| row.renew(fence, true, TTL, now)) {
                        self.kept_until.insert(account.clone(), self.now + TTL);
                        kept.insert(account);
                    }
                }
                Reply::Tell(Event::Renewed { kept })
            }
            Question::Release(account, fence) => {
                if let Some(row) = self.rows.get_mut(&account).and_then(Option::as_mut) {
                    row.release(fence, true);
                }
                Reply::Nothing
            }
            Question::Write(account, fence) => {
                let row = self.rows[&account].expect("held, so written");
                if row.admits(fence, true) || !self.plan.fence {
                    self.tally.writes += 1;
                    if row.token != fence.token {
                        self.broken = Some(format!("{account}: n{at} committed an old write"));
                    }
                } else {
                    self.tally.refused += 1;
                }
                Reply::Nothing
            }
            Question::Claim(account, fence) => {
                let row = self.rows[&account].expect("held, so written");
                let ours = row.admits(fence, true);
                if ours {
                    self.sending.insert((account.clone(), fence.token));
                }
                Reply::Claimed(account, fence, ours)
            }
        }
    }

    /// Books an acquisition that time allowed, and judges whether it came too early.
    fn let_in(
        &mut self,
        at: usize,
        account: &AccountId,
        before: Option<Row>,
        row: Row,
        asked: i64,
    ) {
        let kept_until = self.kept_until.insert(account.clone(), self.now + TTL);
        self.note(|| format!("{account}: n{at} holds epoch {} {:?}", row.epoch, row.way));
        if !row.way.is_by_time() || before.is_some_and(|before| before.owner == row.owner) {
            return;
        }
        // Half a per cent for the bidder's clock.
        let over = |end: i64| self.now >= end - TTL / 200 - 1;
        if kept_until.is_some_and(|until| !over(until)) && self.plan.drift_ppm <= 5_000 {
            let seen = self.nodes[at].seen_alive.get(account);
            let stepped_on_the_way = asked < self.stepped;
            if !stepped_on_the_way && seen.is_some_and(|looked| !over(looked + TTL)) {
                self.broken = Some(format!("{account}: n{at} was let in too early"));
            }
            self.tally.excused += 1;
            return;
        }
        self.tally.by_time += 1;
        self.by_time.insert(account.clone(), row.token);
    }

    /// A process that died, seen from its own machine, whose file lock nobody else took since.
    fn is_proven_dead(&self, at: usize, row: Row) -> bool {
        let machine = self.nodes[at].machine;
        let runs = |owner: Owner| {
            self.nodes
                .iter()
                .any(|node| node.owner == owner && node.alive)
        };
        row.owner
            .is_some_and(|owner| !runs(owner) && self.machine_of(owner) == Some(machine))
    }

    fn machine_of(&self, owner: Owner) -> Option<u8> {
        let node = self.nodes.iter().find(|node| node.owner == owner)?;
        Some(node.machine)
    }

    /// What the sessions of one process do, some times a second.
    fn session(&mut self, at: usize) {
        let owner = self.nodes[at].owner;
        let next = self.now + self.rng.random_range(50..600);
        self.later(next, Later::Session { at, owner });
        let terms: Vec<_> = self.nodes[at]
            .terms
            .iter()
            .map(|(account, term)| (account.clone(), *term))
            .collect();
        for (account, term) in terms {
            if self.plan.trust && !self.nodes[at].trusts(&term, self.now) {
                self.tally.held_back += u64::from(term.claim == Claim::Committed);
                continue;
            }
            if self.rng.random_bool(0.3) {
                self.ask(at, Question::Write(account.clone(), term.fence));
            }
            let claim = match term.claim {
                Claim::None => {
                    self.ask(at, Question::Claim(account.clone(), term.fence));
                    Claim::Asked
                }
                Claim::Asked => Claim::Asked,
                Claim::Committed => {
                    self.send(at, &account, term.fence);
                    Claim::None
                }
            };
            if let Some(term) = self.nodes[at].terms.get_mut(&account) {
                term.claim = claim;
            }
        }
    }

    fn send(&mut self, at: usize, account: &AccountId, fence: Fence) {
        self.tally.sends += 1;
        if !self.sending.contains(&(account.clone(), fence.token)) {
            self.broken = Some(format!(
                "{account}: n{at} sent what the store does not know"
            ));
        }
        if self
            .by_time
            .get(account)
            .is_some_and(|token| fence.token < *token)
        {
            self.broken = Some(format!("{account}: n{at} sent after time let the next in"));
        }
    }
}
