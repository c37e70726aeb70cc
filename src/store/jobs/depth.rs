//! How much work there is. This counts: it is for people and graphs, and no claim does it.

use std::collections::BTreeMap;

use sqlx::{Row, query};

use crate::ids::AccountId;
use crate::store::columns::account_id;
use crate::store::{Result, Store};

/// The queue of one account.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueDepth {
    /// Whose.
    pub account_id: AccountId,
    /// Jobs that wait.
    pub pending: i64,
    /// Jobs that are claimed.
    pub processing: i64,
    /// Dead letters.
    pub dead: i64,
    /// How long the oldest pending or claimed job is there, milliseconds.
    pub oldest_age_ms: Option<i64>,
}

impl Store {
    /// The queue of each account that has one, by account.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn queue_depths(&self) -> Result<Vec<QueueDepth>> {
        let mut depths = BTreeMap::new();
        // One condition each: every one of them is an index's.
        for condition in ["status = 'pending'", "status = 'processing'", "dead = 1"] {
            let rows = query(self.sql(&format!(
                "SELECT account_id, COUNT(*) AS jobs, {{NOW}} - MIN(created_at) AS age
                 FROM jobs WHERE {condition} GROUP BY account_id"
            )))
            .fetch_all(&self.readers)
            .await?;
            for row in rows {
                let account = account_id(&row, "jobs")?;
                let depth = depths.entry(account.clone()).or_insert(QueueDepth {
                    account_id: account,
                    pending: 0,
                    processing: 0,
                    dead: 0,
                    oldest_age_ms: None,
                });
                let jobs = row.try_get("jobs")?;
                let age: Option<i64> = row.try_get("age")?;
                match condition {
                    "status = 'pending'" => depth.pending = jobs,
                    "status = 'processing'" => depth.processing = jobs,
                    _ => depth.dead = jobs,
                }
                if condition != "dead = 1" {
                    depth.oldest_age_ms = depth.oldest_age_ms.max(age);
                }
            }
        }
        Ok(depths.into_values().collect())
    }
}
