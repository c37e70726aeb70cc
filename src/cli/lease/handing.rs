//! Giving an account to somebody else, and taking it away.

use std::time::Duration;

use super::span;
use crate::cli::CliError;
use crate::cli::confirm::confirm;
use crate::clock::Boot;
use crate::config::Config;
use crate::fleet::share::Worker;
use crate::ids::{AccountId, OwnerId};
use crate::store::{Account, LeaseRow, Store, Topic};

/// The store is looked at again at least this often.
const LOOK: Duration = Duration::from_millis(500);
/// How long a released account may take to find its next holder before it counts as free.
const TAKEN: Duration = Duration::from_secs(2);
/// On top of the time that a drain and a lease may take.
const SLACK: Duration = Duration::from_secs(5);

/// Records `to` as the successor, and waits until it has the account.
pub(super) async fn transfer(
    store: &Store,
    config: &Config,
    account: &AccountId,
    to: &str,
    no_wait: bool,
) -> Result<(), CliError> {
    let (row, known) = look(store, account).await?;
    if !known.enabled {
        return Err(CliError::Failed(format!(
            "account '{account}' is disabled: no worker takes it; `whatsapp-worker accounts enable {account}`"
        )));
    }
    if let Some(holder) = row.holder().filter(|holder| holder.is_called(to)) {
        put!("Account '{account}' is with '{holder}' already.");
        return Ok(());
    }
    let workers = living(store).await?;
    let taker = find(&workers, &known, to)?;
    let leases = store.leases().await?;
    let held = leases
        .iter()
        .filter(|row| row.holder() == Some(&taker.owner));
    let held = held.count();
    if held >= taker.capacity as usize {
        return Err(CliError::Failed(format!(
            "'{}' holds {held} accounts and its WORKER_CAPACITY is {}: it takes no more",
            taker.owner, taker.capacity
        )));
    }
    store
        .transfer_lease(account, taker.owner.as_str(), "operator")
        .await?;
    if no_wait {
        put!("Account '{account}' goes to '{}'.", taker.owner);
        return Ok(());
    }
    let new = wait(store, config, &row, None).await?;
    if new.owner == taker.owner {
        put!(
            "Account '{account}' is with '{}' now (epoch {}).",
            new.owner,
            new.epoch
        );
        return Ok(());
    }
    Err(CliError::TryLater(format!(
        "'{}' was faster than '{}' and has account '{account}' now (epoch {}): try again",
        new.owner, taker.owner, new.epoch
    )))
}

/// Has the living holder release the account to anybody else.
pub(super) async fn release(
    store: &Store,
    config: &Config,
    account: &AccountId,
    no_wait: bool,
) -> Result<(), CliError> {
    let (row, known) = look(store, account).await?;
    if row.is_free() {
        put!("The lease of account '{account}' is free already.");
        return Ok(());
    }
    let workers = living(store).await?;
    if !workers.iter().any(|worker| worker.owner == row.owner) {
        return Err(CliError::TryLater(format!(
            "account '{account}' is held by '{}', which is no living worker and cannot be asked (dead, frozen, or a `link` command): the lease ends in {}; --force takes it away now",
            row.owner,
            span(row.remaining_ms)
        )));
    }
    let others = workers
        .iter()
        .any(|worker| worker.owner != row.owner && obstacle(worker, &known).is_none());
    if !others && known.enabled {
        eprintln!(
            "No other living worker can take account '{account}': '{}' will take it again. To keep it offline: whatsapp-worker accounts disable {account}",
            row.owner
        );
    }
    store.transfer_lease(account, "", "operator").await?;
    if no_wait {
        put!("'{}' was asked to release account '{account}'.", row.owner);
        return Ok(());
    }
    let new = wait(store, config, &row, Some(TAKEN)).await?;
    if new.is_free() {
        put!("'{}' released account '{account}'; it is free.", row.owner);
    } else {
        put!(
            "'{}' released account '{account}'; '{}' has it now (epoch {}).",
            row.owner,
            new.owner,
            new.epoch
        );
    }
    Ok(())
}

/// Takes the lease from its holder, alive or not.
pub(super) async fn take_away(
    store: &Store,
    account: &AccountId,
    yes: bool,
) -> Result<(), CliError> {
    let (row, _) = look(store, account).await?;
    if row.is_free() {
        put!("The lease of account '{account}' is free already.");
        return Ok(());
    }
    confirm(
        yes,
        &format!(
            "Take account '{account}' away from '{}', which loses what it has in flight?",
            row.owner
        ),
    )?;
    let epoch = store.force_release_lease(account, "operator").await?;
    put!(
        "The lease of account '{account}' was taken from '{}' (epoch {}). It sits out one TTL; any standby may acquire.",
        row.owner,
        epoch.map_or_else(|| "?".to_owned(), |epoch| epoch.to_string())
    );
    Ok(())
}

async fn look(store: &Store, account: &AccountId) -> Result<(LeaseRow, Account), CliError> {
    let missing = || {
        CliError::Failed(format!(
            "there is no account '{account}': `whatsapp-worker accounts list` shows them"
        ))
    };
    let known = store.account(account).await?.ok_or_else(missing)?;
    let row = store.lease(account).await?.ok_or_else(|| {
        CliError::Failed(format!(
            "account '{account}' never had a lease: no worker has operated it yet"
        ))
    })?;
    Ok((row, known))
}

/// Waits for the next holder. With `free`, a lease that stays free for that long is an answer too.
async fn wait(
    store: &Store,
    config: &Config,
    before: &LeaseRow,
    free: Option<Duration>,
) -> Result<LeaseRow, CliError> {
    let mut changes = store.watch(Topic::Fleet);
    let patience = config.shutdown_grace + config.lease.ttl() + SLACK;
    let begun = Boot::now();
    let mut free_since = None;
    while Boot::now().since(begun) < patience {
        if let Some(row) = store.lease(&before.account).await? {
            if row.is_free() {
                let since = *free_since.get_or_insert_with(Boot::now);
                if free.is_some_and(|enough| Boot::now().since(since) >= enough) {
                    return Ok(row);
                }
            } else if row.epoch != before.epoch {
                return Ok(row);
            }
        }
        // Whichever comes first: both only mean that it is worth looking again.
        let _ = tokio::time::timeout(LOOK, changes.next()).await;
    }
    Err(CliError::TryLater(format!(
        "account '{}' was not handed over within {} s; the wish stays recorded: `whatsapp-worker lease show {}` tells how it goes",
        before.account,
        patience.as_secs(),
        before.account
    )))
}

async fn living(store: &Store) -> Result<Vec<Worker>, CliError> {
    let rows = store.workers().await?;
    Ok(rows.into_iter().map(|row| row.told.into()).collect())
}

/// Why `worker` would not take the account.
fn obstacle(worker: &Worker, account: &Account) -> Option<&'static str> {
    if worker.draining {
        Some("it is shutting down")
    } else if !worker.wants.include(&account.id) {
        Some("its WHATSAPP_ACCOUNT_ID does not name the account")
    } else if !worker.is_at_home(account.auth_home.as_deref()) {
        Some("the account's local auth state is on another installation")
    } else {
        None
    }
}

/// The worker that `name` means.
fn find<'a>(workers: &'a [Worker], account: &Account, name: &str) -> Result<&'a Worker, CliError> {
    let able = |worker: &&Worker| obstacle(worker, account).is_none();
    let told = |owners: Vec<&OwnerId>| {
        if owners.is_empty() {
            "none".to_owned()
        } else {
            let names: Vec<&str> = owners.iter().map(|owner| owner.as_str()).collect();
            names.join(", ")
        }
    };
    let could = || {
        told(
            workers
                .iter()
                .filter(able)
                .map(|worker| &worker.owner)
                .collect(),
        )
    };
    let named: Vec<&Worker> = workers
        .iter()
        .filter(|worker| worker.owner.is_called(name))
        .collect();
    let fitting: Vec<&Worker> = named.iter().copied().filter(able).collect();
    match (fitting.as_slice(), named.as_slice()) {
        ([worker], _) => Ok(worker),
        ([], []) => Err(CliError::Failed(format!(
            "no living worker is called '{name}'; these could take account '{}': {}",
            account.id,
            could()
        ))),
        ([], [first, ..]) => Err(CliError::Failed(format!(
            "'{}' does not take account '{}': {}; these could: {}",
            first.owner,
            account.id,
            obstacle(first, account).unwrap_or("it cannot"),
            could()
        ))),
        (several, _) => Err(CliError::Failed(format!(
            "several living workers are called '{name}': say which one: {}",
            told(several.iter().map(|worker| &worker.owner).collect())
        ))),
    }
}
