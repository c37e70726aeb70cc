//! The store: carries out statements and judges each write and each acquisition.

use std::collections::BTreeSet;

use super::super::Event;
use super::super::table::{Bid, Owner, Row};
use super::node::Question;
use super::world::{Reply, World};
use super::{STORM, TTL};
use crate::ids::AccountId;

impl World {
    pub(super) fn execute(&mut self, at: usize, owner: Owner, question: Question) -> Reply {
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
                looked,
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
                    self.let_in(at, &account, before, row, looked);
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
        looked: i64,
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
            let stepped_since = looked < self.stepped;
            if !stepped_since && seen.is_some_and(|asked| !over(asked + TTL)) {
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
}
