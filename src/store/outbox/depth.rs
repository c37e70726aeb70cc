//! How much waits to be sent. This counts: it is for people and graphs, and no claim does it.

use std::collections::BTreeMap;

use sqlx::{Row, query};

use crate::ids::AccountId;
use crate::store::columns::account_id;
use crate::store::{Result, Store};

/// The outbox of one account.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxDepth {
    /// Whose.
    pub account_id: AccountId,
    /// Messages that wait.
    pub pending: i64,
    /// Messages that are being sent.
    pub sending: i64,
    /// How long the oldest of them is there, milliseconds.
    pub oldest_age_ms: i64,
}

impl Store {
    /// The outbox of each account in which something waits, by account.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn outbox_depths(&self) -> Result<Vec<OutboxDepth>> {
        let mut depths = BTreeMap::new();
        // One condition each: every one of them is an index's.
        for status in ["pending", "sending"] {
            let rows = query(self.sql(&format!(
                "SELECT account_id, COUNT(*) AS messages, {{NOW}} - MIN(created_at) AS age
                 FROM outbox WHERE status = '{status}' GROUP BY account_id"
            )))
            .fetch_all(&self.readers)
            .await?;
            for row in rows {
                let account = account_id(&row, "outbox")?;
                let depth = depths.entry(account.clone()).or_insert(OutboxDepth {
                    account_id: account,
                    pending: 0,
                    sending: 0,
                    oldest_age_ms: 0,
                });
                match status {
                    "pending" => depth.pending = row.try_get("messages")?,
                    _ => depth.sending = row.try_get("messages")?,
                }
                depth.oldest_age_ms = depth.oldest_age_ms.max(row.try_get("age")?);
            }
        }
        Ok(depths.into_values().collect())
    }
}
