//! What can be seen of the queue.

use serde_json::{Value, json};

use crate::cli::table::{print, span};
use crate::cli::{CliError, Output};
use crate::ids::{AccountId, JobId};
use crate::store::{DeadFilter, Job, JobFilter, PageCursor, Store};

pub(super) async fn list(
    store: &Store,
    output: Output,
    filter: &JobFilter,
) -> Result<(), CliError> {
    must_exist(store, filter.account.as_ref()).await?;
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

pub(super) async fn show(store: &Store, id: JobId) -> Result<(), CliError> {
    let Some(job) = store.job(&id).await? else {
        return Err(super::acts::missing(&id));
    };
    let text = serde_json::to_string_pretty(&job).expect("a job has string keys");
    put!("{text}");
    Ok(())
}

pub(super) async fn queues(store: &Store, output: Output) -> Result<(), CliError> {
    let controls = store.controls().await?;
    if controls.paused {
        eprintln!("Everything is paused: `whatsapp-worker accounts resume --all` ends that.");
    }
    let oldest = |age: Option<i64>| match (output, age) {
        (Output::Table, Some(age)) => json!(span(age)),
        (_, age) => json!(age),
    };
    let rows: Vec<Vec<Value>> = store
        .queue_depths()
        .await?
        .into_iter()
        .map(|depth| {
            vec![
                json!(depth.account_id),
                json!(depth.pending),
                json!(depth.processing),
                json!(depth.dead),
                oldest(depth.oldest_age_ms),
            ]
        })
        .collect();
    print(
        output,
        &["accountId", "pending", "processing", "dead", "oldestAgeMs"],
        rows,
    );
    Ok(())
}

pub(super) async fn discarded(
    store: &Store,
    output: Output,
    filter: &DeadFilter,
    cursor: Option<PageCursor>,
) -> Result<(), CliError> {
    must_exist(store, filter.account.as_ref()).await?;
    let page = store.dead_letters(filter, cursor.as_ref()).await?;
    let next = page.next.map(|next| next.to_string());
    if output == Output::Json {
        put!("{}", json!({"jobs": page.rows, "next": next}));
        return Ok(());
    }
    let now = store.now_ms().await?;
    let row = |job: &Job| {
        vec![
            json!(job.job_id),
            json!(job.account_id),
            json!(job.error_reason),
            json!(job.attempt_count),
            json!(format!(
                "{} ago",
                span(now - job.finished_at.unwrap_or(now))
            )),
            json!(job.error_message),
        ]
    };
    print(
        output,
        &[
            "jobId",
            "accountId",
            "errorReason",
            "attempts",
            "failed",
            "errorMessage",
        ],
        page.rows.iter().map(row).collect(),
    );
    if let Some(next) = next {
        eprintln!("There are more: --cursor {next}");
    }
    Ok(())
}

async fn must_exist(store: &Store, account: Option<&AccountId>) -> Result<(), CliError> {
    if let Some(account) = account
        && store.account(account).await?.is_none()
    {
        return Err(CliError::Failed(format!(
            "there is no account '{account}': `whatsapp-worker accounts list` shows them"
        )));
    }
    Ok(())
}
