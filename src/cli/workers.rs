//! `workers`: the processes that operate accounts.

use clap::Subcommand;
use serde_json::json;

use super::table::{print, span};
use super::{CliError, Output, load_config};
use crate::app::existing_store;

#[derive(Debug, Subcommand)]
pub(super) enum Workers {
    /// All living workers of the store.
    List,
}

impl Workers {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let Self::List = self;
        let store = existing_store(&load_config()?).await?;
        let leases = store.leases().await?;
        let rows = store.workers().await?.into_iter().map(|worker| {
            let held = leases
                .iter()
                .filter(|lease| !lease.is_free() && lease.owner == worker.owner)
                .count();
            let age = match output {
                Output::Json => json!(worker.beat_age_ms),
                Output::Table => json!(format!("{} ago", span(worker.beat_age_ms))),
            };
            vec![
                json!(worker.owner.as_str()),
                json!(held),
                json!(worker.capacity),
                json!(worker.accounts),
                json!(worker.draining),
                age,
                json!(worker.version),
                json!(worker.installation),
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
                "version",
                "installation",
            ],
            rows.collect(),
        );
        Ok(())
    }
}
