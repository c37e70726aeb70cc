//! The one transaction that makes a message ours: fence, dedupe, conversation, lane, job.

mod awaited;
mod commit;
pub(super) mod conversation;

use sqlx::query;

use self::commit::{Commit, NewJob, settle_what_arrived};
use super::{Fence, Result, Store, Topic, stored};
use crate::ids::{AccountId, ConversationId, JobId};
use crate::inbound::disposition::Disposition;
use crate::inbound::identity::Identity;
use crate::inbound::message::{Chat, Inbound};

/// A message together with what was decided about it.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The message.
    pub inbound: Inbound,
    /// What it is told apart by.
    pub identity: Identity,
    /// What becomes of it.
    pub disposition: Disposition,
    /// One line without content.
    pub summary: String,
}

/// What the commit did with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A job waits for the agents.
    Queued {
        /// The job.
        job: JobId,
        /// Its lane.
        conversation: ConversationId,
        /// The message was asked for again before and has come.
        recovered: bool,
    },
    /// A job that nobody works on, for people to look at.
    Failed {
        /// The job.
        job: JobId,
        /// Its lane.
        conversation: ConversationId,
    },
    /// Kept without a job.
    Recorded,
    /// Only noted.
    Ignored,
    /// Was here before; nothing was written.
    Duplicate,
    /// It is not here yet, and its place is kept.
    Awaited,
}

impl Store {
    /// Commits `arrivals` in their order, all or none. When this returns `Ok` they are durable and
    /// may be acknowledged; running it again with the same messages writes nothing.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`]: nothing was written, step down. [`super::StoreError::Unavailable`]: unknown,
    /// run it again.
    pub async fn accept_inbound(
        &self,
        fence: &Fence,
        arrivals: &[Arrival],
    ) -> Result<Vec<Accepted>> {
        let mut tx = self.begin_fenced(fence).await?;
        let mut commit = Commit::begin(&mut tx, fence).await?;
        let mut results = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            results.push(commit.accept(&mut tx, arrival).await?);
        }
        let work = commit.wake_lanes(&mut tx).await?;
        tx.commit().await?;
        if work {
            self.tell(Topic::Jobs);
        }
        Ok(results)
    }

    /// The results of the dedupe rows of a message id: empty when it never reached the inbox, more
    /// than one when several senders made the same id.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn inbox_results(
        &self,
        account: &AccountId,
        message_id: &str,
    ) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(
            "SELECT result FROM inbox WHERE account_id = $1 AND message_id = $2 ORDER BY key",
        )
        .bind(account.as_str())
        .bind(stored(message_id))
        .fetch_all(&self.readers)
        .await?)
    }

    /// Gives up on a message whose content never came: a failed job tells people about it, and a
    /// later arrival of the content is a job of its own. `false`: it was settled meanwhile.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`], [`super::StoreError::Unavailable`].
    pub async fn give_up_missing(
        &self,
        fence: &Fence,
        missing: &super::MissingMessage,
        chat: &Chat,
        reason: &str,
    ) -> Result<bool> {
        let mut tx = self.begin_fenced(fence).await?;
        settle_what_arrived(&mut tx, fence).await?;
        let settled = query(
            "UPDATE missing SET outcome = 'given_up' WHERE account_id = $1 AND chat = $2
             AND sender = $3 AND message_id = $4 AND outcome IS NULL",
        )
        .bind(fence.account().as_str())
        .bind(&missing.chat)
        .bind(&missing.sender)
        .bind(&missing.message_id)
        .execute(&mut tx)
        .await?;
        if settled.rows_affected() == 0 {
            tx.commit().await?;
            return Ok(false);
        }
        let mut commit = Commit::begin(&mut tx, fence).await?;
        let placeholder = Inbound::placeholder(&missing.message_id, chat.clone());
        let conversation = commit.conversation(&mut tx, &placeholder).await?;
        let kind = missing.kind.as_str();
        let job = NewJob {
            kind,
            key: &missing.message_id,
            summary: kind,
            failed: Some((kind, reason)),
            order: None,
        };
        commit.insert_job(&mut tx, &conversation, job).await?;
        tx.commit().await?;
        Ok(true)
    }
}
