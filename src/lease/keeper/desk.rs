//! What this process wants and holds: the core, and who waits for what it decides.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tracing::info;

use super::work::{Parting, Work};
use super::{Bureau, Term};
use crate::clock::Boot;
use crate::ids::{AccountId, Epoch, OwnerId};
use crate::lease::core::{Action, Core, Event, Loss, Pace, Seen};
use crate::lease::timing::LeaseTiming;
use crate::lease::trust::Trust;
use crate::store::{Fence, LeaseRow};
use crate::telemetry::event::{self, Event as Told};

/// Contention is told when it begins, when the holder changes, and then this often at most.
const REMIND: Duration = Duration::from_mins(1);
/// A standby of a whole fleet reminds of each account less often.
const REMIND_EACH: Duration = Duration::from_millis(100);

/// The state behind [`super::Leases`].
#[derive(Debug)]
pub(super) struct Desk {
    core: Core,
    owner: OwnerId,
    timing: LeaseTiming,
    /// How long each bid waits for better placed workers; what is not here is not bid for. `None`:
    /// nobody places, and everything is bid for at once.
    placed: Option<HashMap<AccountId, Duration>>,
    bids: HashMap<AccountId, oneshot::Sender<Term>>,
    held: HashMap<AccountId, Held>,
    /// Why a lease is given up, from the supervisor's word to the core's action.
    partings: HashMap<AccountId, (&'static str, oneshot::Sender<bool>)>,
    work: VecDeque<Work>,
    renewals: u64,
    wake: Option<Boot>,
    told: HashMap<AccountId, (OwnerId, Boot)>,
}

/// A lease of ours, as its term sees it.
#[derive(Debug)]
struct Held {
    fence: Arc<Fence>,
    trust: Trust,
    loss: watch::Sender<Option<Loss>>,
    call: watch::Sender<Option<&'static str>>,
}

impl Desk {
    pub(super) fn new(owner: OwnerId, timing: LeaseTiming, pace: Pace) -> Self {
        Self {
            core: Core::new(timing, pace),
            owner,
            timing,
            placed: None,
            bids: HashMap::new(),
            held: HashMap::new(),
            partings: HashMap::new(),
            work: VecDeque::new(),
            renewals: 0,
            wake: None,
            told: HashMap::new(),
        }
    }

    pub(super) const fn wake(&self) -> Option<Boot> {
        self.wake
    }

    pub(super) fn held(&self) -> BTreeSet<AccountId> {
        self.held.keys().cloned().collect()
    }

    /// The next thing to ask of the store; bids and releases only when there is room for one.
    pub(super) fn next_work(&mut self, room: bool) -> Option<Work> {
        let waits = |work: &Work| matches!(work, Work::Acquire { .. } | Work::Release(_));
        let is_next = |work: &Work| room || !waits(work);
        let next = self.work.iter().position(is_next)?;
        self.work.remove(next)
    }

    pub(super) fn bid(&mut self, account: &AccountId, now: Boot) -> oneshot::Receiver<Term> {
        let (tell, won) = oneshot::channel();
        self.bids.insert(account.clone(), tell);
        self.pursue(account.clone(), self.handicap(account), now);
        won
    }

    /// Nothing is left to withdraw of a bid that was won.
    pub(super) fn withdraw(&mut self, account: &AccountId, now: Boot) {
        if self.bids.remove(account).is_some() {
            self.told.remove(account);
            self.pursue(account.clone(), None, now);
        }
    }

    pub(super) fn place(&mut self, bids: HashMap<AccountId, Duration>, now: Boot) {
        let before = self.placed.replace(bids);
        let moved: Vec<AccountId> = self
            .bids
            .keys()
            .filter(|account| handicap(before.as_ref(), account) != self.handicap(account))
            .cloned()
            .collect();
        for account in moved {
            let handicap = self.handicap(&account);
            self.pursue(account, handicap, now);
        }
    }

    fn handicap(&self, account: &AccountId) -> Option<Duration> {
        handicap(self.placed.as_ref(), account)
    }

    /// Bids after `handicap`, or not at all.
    fn pursue(&mut self, account: AccountId, handicap: Option<Duration>, now: Boot) {
        match handicap {
            Some(handicap) => self.hear(Event::Bid { account, handicap }, now),
            None => {
                let of = account.clone();
                self.hear(Event::Withdraw { account }, now);
                self.recall(&of, now);
            }
        }
    }

    /// A bid that has not been sent need not be: it counts as refused.
    fn recall(&mut self, account: &AccountId, now: Boot) {
        let waits =
            |work: &Work| matches!(work, Work::Acquire { account: of, .. } if of == account);
        if let Some(at) = self.work.iter().position(waits) {
            self.work.remove(at);
            let account = account.clone();
            self.hear(Event::Refused { account }, now);
        }
    }

    /// Answers a look: the rows, and the same as the core sees them.
    pub(super) fn saw(&mut self, rows: &[LeaseRow], seen: Vec<Seen>, now: Boot) {
        for row in rows {
            self.tell_contended(row, now);
        }
        self.hear(Event::Seen { rows: seen }, now);
    }

    /// A bid was granted. The core decides whether it is still wanted.
    pub(super) fn won(&mut self, bureau: &Arc<Bureau>, fence: Fence, now: Boot) {
        let fence = Arc::new(fence);
        let account = fence.account().clone();
        let epoch = fence.epoch();
        let event = Event::Acquired {
            account: account.clone(),
            epoch,
        };
        for action in self.step(event, now) {
            match action {
                Action::Won { trusted_until, .. } => {
                    let trust = Trust::until(trusted_until);
                    self.begin_term(bureau, fence.clone(), trust, now);
                }
                Action::Release { .. } => self.part(fence.clone(), None),
                action => self.act(action),
            }
        }
    }

    fn begin_term(&mut self, bureau: &Arc<Bureau>, fence: Arc<Fence>, trust: Trust, now: Boot) {
        let account = fence.account().clone();
        let (tell_loss, loss) = watch::channel(None);
        let (tell_call, call) = watch::channel(None);
        self.told.remove(&account);
        event::emit(Told::LeaseAcquired {
            account: &account,
            owner: &self.owner,
            epoch: fence.epoch(),
            ttl: self.timing.ttl(),
        });
        let term = Term::new(bureau.clone(), fence.clone(), trust.clone(), loss, call);
        let held = Held {
            fence: fence.clone(),
            trust,
            loss: tell_loss,
            call: tell_call,
        };
        self.held.insert(account.clone(), held);
        let undelivered = match self.bids.remove(&account) {
            Some(waiting) => waiting.send(term).err(),
            None => Some(term),
        };
        if let Some(term) = undelivered {
            // The bidder went away in this very moment.
            term.forget();
            self.release(&fence, "nobody waits for it", now);
        }
    }

    pub(super) fn release(
        &mut self,
        fence: &Fence,
        why: &'static str,
        now: Boot,
    ) -> oneshot::Receiver<bool> {
        let (tell, ours) = oneshot::channel();
        let account = fence.account().clone();
        if self.holds(fence) {
            self.partings.insert(account.clone(), (why, tell));
            let epoch = fence.epoch();
            self.hear(
                Event::Release {
                    account: account.clone(),
                    epoch,
                },
                now,
            );
            // Still there when trust ended at this very moment: then nothing is released.
            self.partings.remove(&account);
        }
        ours
    }

    /// A protected write found the fence gone.
    pub(super) fn fenced(&mut self, fence: &Fence, now: Boot) {
        if self.holds(fence) {
            let (account, epoch) = (fence.account().clone(), fence.epoch());
            self.hear(Event::Fenced { account, epoch }, now);
        }
    }

    fn holds(&self, fence: &Fence) -> bool {
        let held = self.held.get(fence.account());
        held.is_some_and(|held| held.fence.epoch() == fence.epoch())
    }

    /// Wants a renewal now. Returns how many there were before: a later one is the answer.
    pub(super) fn confirm(&mut self, now: Boot) -> u64 {
        let before = self.renewals;
        self.hear(Event::Confirm, now);
        before
    }

    pub(super) fn hear(&mut self, event: Event, now: Boot) {
        for action in self.step(event, now) {
            self.act(action);
        }
    }

    fn step(&mut self, event: Event, now: Boot) -> Vec<Action> {
        self.wake = None;
        self.core.step(event, now)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Look => self.work.push_back(Work::Look),
            Action::Acquire {
                account,
                unchanged,
                dead,
            } => {
                if dead.is_some() {
                    info!(%account, "its last holder is known to be gone: taking over");
                }
                self.work.push_back(Work::Acquire {
                    account,
                    unchanged,
                    dead,
                });
            }
            Action::Renew { leases } => {
                self.renewals += 1;
                let fence = |(account, _): &(AccountId, Epoch)| {
                    self.held.get(account).map(|held| held.fence.clone())
                };
                let fences = leases.iter().filter_map(fence).collect();
                // Before everything else: the others can wait.
                self.work.push_front(Work::Renew {
                    number: self.renewals,
                    fences,
                });
            }
            Action::Trust { account, until, .. } => {
                if let Some(held) = self.held.get(&account) {
                    held.trust.extend(until);
                }
            }
            Action::Lost { account, loss, .. } => {
                if let Some(held) = self.held.remove(&account) {
                    held.trust.revoke();
                    held.loss.send_replace(Some(loss));
                }
            }
            Action::Release { account, .. } => {
                let parting = self.partings.remove(&account);
                if let Some(held) = self.held.remove(&account) {
                    held.trust.revoke();
                    self.part(held.fence, parting);
                }
            }
            Action::HandOver { account, .. } => {
                if let Some(held) = self.held.get(&account) {
                    held.call.send_replace(Some("another worker is to have it"));
                }
            }
            Action::WakeAt(at) => self.wake = Some(at),
            Action::Won { .. } => unreachable!("only a granted bid is won"),
        }
    }

    fn part(&mut self, fence: Arc<Fence>, parting: Option<(&'static str, oneshot::Sender<bool>)>) {
        let (why, waits) = match parting {
            Some((why, waits)) => (why, Some(waits)),
            None => ("not wanted any more", None),
        };
        // Others wait for it, and nobody for our bids.
        self.work
            .push_front(Work::Release(Parting { fence, why, waits }));
    }

    fn tell_contended(&mut self, row: &LeaseRow, now: Boot) {
        if row.is_free() || !self.bids.contains_key(&row.account) {
            return;
        }
        let fleet = u32::try_from(self.bids.len()).unwrap_or(u32::MAX);
        let remind = REMIND.max(REMIND_EACH.saturating_mul(fleet));
        let known = self.told.get(&row.account);
        if known.is_some_and(|(owner, at)| *owner == row.owner && now.since(*at) < remind) {
            return;
        }
        self.told
            .insert(row.account.clone(), (row.owner.clone(), now));
        event::emit(Told::LeaseContended {
            account: &row.account,
            owner: &self.owner,
            holder: &row.owner,
            remaining_ms: row.remaining_ms,
        });
    }
}

fn handicap(
    placed: Option<&HashMap<AccountId, Duration>>,
    account: &AccountId,
) -> Option<Duration> {
    placed.map_or(Some(Duration::ZERO), |placed| placed.get(account).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bid_that_was_not_sent_is_recalled_and_another_may_follow() {
        let timing = LeaseTiming::new(Duration::from_secs(4), None, None).expect("valid");
        let pace = Pace {
            look: Duration::from_secs(1),
            jitter: Duration::ZERO,
            yield_for: Duration::ZERO,
            seed: 0,
        };
        let owner = OwnerId::incarnate("w").expect("valid");
        let account: AccountId = "shop".parse().expect("valid");
        let mut desk = Desk::new(owner, timing, pace);
        let now = Boot::from_ms(0);
        let _waiting = desk.bid(&account, now);
        assert!(matches!(desk.next_work(true), Some(Work::Look)));
        desk.saw(&[], Vec::new(), now);
        assert!(desk.next_work(false).is_none(), "bids wait for room");
        desk.withdraw(&account, now);
        assert!(desk.next_work(true).is_none(), "nobody wants it any more");
        let later = now.plus(Duration::from_secs(2));
        let _waiting = desk.bid(&account, later);
        assert!(matches!(desk.next_work(true), Some(Work::Look)));
        desk.saw(&[], Vec::new(), later);
        assert!(matches!(desk.next_work(true), Some(Work::Acquire { .. })));
    }
}
