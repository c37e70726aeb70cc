//! One row of the lease table and the statements on it, as the store's SQL has them. For the model
//! and the simulation; times are milliseconds of the store's clock.

use super::{Holder, Seen, Successor};
use crate::ids::{AccountId, Epoch};

/// Who owns a row: the number of a process.
pub(super) type Owner = u16;

/// What protected statements carry. Tokens are counted here, so the later acquisition has the
/// greater token whatever became of the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fence {
    pub(super) epoch: i64,
    pub(super) token: u32,
}

/// How the holder of a row came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    First,
    Released,
    Forced,
    Expired,
    Unchanged,
    Dead,
}

impl Way {
    /// Let in while its predecessor may live and knows of nothing.
    pub(super) fn is_by_time(self) -> bool {
        matches!(self, Self::Expired | Self::Unchanged)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) epoch: i64,
    pub(super) token: u32,
    pub(super) owner: Option<Owner>,
    pub(super) beat: i64,
    pub(super) expires: i64,
    /// A worker, not one of its processes.
    pub(super) successor: Option<Owner>,
    pub(super) way: Way,
}

/// The parameters of the acquiring statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bid {
    pub(super) owner: Owner,
    pub(super) token: u32,
    pub(super) ttl: i64,
    pub(super) unchanged: Option<(Epoch, i64)>,
    pub(super) dead: Option<Epoch>,
}

impl Row {
    pub(super) fn acquire(slot: &mut Option<Self>, bid: Bid, now: i64) -> Option<Fence> {
        let (epoch, way) = match slot {
            None => (1, Way::First),
            Some(row) => (row.epoch + 1, row.way_in(bid, now)?),
        };
        *slot = Some(Self {
            epoch,
            token: bid.token,
            owner: Some(bid.owner),
            beat: 0,
            expires: now + bid.ttl,
            successor: None,
            way,
        });
        Some(Fence {
            epoch,
            token: bid.token,
        })
    }

    fn way_in(&self, bid: Bid, now: i64) -> Option<Way> {
        if self.owner.is_none() {
            return Some(Way::Forced);
        }
        if self.expires == 0 {
            return Some(Way::Released);
        }
        if bid.dead == Some(Epoch(self.epoch)) {
            return Some(Way::Dead);
        }
        if self.expires <= now {
            return Some(Way::Expired);
        }
        (bid.unchanged == Some((Epoch(self.epoch), self.beat))).then_some(Way::Unchanged)
    }

    /// Whether a protected statement finds its fence. `by_token`: as the real one, epoch and token.
    pub(super) fn admits(&self, fence: Fence, by_token: bool) -> bool {
        self.epoch == fence.epoch && (!by_token || self.token == fence.token)
    }

    pub(super) fn renew(&mut self, fence: Fence, by_token: bool, ttl: i64, now: i64) -> bool {
        let kept = self.admits(fence, by_token) && self.expires > now;
        if kept {
            self.beat += 1;
            self.expires = now + ttl;
        }
        kept
    }

    pub(super) fn release(&mut self, fence: Fence, by_token: bool) {
        if self.admits(fence, by_token) {
            self.expires = 0;
        }
    }

    pub(super) fn force_release(&mut self, token: u32) {
        self.epoch += 1;
        self.token = token;
        self.owner = None;
        self.expires = 0;
    }

    /// The row as `me`, a process of `worker`, sees it. `dead`: it has proof that the owner is.
    pub(super) fn seen(
        &self,
        account: AccountId,
        me: Owner,
        worker: Owner,
        dead: bool,
        now: i64,
    ) -> Seen {
        Seen {
            account,
            epoch: Epoch(self.epoch),
            beat: self.beat,
            remaining_ms: self.expires - now,
            holder: match self.owner {
                None => Holder::Nobody,
                Some(_) if self.expires == 0 => Holder::Released,
                Some(owner) if owner == me => Holder::Me,
                Some(_) => Holder::Other,
            },
            dead,
            successor: match self.successor {
                None => Successor::None,
                Some(chosen) if chosen == worker => Successor::Me,
                Some(_) => Successor::Other,
            },
        }
    }
}
