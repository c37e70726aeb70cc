//! What the core is told and what it asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Boot;
use crate::ids::{AccountId, Epoch};

/// How standbys look and how they spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    /// Time between two looks when nothing else asks for one.
    pub look: Duration,
    /// A bid waits for `0..jitter`, so that the standbys of one account do not bid in the same
    /// millisecond.
    pub jitter: Duration,
    /// What a bid waits longer when another worker is the preferred successor.
    pub yield_for: Duration,
    /// Tells the jitters of two processes apart.
    pub seed: u64,
}

/// Something that happened.
///
/// `Seen`, `Blind`, `Acquired`, `Refused`, `AcquireFailed`, `Renewed` and `RenewFailed` answer an
/// [`Action`]. Each `Look`, `Acquire` and `Renew` gets exactly one answer, within a time that the
/// driver bounds; what arrives after its time-out is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The moment of [`Action::WakeAt`] came. Earlier or needless ones do no harm.
    Wake,
    /// The account is wanted. Said again, it changes the handicap. Being won uses the bid up.
    Bid {
        /// Whose lease.
        account: AccountId,
        /// How long to leave a free lease to others.
        handicap: Duration,
    },
    /// The account is wanted no more. A bid that is on its way and wins is given back.
    Withdraw {
        /// Whose lease.
        account: AccountId,
    },
    /// The store changed or may have.
    Stirred,
    /// Answer to [`Action::Look`]: the lease rows of all accounts. An account without a row never
    /// had a lease.
    Seen {
        /// In any order, one for each account.
        rows: Vec<Seen>,
    },
    /// The look failed.
    Blind,
    /// The bid won.
    Acquired {
        /// Whose lease.
        account: AccountId,
        /// Number of this acquisition.
        epoch: Epoch,
    },
    /// The bid came too late or too early.
    Refused {
        /// Whose lease.
        account: AccountId,
    },
    /// It is not known whether the bid won.
    AcquireFailed {
        /// Whose lease.
        account: AccountId,
    },
    /// Answer to [`Action::Renew`].
    Renewed {
        /// Accounts whose lease was renewed. What was asked for and is missing here is lost.
        kept: BTreeSet<AccountId>,
    },
    /// It is not known what was renewed.
    RenewFailed,
    /// Renew now, not at the next beat. An answer counts for this when the `until` of its
    /// [`Action::Trust`] is not before what [`LeaseTiming::trusted_until`] gives for the moment of
    /// this event.
    ///
    /// [`LeaseTiming::trusted_until`]: crate::lease::timing::LeaseTiming::trusted_until
    Confirm,
    /// A protected write found its fence gone.
    Fenced {
        /// Whose lease.
        account: AccountId,
        /// Which acquisition.
        epoch: Epoch,
    },
    /// The term is over by its holder's will: the socket is closed, everything is flushed.
    Release {
        /// Whose lease.
        account: AccountId,
        /// Which acquisition. Of one that is over already nothing is released.
        epoch: Epoch,
    },
}

/// One lease row, as far as bidding needs it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Whose lease.
    pub account: AccountId,
    /// Number of the last acquisition.
    pub epoch: Epoch,
    /// Heartbeats since then.
    pub beat: i64,
    /// How long it still runs by the store's clock; not positive when it ended.
    pub remaining_ms: i64,
    /// Who has it.
    pub holder: Holder,
    /// The holder's process is proven dead, and stays proven until this row's bid is answered.
    pub dead: bool,
    /// Who is preferred to have it next.
    pub successor: Successor,
}

/// Who a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// An operator took it away from whoever held it.
    Nobody,
    /// Its last holder gave it up.
    Released,
    /// This very process. Also after its term is over.
    Me,
    /// Another process. Whether it lives is not known.
    Other,
}

/// Whom an operator or the fleet prefers as next holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Successor {
    /// Nobody in particular.
    None,
    /// The worker of this process.
    Me,
    /// Another worker.
    Other,
}

/// Why a term ended without being released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// The store says that the lease is not ours any more.
    Refused,
    /// No heartbeat was answered until trust ran out.
    Unanswered,
}

impl Loss {
    /// For logs and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "another worker holds it or it ran out",
            Self::Unanswered => "the store did not answer in time",
        }
    }
}

/// Something to be done. In order; none of them waits for the one before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read all lease rows. Answered by `Seen` or `Blind`; one at a time.
    Look,
    /// Bid. Answered by `Acquired`, `Refused` or `AcquireFailed`; one at a time for each account.
    Acquire {
        /// Whose lease.
        account: AccountId,
        /// Epoch and beat that did not change for a whole TTL on this process's clock.
        unchanged: Option<(Epoch, i64)>,
        /// The holder of this epoch is a dead process, or this one after its term.
        dead: Option<Epoch>,
    },
    /// Renew all of these in one statement. Answered by `Renewed` or `RenewFailed`; one at a time.
    Renew {
        /// Everything that is held.
        leases: Vec<(AccountId, Epoch)>,
    },
    /// Give the lease up. Not answered: what fails ends by its TTL.
    Release {
        /// Whose lease.
        account: AccountId,
        /// Which acquisition.
        epoch: Epoch,
        /// A term ran on it. `false`: it was won too late, or for nobody.
        kept: bool,
    },
    /// A term begins.
    Won {
        /// Whose lease.
        account: AccountId,
        /// Number of this acquisition.
        epoch: Epoch,
        /// When trust ends unless it is extended.
        trusted_until: Boot,
    },
    /// The term was renewed.
    Trust {
        /// Whose lease.
        account: AccountId,
        /// Which acquisition.
        epoch: Epoch,
        /// When trust ends now.
        until: Boot,
    },
    /// The term is over: nothing may be sent, nothing be written under its fence.
    Lost {
        /// Whose lease.
        account: AccountId,
        /// Which acquisition.
        epoch: Epoch,
        /// Why.
        loss: Loss,
    },
    /// Another worker is the preferred successor: drain, then [`Event::Release`]. Told once a term.
    HandOver {
        /// Whose lease.
        account: AccountId,
        /// Which acquisition.
        epoch: Epoch,
    },
    /// Step again at this moment. The last of a step's actions; it replaces an earlier one. Without
    /// it there is nothing to wait for.
    WakeAt(Boot),
}
