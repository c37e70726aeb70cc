//! `accounts`: the numbers that are operated.

use clap::Subcommand;
use serde_json::json;

use super::table::print;
use super::{CliError, Output, load_config};
use crate::app::{existing_store, open_store};
use crate::ids::{AccountId, mask};

#[derive(Debug, Subcommand)]
pub(super) enum Accounts {
    /// All accounts, with what their sessions are doing.
    List,
    /// Register an account; workers with WHATSAPP_ACCOUNT_ID=* take it up.
    Add {
        /// The new account's id.
        account: AccountId,
    },
}

impl Accounts {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let config = load_config()?;
        let store = match self {
            Self::Add { .. } => open_store(&config).await?,
            Self::List => existing_store(&config).await?,
        };
        match self {
            Self::Add { account } => {
                if store.add_account(&account, "operator").await? {
                    put!(
                        "Account '{account}' was added. Link it: whatsapp-worker link --account {account}"
                    );
                } else {
                    put!("Account '{account}' exists already.");
                }
                Ok(())
            }
            Self::List => {
                let mut rows = Vec::new();
                for account in store.accounts().await? {
                    let lease = store.lease(&account.id).await?;
                    let session = store.session_status(&account.id).await?;
                    rows.push(vec![
                        json!(account.id),
                        json!(if account.enabled {
                            "enabled"
                        } else {
                            "disabled"
                        }),
                        json!(
                            account
                                .linked_at
                                .and(account.linked)
                                .map(|jid| mask(jid.user()))
                        ),
                        json!(
                            lease
                                .filter(|row| !row.is_free())
                                .map(|row| row.owner.as_str().to_owned())
                        ),
                        json!(session.as_ref().map(|session| &session.state)),
                        json!(session.as_ref().map(|session| &session.detail)),
                    ]);
                }
                print(
                    output,
                    &[
                        "accountId",
                        "enabled",
                        "number",
                        "ownerId",
                        "session",
                        "detail",
                    ],
                    rows,
                );
                Ok(())
            }
        }
    }
}
