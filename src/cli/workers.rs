//! `workers`: the processes that operate accounts.

use clap::Subcommand;
use serde_json::json;

use super::table::{print, span};
use super::{CliError, Output, load_config};
use crate::app::existing_store;
use crate::clock;

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
                json!(told.draining),
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
}
