//! `auth clear`, `auth accept-rollback`: asked of whoever holds the account.

use std::time::Duration;

use clap::Args;

use super::Desk;
use crate::cli::CliError;
use crate::cli::confirm::confirm;
use crate::clock::Boot;
use crate::ids::AccountId;
use crate::store::{AuthOrder, Topic};

/// How often the store is asked whether it is done, when it does not tell by itself.
const LOOK: Duration = Duration::from_millis(250);
/// How long a holder may take; it looks every two seconds.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(in crate::cli) struct Order {
    /// The account.
    #[arg(default_value = "default")]
    account: AccountId,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Do not wait until it is done.
    #[arg(long)]
    no_wait: bool,
}

impl Order {
    pub(super) async fn run(self, order: AuthOrder) -> Result<(), CliError> {
        let account = &self.account;
        let desk = Desk::open(account).await?;
        let question = match order {
            AuthOrder::Clear => {
                format!("Log account '{account}' out and put its credentials into quarantine?")
            }
            AuthOrder::AcceptRollback => format!(
                "Go on with the older auth state of account '{account}'? All its Signal sessions begin anew, and messages of the time between may stay unreadable."
            ),
        };
        confirm(self.yes, &question)?;
        desk.store.order_auth(account, order, "operator").await?;
        if self.no_wait {
            put!("Asked of whoever operates account '{account}'.");
            return Ok(());
        }
        let held = desk.store.lease(account).await?;
        let held = held.is_some_and(|row| !row.is_free());
        if !held {
            put!(
                "Nobody operates account '{account}' now: the next worker that takes it does this first."
            );
            return Ok(());
        }
        if !done(&desk).await? {
            return Err(CliError::TryLater(format!(
                "account '{account}': not done within {} s; it stays asked for, and `whatsapp-worker accounts list` tells how the session is",
                PATIENCE.as_secs()
            )));
        }
        match order {
            AuthOrder::Clear => put!(
                "The credentials of account '{account}' are in quarantine. `whatsapp-worker link --account {account}` shows the code to link it again."
            ),
            AuthOrder::AcceptRollback => put!(
                "Account '{account}' goes on with the auth state as it is; its Signal sessions begin anew."
            ),
        }
        Ok(())
    }
}

async fn done(desk: &Desk) -> Result<bool, CliError> {
    let begun = Boot::now();
    let mut changes = desk.store.watch(Topic::Fleet);
    while Boot::now().since(begun) < PATIENCE {
        if desk.store.auth_order(&desk.account).await?.is_none() {
            return Ok(true);
        }
        // Whichever comes first: both only mean that it is worth looking again.
        let _ = tokio::time::timeout(LOOK, changes.next()).await;
    }
    Ok(false)
}
