//! `auth quarantine`: credentials that were taken out of use.

use std::time::Duration;

use auth_store::{inspect, prune};
use clap::Subcommand;
use serde_json::json;

use super::Desk;
use super::custody::Custody;
use crate::cli::confirm::confirm;
use crate::cli::table::print;
use crate::cli::{CliError, Output, chain};
use crate::clock;
use crate::ids::AccountId;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Quarantine {
    /// Each set of credentials that is kept, why and since when.
    List {
        /// The account.
        #[arg(default_value = "default")]
        account: AccountId,
    },
    /// Delete credentials that were taken out of use long enough ago. They cannot be brought back.
    Prune {
        /// The account.
        #[arg(default_value = "default")]
        account: AccountId,
        /// How many days they are kept.
        #[arg(long, default_value_t = 30, value_name = "DAYS")]
        older_than_days: u32,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

impl Quarantine {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        match self {
            Self::List { account } => list(&account, output).await,
            Self::Prune {
                account,
                older_than_days,
                yes,
            } => {
                let age = Duration::from_secs(u64::from(older_than_days) * 24 * 60 * 60);
                delete(&account, age, yes).await
            }
        }
    }
}

async fn list(account: &AccountId, output: Output) -> Result<(), CliError> {
    let desk = Desk::open(account).await?;
    let sealer = desk.sealer(desk.kind())?;
    let seen = match desk.look().await? {
        Some(view) => inspect(&*view, &sealer)
            .await
            .map_err(|error| CliError::Auth(chain(&error)))?,
        None => None,
    };
    let retired = seen.map(|seen| seen.retired).unwrap_or_default();
    let rows = retired.into_iter().map(|kept| {
        vec![
            json!(kept.generation.number()),
            json!(clock::rfc3339(kept.retired_at_ms)),
            json!(kept.reason),
        ]
    });
    print(output, &["generation", "since", "reason"], rows.collect());
    Ok(())
}

async fn delete(account: &AccountId, age: Duration, yes: bool) -> Result<(), CliError> {
    let desk = Desk::open(account).await?;
    desk.must_be_here()?;
    let sealer = desk.sealer(desk.kind())?;
    confirm(
        yes,
        &format!(
            "Delete the credentials of account '{account}' that were taken out of use more than {} days ago?",
            age.as_secs() / (24 * 60 * 60)
        ),
    )?;
    let before =
        clock::wall_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let custody = Custody::take(&desk).await?;
    let pruned = async {
        let medium = custody.open(&desk, desk.kind(), false).await?;
        let pruned = prune(&*medium.records(), &sealer, before).await;
        medium.close().await;
        pruned.map_err(|error| CliError::Auth(chain(&error)))
    };
    let pruned = pruned.await;
    custody.give_back().await;
    put!("{} of account '{account}' were deleted.", pruned?.len());
    Ok(())
}
