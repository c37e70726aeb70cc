//! What every account did last, for people who look.

use std::collections::HashMap;

use sqlx::{Row, query};

use super::columns::account_id;
use super::{Result, Store};
use crate::ids::AccountId;

impl Store {
    /// When a message of each account was committed last, by the store's clock.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn last_messages(&self) -> Result<HashMap<AccountId, i64>> {
        let rows = query(self.sql(
            "SELECT account_id, MAX(last_message_at) AS at FROM conversations GROUP BY account_id",
        ));
        let rows = rows.fetch_all(&self.readers).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let account = account_id(row, "conversations")?;
            Ok((account, row.try_get("at")?))
        };
        rows.iter().map(read).collect()
    }
}
