//! `workers`: the processes that operate accounts.

use clap::Subcommand;
use serde_json::json;

use super::lease::handing::{LOOK, patience};
use super::table::{print, span};
use super::{CliError, Output, load_config};
use crate::app::existing_store;
use crate::clock::{self, Boot};
use crate::config::Config;
use crate::fleet::handing;
use crate::ids::AccountId;
use crate::store::{Store, Topic};

const ACTOR: &str = "operator";

#[derive(Debug, Subcommand)]
pub(super) enum Workers {
    /// All living workers of the store.
    List,
    /// Have a worker give its accounts to others and take no more, until its end or `undrain`.
    Drain {
        /// Its WORKER_ID, or the owner as `workers list` shows it.
        worker: String,
        /// Do not wait until it is done.
        #[arg(long)]
        no_wait: bool,
    },
    /// Have a drained worker take accounts again.
    Undrain {
        /// Its WORKER_ID, or the owner as `workers list` shows it.
        worker: String,
    },
}

impl Workers {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let config = load_config()?;
        let store = existing_store(&config).await?;
        match self {
            Self::List => list(&store, output).await,
            Self::Drain { worker, no_wait } => drain(&store, &config, &worker, no_wait).await,
            Self::Undrain { worker } => {
                let owner = handing::undrain(&store, &worker, ACTOR).await?;
                put!("'{owner}' takes accounts again.");
                Ok(())
            }
        }
    }
}

/// Asks, and waits until the worker has nothing left that others may take. It gives one account away
/// after another, so the patience begins anew with each.
async fn drain(store: &Store, config: &Config, name: &str, no_wait: bool) -> Result<(), CliError> {
    let mut changes = store.watch(Topic::Fleet);
    let patience = patience(config);
    let mut draining = handing::drain(store, name, ACTOR).await?;
    let owner = draining.owner.clone();
    if no_wait {
        let leaving = draining.leaving.len();
        put!("'{owner}' gives away {leaving} accounts and takes no more.");
        return Ok(());
    }
    let mut begun = Boot::now();
    while !draining.leaving.is_empty() {
        if Boot::now().since(begun) >= patience {
            return Err(CliError::TryLater(format!(
                "'{owner}' gave none of its last {} accounts away within {} s; the wish stays recorded: `whatsapp-worker workers list` tells how it goes",
                draining.leaving.len(),
                patience.as_secs()
            )));
        }
        // Whichever comes first: both only mean that it is worth looking again.
        let _ = tokio::time::timeout(LOOK, changes.next()).await;
        let now = handing::draining(store, owner.clone()).await?;
        if now.leaving != draining.leaving {
            begun = Boot::now();
        }
        draining = now;
    }
    if !draining.staying.is_empty() {
        let staying: Vec<&str> = draining.staying.iter().map(AccountId::as_str).collect();
        return Err(CliError::TryLater(format!(
            "'{owner}' takes no more accounts and keeps those that no other living worker may take: {}. Start another worker, or take it back: whatsapp-worker workers undrain {name}",
            staying.join(", ")
        )));
    }
    put!("'{owner}' holds no account and takes none.");
    Ok(())
}

async fn list(store: &Store, output: Output) -> Result<(), CliError> {
    let leases = store.leases().await?;
    let rows = store.workers().await?.into_iter().map(|worker| {
        let draining = worker.is_draining();
        let told = worker.told;
        let held = leases
            .iter()
            .filter(|row| row.holder() == Some(&told.owner));
        let (age, started) = match output {
            Output::Json => (json!(worker.beat_age_ms), json!(worker.started_at)),
            Output::Table => (
                json!(format!("{} ago", span(worker.beat_age_ms))),
                json!(clock::rfc3339(worker.started_at)),
            ),
        };
        vec![
            json!(told.owner.as_str()),
            json!(held.count()),
            json!(told.capacity),
            json!(told.accounts),
            json!(draining),
            age,
            started,
            json!(told.version),
            json!(told.installation),
        ]
    });
    print(
        output,
        &[
            "ownerId",
            "held",
            "capacity",
            "accounts",
            "draining",
            match output {
                Output::Json => "beatAgeMs",
                Output::Table => "lastBeat",
            },
            "startedAt",
            "version",
            "installation",
        ],
        rows.collect(),
    );
    Ok(())
}
