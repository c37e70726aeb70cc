//! `media`: files behind messages.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::table::print_one;
use super::{CliError, Output, chain, load_config};
use crate::app::existing_store;
use crate::ids::JobId;
use crate::inbound::message::Content;
use crate::session::endpoint::Network;
use crate::session::http::WebClient;
use crate::session::media::{MediaKind, MediaStore};

#[derive(Debug, Subcommand)]
pub(super) enum Media {
    /// Download, decrypt and check the file of a job's message.
    Get {
        /// The job.
        job: String,
        /// Where to put it; replaced only when everything was right.
        #[arg(long)]
        out: PathBuf,
    },
}

impl Media {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let Self::Get { job, out } = self;
        let config = load_config()?;
        let store = existing_store(&config).await?;
        let id = JobId(job);
        let Some(job) = store.job(&id).await? else {
            return Err(CliError::Failed(format!("there is no job {}", id.as_str())));
        };
        let content: Content = serde_json::from_value(job.content).map_err(|error| {
            CliError::Failed(format!("the job's content cannot be read: {error}"))
        })?;
        let Some((kind, media)) = MediaKind::of(&content) else {
            return Err(CliError::Failed(format!(
                "job {} has no file: it is {}",
                id.as_str(),
                job.job.summary
            )));
        };
        let network =
            Network::new(config.network).map_err(|error| CliError::Config(error.to_string()))?;
        let http = WebClient::new(&network).map_err(|error| CliError::Config(error.to_string()))?;
        let size = MediaStore::new(http, &network)
            .download(media, kind, &out)
            .await
            .map_err(|error| CliError::Failed(chain(&error)))?;
        print_one(
            output,
            vec![
                ("file", json!(out.display().to_string())),
                ("bytes", json!(size)),
                ("sha256", json!(media.sha256.to_string())),
            ],
        );
        Ok(())
    }
}
