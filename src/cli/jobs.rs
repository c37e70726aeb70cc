//! `jobs`: the agent queue.

mod acts;
mod looks;

use clap::{Args, Subcommand};

use super::{CliError, Output, load_config};
use crate::app::existing_store;
use crate::ids::{AccountId, ConversationId, JobId};
use crate::store::{DeadFilter, JobFilter, JobSelection, JobStatus, PageCursor};

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
    /// How much waits, is worked on, and was given up, for each account.
    Queues,
    /// The dead letters: jobs that were given up, the newest first.
    Discarded {
        /// Only this account's.
        #[arg(long)]
        account: Option<AccountId>,
        /// Only those that failed for this reason.
        #[arg(long)]
        reason: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
        /// Where the page before ended, as it said.
        #[arg(long)]
        cursor: Option<PageCursor>,
    },
    /// Have a job tried again: a dead letter at the end of its conversation, a claimed or waiting job
    /// at once, whatever its agent does.
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Give a pending or claimed job up: it becomes a dead letter, and its conversation goes on.
    Fail {
        /// The job.
        job: String,
        /// Why, as a code.
        #[arg(long, default_value = "manual_fail")]
        reason: String,
        /// Why, in words.
        #[arg(long)]
        message: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Cancel a pending or claimed job: nobody works on it, and it is no dead letter.
    Cancel {
        /// The job.
        job: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Take dead letters off the list for good.
    Discard {
        #[command(flatten)]
        which: Which,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Have a conversation's jobs come before others, or after them.
    Priority {
        /// The conversation.
        conversation: String,
        /// -1 low, 0 normal, 1 high.
        #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..=1))]
        priority: i64,
    },
}

/// One job, or dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Which {
    /// The job.
    #[arg(conflicts_with_all = ["all", "account", "reason", "kind"])]
    job: Option<String>,
    /// All dead letters.
    #[arg(long, conflicts_with_all = ["account", "reason", "kind"])]
    all: bool,
    /// Dead letters of this account.
    #[arg(long)]
    account: Option<AccountId>,
    /// Dead letters that failed for this reason.
    #[arg(long)]
    reason: Option<String>,
    /// Dead letters of this kind: message, undecryptable or lost.
    #[arg(long)]
    kind: Option<String>,
}

impl From<Which> for JobSelection {
    fn from(which: Which) -> Self {
        match which {
            Which { job: Some(job), .. } => Self::One(JobId(job)),
            Which { all: true, .. } => Self::All,
            Which {
                account,
                reason,
                kind,
                ..
            } => Self::Where {
                account,
                reason,
                kind,
            },
        }
    }
}

impl Jobs {
    pub(super) async fn run(self, output: Output) -> Result<(), CliError> {
        let store = existing_store(&load_config()?).await?;
        let done = match self {
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
                looks::list(&store, output, &filter).await
            }
            Self::Show { job } => looks::show(&store, JobId(job)).await,
            Self::Queues => looks::queues(&store, output).await,
            Self::Discarded {
                account,
                reason,
                limit,
                cursor,
            } => {
                let filter = DeadFilter {
                    account,
                    reason,
                    limit,
                };
                looks::discarded(&store, output, &filter, cursor).await
            }
            Self::Retry { which } => acts::retry(&store, which.into()).await,
            Self::Fail {
                job,
                reason,
                message,
                yes,
            } => acts::fail(&store, JobId(job), (&reason, message.as_deref()), yes).await,
            Self::Cancel { job, yes } => acts::cancel(&store, JobId(job), yes).await,
            Self::Discard { which, yes } => acts::discard(&store, which.into(), yes).await,
            Self::Priority {
                conversation,
                priority,
            } => acts::prioritise(&store, &ConversationId(conversation), priority).await,
        };
        // Other processes are told of it before this one ends.
        store.close().await;
        done
    }
}
