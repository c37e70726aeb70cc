//! `accounts`: the numbers that are operated.

use std::collections::HashMap;

use clap::{Args, Subcommand};
use serde_json::json;

use super::confirm::confirm;
use super::table::print;
use super::{CliError, Output, load_config};
use crate::app::{existing_store, open_store};
use crate::ids::{AccountId, OwnerId, mask};
use crate::store::{Account, LeaseRow, Store};

#[derive(Debug, Subcommand)]
pub(super) enum Accounts {
    /// All accounts, with what their sessions are doing.
    List,
    /// Register an account; workers with WHATSAPP_ACCOUNT_ID=* take it up.
    Add {
        /// The new account's id.
        account: AccountId,
    },
    /// Let workers operate an account again.
    Enable {
        /// The account.
        account: AccountId,
    },
    /// Take an account out of operation: its holder finishes what is in flight, closes the connection
    /// and releases the lease. The link stays.
    Disable {
        /// The account.
        account: AccountId,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Give agents no work and send nothing for an account. It stays connected and goes on receiving.
    Pause {
        #[command(flatten)]
        which: Which,
    },
    /// Go on; a connection that waits because of a conflict is tried at once.
    Resume {
        #[command(flatten)]
        which: Which,
    },
}

/// One account, or the switch above all of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// The account.
    account: Option<AccountId>,
    /// Everything at once, whatever is paused or not by itself.
    #[arg(long)]
    all: bool,
}

impl Accounts {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let config = load_config()?;
        let store = match self {
            Self::Add { .. } => open_store(&config).await?,
            _ => existing_store(&config).await?,
        };
        let done = match self {
            Self::List => list(&store, output).await,
            Self::Add { account } => add(&store, &account).await,
            Self::Enable { account } => enable(&store, &account).await,
            Self::Disable { account, yes } => disable(&store, &account, yes).await,
            Self::Pause { which } => match which.account {
                Some(account) => pause(&store, &account).await,
                None => switch(&store, true).await,
            },
            Self::Resume { which } => match which.account {
                Some(account) => resume(&store, &account).await,
                None => switch(&store, false).await,
            },
        };
        // Other processes are told of it before this one ends.
        store.close().await;
        done
    }
}

async fn list(store: &Store, output: Output) -> Result<(), CliError> {
    if store.controls().await?.paused {
        eprintln!("Everything is paused: `whatsapp-worker accounts resume --all` ends that.");
    }
    let leases = store.leases().await?;
    let holders: HashMap<&AccountId, &OwnerId> = leases
        .iter()
        .filter_map(|row| Some((&row.account, row.holder()?)))
        .collect();
    let sessions = store.session_statuses().await?;
    let mut rows = Vec::new();
    for account in store.accounts().await? {
        let session = sessions.get(&account.id);
        rows.push(vec![
            json!(account.id),
            json!(if account.enabled {
                "enabled"
            } else {
                "disabled"
            }),
            json!(account.paused),
            json!(
                account
                    .linked_at
                    .and(account.linked)
                    .map(|jid| mask(jid.user()))
            ),
            json!(holders.get(&account.id).map(|owner| owner.as_str())),
            json!(session.map(|session| &session.state)),
            json!(session.map(|session| &session.detail)),
            json!(account.pause_reason),
        ]);
    }
    print(
        output,
        &[
            "accountId",
            "enabled",
            "paused",
            "number",
            "ownerId",
            "session",
            "detail",
            "pauseReason",
        ],
        rows,
    );
    Ok(())
}

async fn add(store: &Store, account: &AccountId) -> Result<(), CliError> {
    if store.add_account(account, "operator").await? {
        put!("Account '{account}' was added. Link it: whatsapp-worker link --account {account}");
    } else {
        put!("Account '{account}' exists already.");
    }
    Ok(())
}

async fn enable(store: &Store, account: &AccountId) -> Result<(), CliError> {
    must_exist(store, account).await?;
    if store.set_enabled(account, true, "operator").await? {
        put!("Account '{account}' is enabled: a worker takes it up.");
    } else {
        put!("Account '{account}' is enabled already.");
    }
    Ok(())
}

async fn disable(store: &Store, account: &AccountId, yes: bool) -> Result<(), CliError> {
    must_exist(store, account).await?;
    confirm(
        yes,
        &format!("Disconnect account '{account}' and receive nothing until it is enabled?"),
    )?;
    if !store.set_enabled(account, false, "operator").await? {
        put!("Account '{account}' is disabled already.");
        return Ok(());
    }
    let row = store.lease(account).await?;
    match row.as_ref().and_then(LeaseRow::holder) {
        Some(holder) => {
            put!("Account '{account}' is disabled: '{holder}' drains and releases it.");
        }
        None => put!("Account '{account}' is disabled; nobody operates it."),
    }
    Ok(())
}

async fn pause(store: &Store, account: &AccountId) -> Result<(), CliError> {
    must_exist(store, account).await?;
    if store.set_paused(account, true, "operator").await? {
        put!("Account '{account}' is paused: it sends nothing and goes on receiving.");
    } else {
        put!("Account '{account}' is paused already.");
    }
    Ok(())
}

async fn resume(store: &Store, account: &AccountId) -> Result<(), CliError> {
    let before = must_exist(store, account).await?;
    store.set_paused(account, false, "operator").await?;
    if before.paused {
        put!("Account '{account}' sends again.");
    } else {
        put!("Account '{account}' was not paused; a connection that waits is tried now.");
    }
    Ok(())
}

async fn switch(store: &Store, pause: bool) -> Result<(), CliError> {
    let turned = store.pause_everything(pause, "operator").await?;
    match (pause, turned) {
        (true, true) => put!(
            "Everything is paused: agents get no work and nothing is sent, for any account. Receiving goes on."
        ),
        (true, false) => put!("Everything is paused already."),
        (false, true) => {
            put!("Everything goes on, but for accounts that are paused by themselves.")
        }
        (false, false) => put!("Everything was not paused; `accounts list` shows what is."),
    }
    Ok(())
}

async fn must_exist(store: &Store, account: &AccountId) -> Result<Account, CliError> {
    store.account(account).await?.ok_or_else(|| {
        CliError::Failed(format!(
            "there is no account '{account}': `whatsapp-worker accounts list` shows them, `accounts add {account}` adds it"
        ))
    })
}
