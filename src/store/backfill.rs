//! Up to where the messages of an account are known from before its present link.

use super::{Result, Store};
use crate::ids::AccountId;

/// The line of the audit after which the messages of before are another number's.
pub(super) const NUMBER_REPLACED: &str = "account.number_replaced";

impl Store {
    /// When the newest message was sent that was committed before the account's present link, in Unix
    /// milliseconds; `None` when there is none of this number. Messages that come by the present link
    /// do not change it, so it can be asked at any time. A link that is not recorded yet is taken for
    /// one of this moment.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn known_until(&self, account: &AccountId) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar(self.sql(
            "SELECT MAX(m.sent_at) FROM messages m JOIN accounts a ON a.account_id = m.account_id
             WHERE m.account_id = $1 AND m.committed_at < COALESCE(a.linked_at, {NOW})
               AND m.committed_at >= COALESCE(
                 (SELECT MAX(at) FROM audit WHERE account_id = $1 AND action = $2), 0)",
        ))
        .bind(account.as_str())
        .bind(NUMBER_REPLACED)
        .fetch_one(&self.readers)
        .await?)
    }
}
