//! Runs the lease core of this process: carries out what it asks of the store, and tells supervisors.
//!
//! ```text
//!  supervisor ──win, release──▶ ┌───────┐ ──look, acquire, renew, release──▶ store
//!                               │ core  │ ◀──────────── answers ──────────── store
//!  term ◀─ trust, loss, call ── └───────┘ ◀──────── stirred ─── changes of the store
//! ```
//!
//! One task does all lease I/O of the process. It renews all leases with one statement. Every call is
//! bounded, so the core always gets an answer, and a lost answer is a failure like any other.

mod desk;
mod term;
mod work;

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use self::desk::Desk;
pub use self::term::Term;
use self::work::{Parting, Work};
use super::beacon::Beacon;
pub use super::core::Loss;
use super::core::{Event, Holder, Pace, Seen, Successor};
use super::timing::LeaseTiming;
use crate::clock::Boot;
use crate::ids::{AccountId, OwnerId};
use crate::store::{AcquireLease, Fence, LeaseRow, Store, StoreError, Topic};
use crate::telemetry::event::{self, Event as Told};

/// Standbys look at least this often, whatever wakes them.
const LOOK: Duration = Duration::from_secs(1);
/// Standbys of one account do not bid in the same millisecond.
const JITTER: Duration = Duration::from_millis(50);
/// How long others wait for the preferred successor: it may be woken later than they are.
const YIELD_FOR: Duration = Duration::from_millis(400);
/// Bids and releases on their way at once: the start or stop of many accounts must not crowd out the
/// heartbeats of the others.
const TRANSFERS: usize = 8;
/// tokio's timers stand still while a machine sleeps: nothing waits longer without a look.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The leases of this process. Clones share them; the keeper's task ends with the last one.
#[derive(Clone, Debug)]
pub struct Leases {
    bureau: Arc<Bureau>,
    task: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
}

/// What the keeper's task shares with handles and terms.
#[derive(Debug)]
struct Bureau {
    store: Store,
    owner: OwnerId,
    timing: LeaseTiming,
    desk: Mutex<Desk>,
    stirred: Notify,
    beats: watch::Sender<Beat>,
    stop: CancellationToken,
}

/// The newest answer to a renewal.
#[derive(Clone, Copy, Debug, Default)]
struct Beat {
    /// Which renewal it answers, counted from 1.
    number: u64,
    answered: bool,
}

impl Leases {
    /// Starts to keep the leases of `owner`.
    pub fn start(store: Store, owner: OwnerId, timing: LeaseTiming) -> Self {
        let beacon = store.file().map(|file| Beacon::light(file, &owner));
        let pace = Pace {
            look: LOOK,
            jitter: JITTER,
            yield_for: YIELD_FOR,
            seed: rand::random(),
        };
        let bureau = Arc::new(Bureau {
            desk: Mutex::new(Desk::new(owner.clone(), timing, pace)),
            store,
            owner,
            timing,
            stirred: Notify::new(),
            beats: watch::Sender::default(),
            stop: CancellationToken::new(),
        });
        let keeper = Keeper {
            bureau: bureau.clone(),
            beacon,
            io: JoinSet::new(),
            transfers: 0,
        };
        let task = AbortOnDropHandle::new(tokio::spawn(keeper.run()));
        Self {
            bureau,
            task: Arc::new(Mutex::new(Some(task))),
        }
    }

    /// This process.
    pub fn owner(&self) -> &OwnerId {
        &self.bureau.owner
    }

    /// Bids for `account` until its lease is ours. One bid for an account at a time. Cancel safe:
    /// dropping it withdraws the bid, and a lease that it won meanwhile is released at once.
    pub async fn win(&self, account: &AccountId) -> Term {
        let won = self.bureau.step(|desk, now| desk.bid(account, now));
        let _bid = Bid {
            bureau: &self.bureau,
            account,
        };
        // The keeper's task ends only after every supervisor has.
        won.await.expect("the leases are closed after the last bid")
    }

    /// From now on only these accounts are bid for, each after the time that better placed workers
    /// are given first. Before the first call everything that is wanted is bid for at once.
    pub fn place(&self, bids: HashMap<AccountId, Duration>) {
        self.bureau.step(|desk, now| desk.place(bids, now));
    }

    /// The accounts whose leases are ours.
    pub fn held(&self) -> BTreeSet<AccountId> {
        self.bureau.desk().held()
    }

    /// Stops keeping leases; those that are still held run out by their TTL. Cancel safe.
    pub async fn close(&self) {
        self.bureau.stop.cancel();
        let task = self.task.lock().expect("nobody panics with it").take();
        if let Some(task) = task {
            // It ends by the token.
            let _ = task.await;
        }
    }
}

impl Bureau {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("no panic while it is held")
    }

    /// Changes what is wanted, and wakes the keeper to act on it.
    fn step<R>(&self, change: impl FnOnce(&mut Desk, Boot) -> R) -> R {
        let changed = change(&mut self.desk(), Boot::now());
        self.stirred.notify_one();
        changed
    }
}

/// Withdraws when the bidder goes away; a bid that was won is none any more.
struct Bid<'a> {
    bureau: &'a Bureau,
    account: &'a AccountId,
}

impl Drop for Bid<'_> {
    fn drop(&mut self) {
        self.bureau
            .step(|desk, now| desk.withdraw(self.account, now));
    }
}

/// What a call of the store came to.
enum Answer {
    Looked(Result<Vec<LeaseRow>, StoreError>),
    Bid {
        account: AccountId,
        outcome: Result<Option<Fence>, StoreError>,
    },
    Renewed {
        number: u64,
        fences: Vec<Arc<Fence>>,
        outcome: Result<BTreeSet<AccountId>, StoreError>,
    },
    Released {
        parting: Parting,
        outcome: Result<bool, StoreError>,
    },
}

struct Keeper {
    bureau: Arc<Bureau>,
    beacon: Option<Beacon>,
    io: JoinSet<Answer>,
    transfers: usize,
}

impl Keeper {
    async fn run(mut self) {
        let bureau = self.bureau.clone();
        let mut changes = bureau.store.watch(Topic::Fleet);
        loop {
            self.start_work();
            let wake = bureau.desk().wake();
            let pause = wake.map_or(LOOK_AGAIN, |at| at.remaining().min(LOOK_AGAIN));
            // Whatever loses the race is a level, a clock, or still in its set.
            tokio::select! {
                () = bureau.stop.cancelled() => break,
                () = bureau.stirred.notified() => {}
                () = changes.next() => self.hear(Event::Stirred),
                () = tokio::time::sleep(pause) => self.hear(Event::Wake),
                Some(answer) = self.io.join_next() => match answer {
                    Ok(answer) => self.take(answer),
                    Err(failed) => warn!(error = %failed, "a call of the store failed"),
                },
            }
        }
        // What was released on the way out still reaches the store.
        loop {
            self.start_work();
            match self.io.join_next().await {
                Some(Ok(answer)) => self.take(answer),
                Some(Err(failed)) => warn!(error = %failed, "a call of the store failed"),
                None => break,
            }
        }
    }

    fn hear(&self, event: Event) {
        self.bureau.desk().hear(event, Boot::now());
    }

    fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Looked(Ok(rows)) => {
                let seen = self.seen(&rows);
                self.bureau.desk().saw(&rows, seen, Boot::now());
            }
            Answer::Looked(Err(error)) => {
                warn!(%error, "[whatsapp] The store does not answer, retrying...");
                self.hear(Event::Blind);
            }
            Answer::Bid { account, outcome } => {
                self.transfers -= 1;
                match outcome {
                    Ok(Some(fence)) => {
                        self.bureau.desk().won(&self.bureau, fence, Boot::now());
                    }
                    Ok(None) => self.hear(Event::Refused { account }),
                    Err(error) => {
                        warn!(%account, %error, "the store did not answer a bid");
                        self.hear(Event::AcquireFailed { account });
                    }
                }
            }
            Answer::Renewed {
                number,
                fences,
                outcome,
            } => {
                let answered = outcome.is_ok();
                match outcome {
                    Ok(kept) => self.hear(Event::Renewed { kept }),
                    Err(error) => {
                        let message = error.to_string();
                        for fence in &fences {
                            event::emit(Told::HeartbeatError {
                                account: fence.account(),
                                owner: &self.bureau.owner,
                                message: &message,
                            });
                        }
                        self.hear(Event::RenewFailed);
                    }
                }
                self.bureau.beats.send_replace(Beat { number, answered });
            }
            Answer::Released { parting, outcome } => {
                self.transfers -= 1;
                parting.settle(&self.bureau.owner, outcome);
            }
        }
    }

    /// Starts what the core has asked for. Bids and releases wait for their turn, nothing else does.
    fn start_work(&mut self) {
        loop {
            let work = self.bureau.desk().next_work(self.transfers < TRANSFERS);
            let Some(work) = work else { return };
            let bureau = self.bureau.clone();
            match work {
                Work::Look => self.io.spawn(async move {
                    Answer::Looked(bounded(bureau.timing, bureau.store.leases()).await)
                }),
                Work::Acquire {
                    account,
                    unchanged,
                    dead,
                } => {
                    self.transfers += 1;
                    self.io.spawn(async move {
                        let bid = AcquireLease {
                            account: &account,
                            owner: &bureau.owner,
                            ttl: bureau.timing.ttl(),
                            unchanged,
                            dead,
                        };
                        let outcome = bounded(bureau.timing, bureau.store.acquire_lease(bid)).await;
                        Answer::Bid { account, outcome }
                    })
                }
                Work::Renew { number, fences } => self.io.spawn(async move {
                    let renewal = bureau.store.renew_leases(&fences, bureau.timing.ttl());
                    let outcome = bounded(bureau.timing, renewal).await;
                    Answer::Renewed {
                        number,
                        fences,
                        outcome,
                    }
                }),
                Work::Release(parting) => {
                    self.transfers += 1;
                    self.io.spawn(async move {
                        let release =
                            bureau
                                .store
                                .release_lease(&parting.fence, &bureau.owner, parting.why);
                        let outcome = bounded(bureau.timing, release).await;
                        Answer::Released { parting, outcome }
                    })
                }
            };
        }
    }

    /// What the core needs to know of the store's rows.
    fn seen<'a>(&self, rows: &'a [LeaseRow]) -> Vec<Seen> {
        let me = &self.bureau.owner;
        // Each owner is looked at once, however many leases it has.
        let mut dead: HashMap<&OwnerId, bool> = HashMap::new();
        let mut seen = |row: &'a LeaseRow| {
            let holder = match row.owner.as_str() {
                "" => Holder::Nobody,
                _ if row.expires_at == 0 => Holder::Released,
                _ if row.owner == *me => Holder::Me,
                _ => Holder::Other,
            };
            let dead = holder == Holder::Other
                && !row.is_free()
                && self.beacon.as_ref().is_some_and(|beacon| {
                    *dead
                        .entry(&row.owner)
                        .or_insert_with(|| beacon.proves_dead(&row.owner))
                });
            let successor = match row.successor.as_deref() {
                None => Successor::None,
                Some(name) if me.is_called(name) => Successor::Me,
                // Anybody but the last holder.
                Some("") if row.owner != *me => Successor::None,
                Some(_) => Successor::Other,
            };
            Seen {
                account: row.account.clone(),
                epoch: row.epoch,
                beat: row.beat,
                remaining_ms: row.remaining_ms,
                holder,
                dead,
                successor,
            }
        };
        rows.iter().map(&mut seen).collect()
    }
}

/// Every call of the store ends with an answer: one that takes longer than half a heartbeat, or two
/// seconds, or that panics, counts as unanswered.
async fn bounded<T>(
    timing: LeaseTiming,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let patience = (timing.heartbeat() / 2).min(Duration::from_secs(2));
    let call = AssertUnwindSafe(call).catch_unwind();
    match tokio::time::timeout(patience, call).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(StoreError::Unavailable(sqlx::Error::WorkerCrashed)),
        Err(_) => Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)),
    }
}
