//! What there is of everything, for graphs: read at a scrape, never by a claim.

use std::collections::HashMap;

use sqlx::{Row, query};

use super::columns::account_id;
use super::{Account, LeaseRow, QueueDepth, Result, SessionStatus, Store};
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

/// The outbox of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxDepth {
    /// Whose.
    pub account: AccountId,
    /// `pending` or `sending`.
    pub status: String,
    /// How many messages.
    pub messages: i64,
    /// How long the oldest of them is there, milliseconds.
    pub oldest_age_ms: i64,
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

    /// What waits to be sent, and what is on its way, of each account that has some.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn outbox_depths(&self) -> Result<Vec<OutboxDepth>> {
        let mut depths = Vec::new();
        // One condition each: every one of them is an index's.
        for status in ["pending", "sending"] {
            let rows = query(self.sql(&format!(
                "SELECT account_id, COUNT(*) AS messages, {{NOW}} - MIN(created_at) AS age
                 FROM outbox WHERE status = '{status}' GROUP BY account_id"
            )))
            .fetch_all(&self.readers)
            .await?;
            for row in rows {
                depths.push(OutboxDepth {
                    account: account_id(&row, "outbox")?,
                    status: status.to_owned(),
                    messages: row.try_get("messages")?,
                    oldest_age_ms: row.try_get("age")?,
                });
            }
        }
        Ok(depths)
    }
}
