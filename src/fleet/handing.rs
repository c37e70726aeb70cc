//! What operators ask of leases: hand an account over, release it, take it away. What is asked is
//! written into the lease; workers do it, see [`super`].

use super::share::Worker;
use crate::clock::span;
use crate::ids::{AccountId, Epoch, OwnerId};
use crate::store::{Account, LeaseRow, Store, StoreError};

/// Why it was not asked, in words that help.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such account, or no worker has operated it yet.
    #[error("{0}")]
    Missing(String),
    /// Whom it should go to cannot take it.
    #[error("{0}")]
    Taker(String),
    /// The holder is no living worker: it cannot be asked.
    #[error("{0}")]
    Silent(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a request to hand over.
#[derive(Debug)]
pub enum Transfer {
    /// The holder is the one already.
    There(OwnerId),
    /// It is asked for.
    Asked {
        /// Who had the account when it was.
        before: LeaseRow,
        /// Who shall have it.
        taker: OwnerId,
    },
}

/// Records `to`, a `WORKER_ID` or an owner, as the next holder.
///
/// # Errors
/// [`Refusal`].
pub async fn transfer(
    store: &Store,
    account: &AccountId,
    to: &str,
    actor: &str,
) -> Result<Transfer, Refusal> {
    let (before, known) = look(store, account).await?;
    if !known.enabled {
        return Err(Refusal::Taker(format!(
            "account '{account}' is disabled: no worker takes it; `whatsapp-worker accounts enable {account}`"
        )));
    }
    if let Some(holder) = before.holder().filter(|holder| holder.is_called(to)) {
        return Ok(Transfer::There(holder.clone()));
    }
    let workers = living(store).await?;
    let taker = find(&workers, &known, to)?;
    let leases = store.leases().await?;
    let held = leases
        .iter()
        .filter(|row| row.holder() == Some(&taker.owner));
    let held = held.count();
    if held >= taker.capacity as usize {
        return Err(Refusal::Taker(format!(
            "'{}' holds {held} accounts and its WORKER_CAPACITY is {}: it takes no more",
            taker.owner, taker.capacity
        )));
    }
    let taker = taker.owner.clone();
    store.transfer_lease(account, taker.as_str(), actor).await?;
    Ok(Transfer::Asked { before, taker })
}

/// What became of a request to release.
#[derive(Debug)]
pub enum Release {
    /// Nobody holds it.
    Free,
    /// The holder is asked.
    Asked {
        /// It, and its lease.
        before: LeaseRow,
        /// No other worker can take the account: the holder will take it again.
        alone: bool,
    },
}

/// Has the living holder release `account` to anybody else.
///
/// # Errors
/// [`Refusal`].
pub async fn release(store: &Store, account: &AccountId, actor: &str) -> Result<Release, Refusal> {
    let (before, known) = look(store, account).await?;
    if before.is_free() {
        return Ok(Release::Free);
    }
    let workers = living(store).await?;
    if !workers.iter().any(|worker| worker.owner == before.owner) {
        return Err(Refusal::Silent(format!(
            "account '{account}' is held by '{}', which is no living worker and cannot be asked (dead, frozen, or a `link` command): the lease ends in {}",
            before.owner,
            span(before.remaining_ms)
        )));
    }
    let others = workers
        .iter()
        .any(|worker| worker.owner != before.owner && obstacle(worker, &known).is_none());
    store.transfer_lease(account, "", actor).await?;
    Ok(Release::Asked {
        before,
        alone: !others && known.enabled,
    })
}

/// Takes the lease from its holder, alive or not; `None`: it was free.
///
/// # Errors
/// [`Refusal::Missing`], [`Refusal::Store`].
pub async fn take_away(
    store: &Store,
    account: &AccountId,
    actor: &str,
) -> Result<Option<Epoch>, Refusal> {
    let (row, _) = look(store, account).await?;
    if row.is_free() {
        return Ok(None);
    }
    Ok(store.force_release_lease(account, actor).await?)
}

/// What a worker that is asked to drain has.
#[derive(Debug)]
pub struct Draining {
    /// The worker.
    pub owner: OwnerId,
    /// What it gives away.
    pub leaving: Vec<AccountId>,
    /// What it keeps: no other living worker may take it.
    pub staying: Vec<AccountId>,
}

/// Asks the worker called `name`, a `WORKER_ID` or an owner, to give everything away and take nothing
/// more until [`undrain`] or its end. [`draining`] tells how it goes.
///
/// # Errors
/// [`Refusal::Missing`], [`Refusal::Taker`] for a name of several, [`Refusal::Store`].
pub async fn drain(store: &Store, name: &str, actor: &str) -> Result<Draining, Refusal> {
    let owner = called(&living(store).await?, name)?.owner.clone();
    store.ask_to_drain(&owner, true, actor).await?;
    Ok(draining(store, owner).await?)
}

/// What `owner` has that others may take, and what they may not.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn draining(store: &Store, owner: OwnerId) -> Result<Draining, StoreError> {
    let workers = living(store).await?;
    let leases = store.leases().await?;
    let held = |account: &Account| {
        let mut rows = leases.iter();
        rows.any(|row| row.account == account.id && row.holder() == Some(&owner))
    };
    let has_taker = |account: &Account| {
        let mut others = workers.iter().filter(|worker| worker.owner != owner);
        account.enabled && others.any(|other| obstacle(other, account).is_none())
    };
    let accounts = store.accounts().await?.into_iter().filter(held);
    let (leaving, staying): (Vec<_>, Vec<_>) = accounts.partition(has_taker);
    let ids = |accounts: Vec<Account>| accounts.into_iter().map(|account| account.id).collect();
    Ok(Draining {
        owner,
        leaving: ids(leaving),
        staying: ids(staying),
    })
}

/// Has a worker take accounts again. Tells its owner.
///
/// # Errors
/// As [`drain`].
pub async fn undrain(store: &Store, name: &str, actor: &str) -> Result<OwnerId, Refusal> {
    let owner = called(&living(store).await?, name)?.owner.clone();
    store.ask_to_drain(&owner, false, actor).await?;
    Ok(owner)
}

/// The lease of an account that has one.
///
/// # Errors
/// [`Refusal::Missing`], [`Refusal::Store`].
pub async fn look(store: &Store, account: &AccountId) -> Result<(LeaseRow, Account), Refusal> {
    let missing = || {
        Refusal::Missing(format!(
            "there is no account '{account}': `whatsapp-worker accounts list` shows them"
        ))
    };
    let known = store.account(account).await?.ok_or_else(missing)?;
    let row = store.lease(account).await?.ok_or_else(|| {
        Refusal::Missing(format!(
            "account '{account}' never had a lease: no worker has operated it yet"
        ))
    })?;
    Ok((row, known))
}

async fn living(store: &Store) -> Result<Vec<Worker>, StoreError> {
    let rows = store.workers().await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Why `worker` would not take the account.
fn obstacle(worker: &Worker, account: &Account) -> Option<&'static str> {
    if worker.draining {
        Some("it gives away what it has")
    } else if !worker.wants.include(&account.id) {
        Some("its WHATSAPP_ACCOUNT_ID does not name the account")
    } else if !worker.is_at_home(account.auth_home.as_deref()) {
        Some("the account's local auth state is on another installation")
    } else {
        None
    }
}

/// The one worker that `name` means.
fn called<'a>(workers: &'a [Worker], name: &str) -> Result<&'a Worker, Refusal> {
    let named: Vec<_> = workers
        .iter()
        .filter(|worker| worker.owner.is_called(name))
        .collect();
    match named.as_slice() {
        [worker] => Ok(worker),
        [] => Err(Refusal::Missing(format!(
            "no living worker is called '{name}'; these live: {}",
            names(workers.iter())
        ))),
        several => Err(Refusal::Taker(format!(
            "several living workers are called '{name}': say which one: {}",
            names(several.iter().copied())
        ))),
    }
}

fn names<'a>(workers: impl Iterator<Item = &'a Worker>) -> String {
    let names: Vec<&str> = workers.map(|worker| worker.owner.as_str()).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// The worker that `name` means and that can take `account`.
fn find<'a>(workers: &'a [Worker], account: &Account, name: &str) -> Result<&'a Worker, Refusal> {
    let able = |worker: &&Worker| obstacle(worker, account).is_none();
    let could = || names(workers.iter().filter(able));
    let named: Vec<&Worker> = workers
        .iter()
        .filter(|worker| worker.owner.is_called(name))
        .collect();
    let fitting: Vec<&Worker> = named.iter().copied().filter(able).collect();
    match (fitting.as_slice(), named.as_slice()) {
        ([worker], _) => Ok(worker),
        ([], []) => Err(Refusal::Taker(format!(
            "no living worker is called '{name}'; these could take account '{}': {}",
            account.id,
            could()
        ))),
        ([], [first, ..]) => Err(Refusal::Taker(format!(
            "'{}' does not take account '{}': {}; these could: {}",
            first.owner,
            account.id,
            obstacle(first, account).unwrap_or("it cannot"),
            could()
        ))),
        (several, _) => Err(Refusal::Taker(format!(
            "several living workers are called '{name}': say which one: {}",
            names(several.iter().copied())
        ))),
    }
}
