//! What every account did last, for people who look.

use std::collections::HashMap;

use sqlx::{Row, query};

use super::columns::account_id;
use super::{Result, Store};
use crate::ids::AccountId;

impl Store {
    /// When a message of each account became a job last, by the store's clock; none, as far as jobs are
    /// kept.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn last_messages(&self) -> Result<HashMap<AccountId, i64>> {
        let rows = query(self.sql(
            // One look into the index of jobs for each account.
            "SELECT a.account_id,
               (SELECT MAX(j.created_at) FROM jobs j WHERE j.account_id = a.account_id) AS at
             FROM accounts a",
        ));
        let rows = rows.fetch_all(&self.readers).await?;
        let mut last = HashMap::new();
        for row in &rows {
            if let Some(at) = row.try_get::<Option<i64>, _>("at")? {
                last.insert(account_id(row, "accounts")?, at);
            }
        }
        Ok(last)
    }
}
