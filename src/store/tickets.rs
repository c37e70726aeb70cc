//! Links that show an account's code once, whichever process is asked.

use std::time::Duration;

use ring::digest;
use sqlx::query;

use super::lease::millis;
use super::{Result, Store, StoreError};
use crate::ids::{AccountId, ClaimToken};

/// Links that are open at once; the oldest gives way.
const MOST: i64 = 256;

impl Store {
    /// A link for `account` that works for `lasts`. What is returned is a secret.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn issue_ticket(&self, account: &AccountId, lasts: Duration) -> Result<String> {
        let ticket = ClaimToken::random().as_str().to_owned();
        let mut tx = self.begin().await?;
        let now = tx.now().await?;
        query("DELETE FROM tickets WHERE until <= $1")
            .bind(now)
            .execute(&mut tx)
            .await?;
        // With the new one there are as many as may be.
        query(
            "DELETE FROM tickets WHERE hash IN
               (SELECT hash FROM tickets ORDER BY until DESC, hash LIMIT 1000 OFFSET $1)",
        )
        .bind(MOST - 1)
        .execute(&mut tx)
        .await?;
        query("INSERT INTO tickets(hash, account_id, until) VALUES($1, $2, $3)")
            .bind(hash(&ticket))
            .bind(account.as_str())
            .bind(now.saturating_add(millis(lasts)))
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(ticket)
    }

    /// Whose it is, while it can be used.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ticket(&self, ticket: &str) -> Result<Option<AccountId>> {
        let account: Option<String> = sqlx::query_scalar(
            self.sql("SELECT account_id FROM tickets WHERE hash = $1 AND until > {NOW}"),
        )
        .bind(hash(ticket))
        .fetch_optional(&self.readers)
        .await?;
        let account = account.map(AccountId::try_from).transpose();
        account.map_err(|error| StoreError::Unusable(format!("in table tickets: {error}")))
    }

    /// Uses it up: `true` for exactly one caller.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may be used up.
    pub async fn use_ticket(&self, ticket: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let used = query(tx.sql("DELETE FROM tickets WHERE hash = $1 AND until > {NOW}"))
            .bind(hash(ticket))
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(used.rows_affected() == 1)
    }
}

fn hash(ticket: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, ticket.as_bytes()))
}
