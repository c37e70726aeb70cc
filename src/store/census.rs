//! What there is of everything, for graphs: read at a scrape, never by a claim.

use std::collections::HashMap;

use super::{Account, LeaseRow, OutboxDepth, QueueDepth, Result, SessionStatus, Store};
use crate::ids::AccountId;

/// The store, seen at once; not in one transaction.
#[derive(Clone, Debug)]
pub struct Census {
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Who holds them.
    pub leases: Vec<LeaseRow>,
    /// What their sessions do.
    pub sessions: HashMap<AccountId, SessionStatus>,
    /// Work for agents.
    pub queues: Vec<QueueDepth>,
    /// Messages to be sent.
    pub outboxes: Vec<OutboxDepth>,
}

impl Store {
    /// Counts.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn census(&self) -> Result<Census> {
        Ok(Census {
            accounts: self.accounts().await?,
            leases: self.leases().await?,
            sessions: self.session_statuses().await?,
            queues: self.queue_depths().await?,
            outboxes: self.outbox_depths().await?,
        })
    }
}
