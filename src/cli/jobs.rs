//! `jobs`: the agent queue, to look at.

use clap::Subcommand;
use serde_json::json;

use super::table::{print, span};
use super::{CliError, Output, load_config};
use crate::app::existing_store;
use crate::ids::{AccountId, JobId};
use crate::store::{Job, JobFilter, JobStatus, Store};

#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// The newest jobs.
    List {
        /// Only this account's.
        #[arg(long)]
        account: Option<AccountId>,
        /// Only pending, processing, completed or failed ones.
        #[arg(long)]
        status: Option<JobStatus>,
        /// At most so many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
    },
    /// One job with its message, as an agent gets it.
    Show {
        /// The job.
        job: String,
    },
}

impl Jobs {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let store = existing_store(&load_config()?).await?;
        match self {
            Self::List {
                account,
                status,
                limit,
            } => {
                let filter = JobFilter {
                    account,
                    status,
                    limit,
                };
                list(&store, output, &filter).await
            }
            Self::Show { job } => show(&store, JobId(job)).await,
        }
    }
}

async fn list(store: &Store, output: Output, filter: &JobFilter) -> Result<(), CliError> {
    if let Some(account) = &filter.account
        && store.account(account).await?.is_none()
    {
        return Err(CliError::Failed(format!(
            "there is no account '{account}': `whatsapp-worker accounts list` shows them"
        )));
    }
    let jobs = store.jobs(filter).await?;
    if output == Output::Json {
        put!("{}", json!(jobs));
        return Ok(());
    }
    let now = store.now_ms().await?;
    let row = |job: &Job| {
        vec![
            json!(job.job_id),
            json!(job.account_id),
            json!(job.status.as_str()),
            json!(job.kind),
            json!(job.channel_message_id),
            json!(format!("{} ago", span(now - job.created_at))),
            json!(job.summary),
        ]
    };
    print(
        output,
        &[
            "jobId",
            "accountId",
            "status",
            "kind",
            "messageId",
            "created",
            "summary",
        ],
        jobs.iter().map(row).collect(),
    );
    Ok(())
}

async fn show(store: &Store, id: JobId) -> Result<(), CliError> {
    let Some(job) = store.job(&id).await? else {
        return Err(CliError::Failed(format!(
            "there is no job {}: `whatsapp-worker jobs list` shows them",
            id.as_str()
        )));
    };
    let text = serde_json::to_string_pretty(&job).expect("a job has string keys");
    put!("{text}");
    Ok(())
}
