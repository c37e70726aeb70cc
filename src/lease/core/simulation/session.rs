//! The sessions of active accounts: what must not happen any more once another may be active.

use rand::RngExt;

use super::super::Event;
use super::super::table::Fence;
use super::node::{Claim, Question};
use super::world::{Later, World};
use crate::ids::{AccountId, Epoch};

impl World {
    /// What the sessions of one process do, some times a second.
    pub(super) fn session(&mut self, at: usize) {
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

    pub(super) fn send(&mut self, at: usize, account: &AccountId, fence: Fence) {
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

    pub(super) fn stop(&mut self, at: usize, account: AccountId, epoch: Epoch) {
        let terms = &mut self.nodes[at].terms;
        if terms
            .get(&account)
            .is_some_and(|term| term.fence.epoch == epoch.0)
        {
            terms.remove(&account);
            self.tell(at, Event::Release { account, epoch });
        }
    }
}
