//! What can be done to jobs.

use crate::cli::CliError;
use crate::cli::confirm::confirm;
use crate::ids::{ConversationId, JobId};
use crate::store::{JobSelection, Outcome, Store};

const ACTOR: &str = "operator";

pub(super) async fn retry(store: &Store, which: JobSelection) -> Result<(), CliError> {
    if let JobSelection::One(job) = &which {
        outcome(job, store.retry_job(job, ACTOR).await?, "retried")?;
        put!("Job {} waits for an agent.", job.as_str());
        return Ok(());
    }
    let done = store.retry_jobs(&which, ACTOR).await?;
    put!("{done} dead letters were put at the end of their conversations.");
    Ok(())
}

pub(super) async fn fail(
    store: &Store,
    job: JobId,
    error: (&str, Option<&str>),
    yes: bool,
) -> Result<(), CliError> {
    confirm(yes, &format!("Give job {} up?", job.as_str()))?;
    outcome(
        &job,
        store.fail_job_by_hand(&job, error, ACTOR).await?,
        "failed",
    )?;
    put!(
        "Job {0} is a dead letter; its conversation goes on. `whatsapp-worker jobs retry {0}` replays it.",
        job.as_str()
    );
    Ok(())
}

pub(super) async fn cancel(store: &Store, job: JobId, yes: bool) -> Result<(), CliError> {
    confirm(yes, &format!("Cancel job {} for good?", job.as_str()))?;
    outcome(&job, store.cancel_job(&job, ACTOR).await?, "cancelled")?;
    put!(
        "Job {} is cancelled; its conversation goes on.",
        job.as_str()
    );
    Ok(())
}

pub(super) async fn discard(store: &Store, which: JobSelection, yes: bool) -> Result<(), CliError> {
    confirm(yes, "Take these dead letters off the list for good?")?;
    if let JobSelection::One(job) = &which {
        outcome(job, store.discard_job(job, ACTOR).await?, "discarded")?;
        put!("Job {} is discarded.", job.as_str());
        return Ok(());
    }
    let done = store.discard_jobs(&which, ACTOR).await?;
    put!("{done} dead letters were discarded.");
    Ok(())
}

pub(super) async fn prioritise(
    store: &Store,
    conversation: &ConversationId,
    priority: i64,
) -> Result<(), CliError> {
    if !store
        .set_lane_priority(conversation, priority, ACTOR)
        .await?
    {
        return Err(CliError::Failed(format!(
            "conversation {} has had no jobs: `whatsapp-worker conversations list` shows them",
            conversation.as_str()
        )));
    }
    let said = match priority {
        1 => "before others",
        -1 => "after others",
        _ => "as others",
    };
    put!(
        "Jobs of conversation {} come {said}.",
        conversation.as_str()
    );
    Ok(())
}

fn outcome(job: &JobId, outcome: Outcome, what: &str) -> Result<(), CliError> {
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Missing => Err(missing(job)),
        Outcome::Unfit(status) => Err(CliError::Failed(format!(
            "job {} is {} and cannot be {what}",
            job.as_str(),
            status.as_str()
        ))),
    }
}

pub(super) fn missing(job: &JobId) -> CliError {
    CliError::Failed(format!(
        "there is no job {}: `whatsapp-worker jobs list` shows them",
        job.as_str()
    ))
}
