//! What an operator asks of whoever holds an account's auth state.

use sqlx::{Row, query};

use crate::ids::AccountId;
use crate::store::accounts::entry;
use crate::store::audit;
use crate::store::{Fence, Result, Store, StoreError, Topic};

/// Something that only the holder of an auth state may do to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOrder {
    /// Take the credentials out of use, keep them sealed, and let the account be linked again.
    Clear,
    /// Go on with a state that was restored from an older copy.
    AcceptRollback,
}

impl AuthOrder {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::AcceptRollback => "accept_rollback",
        }
    }
}

/// An order that is not done yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedOrder {
    /// What is asked.
    pub order: AuthOrder,
    /// By whom.
    pub actor: String,
}

impl Store {
    /// Asks the holder of `account`, now or as soon as there is one, for `order`. It replaces an order
    /// that is not done yet. `false`: there is no such account.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn order_auth(
        &self,
        account: &AccountId,
        order: AuthOrder,
        actor: &str,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let asked = query(self.sql(
            "INSERT INTO auth_orders(account_id, kind, actor, asked_at)
             SELECT account_id, $2, $3, {NOW} FROM accounts WHERE account_id = $1
             ON CONFLICT(account_id) DO UPDATE SET kind = excluded.kind, actor = excluded.actor,
               asked_at = excluded.asked_at",
        ))
        .bind(account.as_str())
        .bind(order.as_str())
        .bind(actor)
        .execute(&mut tx)
        .await?
        .rows_affected()
            == 1;
        if asked {
            let action = format!("auth.{}_ordered", order.as_str());
            audit::write(&mut tx, entry(account, actor, &action, "")).await?;
        }
        self.commit_telling(tx, asked.then_some(Topic::Fleet))
            .await?;
        Ok(asked)
    }

    /// What is asked of the holder of `account`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn auth_order(&self, account: &AccountId) -> Result<Option<AskedOrder>> {
        query("SELECT kind, actor FROM auth_orders WHERE account_id = $1")
            .bind(account.as_str())
            .fetch_optional(&self.readers)
            .await?
            .map(|row| {
                Ok(AskedOrder {
                    order: match row.try_get("kind")? {
                        "clear" => AuthOrder::Clear,
                        "accept_rollback" => AuthOrder::AcceptRollback,
                        kind => {
                            return Err(StoreError::Unusable(format!(
                                "in table auth_orders: this version does not know the order {kind:?}"
                            )));
                        }
                    },
                    actor: row.try_get("actor")?,
                })
            })
            .transpose()
    }

    /// `order` is carried out: its row goes, and with [`AuthOrder::Clear`] the account is not linked
    /// any more. `outcome` is written down.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn auth_order_done(
        &self,
        fence: &Fence,
        order: AuthOrder,
        outcome: &str,
    ) -> Result<()> {
        let account = fence.account();
        let mut tx = self.begin_fenced(fence).await?;
        query("DELETE FROM auth_orders WHERE account_id = $1 AND kind = $2")
            .bind(account.as_str())
            .bind(order.as_str())
            .execute(&mut tx)
            .await?;
        if order == AuthOrder::Clear {
            query("UPDATE accounts SET linked_at = NULL WHERE account_id = $1")
                .bind(account.as_str())
                .execute(&mut tx)
                .await?;
        }
        let action = format!("auth.{}_done", order.as_str());
        audit::write(&mut tx, entry(account, "worker", &action, outcome)).await?;
        self.commit_telling(tx, Some(Topic::Fleet)).await
    }
}
