//! Giving an account to somebody else, and taking it away.

use std::time::Duration;

use crate::cli::CliError;
use crate::cli::confirm::confirm;
use crate::clock::Boot;
use crate::config::Config;
use crate::fleet::handing::{self, Refusal, Release, Transfer};
use crate::ids::AccountId;
use crate::store::{LeaseRow, Store, Topic};

/// The store is looked at again at least this often.
pub(in crate::cli) const LOOK: Duration = Duration::from_millis(500);
/// How long a released account may take to find its next holder before it counts as free.
const TAKEN: Duration = Duration::from_secs(2);
/// On top of the time that a drain and a lease may take.
const SLACK: Duration = Duration::from_secs(5);

const ACTOR: &str = "operator";

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing(text) | Refusal::Taker(text) => Self::Failed(text),
            Refusal::Silent(text) => Self::TryLater(format!("{text}; --force takes it away now")),
            Refusal::Store(error) => error.into(),
        }
    }
}

/// Records `to` as the successor, and waits until it has the account.
pub(super) async fn transfer(
    store: &Store,
    config: &Config,
    account: &AccountId,
    to: &str,
    no_wait: bool,
) -> Result<(), CliError> {
    let (before, taker) = match handing::transfer(store, account, to, ACTOR).await? {
        Transfer::There(holder) => {
            put!("Account '{account}' is with '{holder}' already.");
            return Ok(());
        }
        Transfer::Asked { before, taker } => (before, taker),
    };
    if no_wait {
        put!("Account '{account}' goes to '{taker}'.");
        return Ok(());
    }
    let new = wait(store, config, &before, None).await?;
    if new.owner == taker {
        put!(
            "Account '{account}' is with '{}' now (epoch {}).",
            new.owner,
            new.epoch
        );
        return Ok(());
    }
    Err(CliError::TryLater(format!(
        "'{}' was faster than '{taker}' and has account '{account}' now (epoch {}): try again",
        new.owner, new.epoch
    )))
}

/// Has the living holder release the account to anybody else.
pub(super) async fn release(
    store: &Store,
    config: &Config,
    account: &AccountId,
    no_wait: bool,
) -> Result<(), CliError> {
    let row = match handing::release(store, account, ACTOR).await? {
        Release::Free => {
            put!("The lease of account '{account}' is free already.");
            return Ok(());
        }
        Release::Asked { before, alone } => {
            if alone {
                eprintln!(
                    "No other living worker can take account '{account}': '{}' will take it again. To keep it offline: whatsapp-worker accounts disable {account}",
                    before.owner
                );
            }
            before
        }
    };
    if no_wait {
        put!("'{}' was asked to release account '{account}'.", row.owner);
        return Ok(());
    }
    let new = wait(store, config, &row, Some(TAKEN)).await?;
    if !new.is_free() {
        put!(
            "Account '{account}' went from '{}' to '{}' (epoch {}).",
            row.owner,
            new.owner,
            new.epoch
        );
    } else if new.was_released() {
        put!("'{}' released account '{account}'; it is free.", row.owner);
    } else {
        put!(
            "The lease of '{}' on account '{account}' ran out unreleased; the account is free.",
            row.owner
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
    let (row, _) = handing::look(store, account).await?;
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
    match handing::take_away(store, account, ACTOR).await? {
        Some(epoch) => put!(
            "The lease of account '{account}' was taken from '{}' (epoch {epoch}). It sits out one TTL; any standby may acquire.",
            row.owner
        ),
        None => put!("The lease of account '{account}' is free already."),
    }
    Ok(())
}

/// How long an account may take from one worker to the next.
pub(in crate::cli) fn patience(config: &Config) -> Duration {
    config.shutdown_grace + config.lease.ttl() + SLACK
}

/// Waits for the next holder. With `free`, a lease that stays free for that long is an answer too.
async fn wait(
    store: &Store,
    config: &Config,
    before: &LeaseRow,
    free: Option<Duration>,
) -> Result<LeaseRow, CliError> {
    let mut changes = store.watch(Topic::Fleet);
    let patience = patience(config);
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
