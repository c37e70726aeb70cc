//! Which numbers we operate, and where their auth state lives.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::{Fence, Result, Store, StoreError, audit, sql};
use crate::ids::{AccountId, Jid};

/// A number that we operate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Whether workers bid for it.
    pub enabled: bool,
    /// The installation whose disk holds its local auth state; set when it was linked.
    pub auth_home: Option<String>,
    /// The number it is linked to.
    pub linked: Option<Jid>,
    /// When it was linked, by the store's clock.
    pub linked_at: Option<i64>,
}

impl Account {
    fn read(row: &SqliteRow) -> Result<Self> {
        let id: String = row.try_get("account_id")?;
        Ok(Self {
            id: id
                .parse()
                .map_err(|error| StoreError::Unusable(format!("in table accounts: {error}")))?,
            enabled: row.try_get::<i64, _>("enabled")? == 1,
            auth_home: row.try_get("auth_home")?,
            linked: row
                .try_get::<Option<String>, _>("linked_jid")?
                .map(Jid::new),
            linked_at: row.try_get("linked_at")?,
        })
    }
}

const SELECT: &str = "SELECT account_id, enabled, auth_home, linked_jid, linked_at FROM accounts";

impl Store {
    /// Registers `id`; `false` when it is known already.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn add_account(&self, id: &AccountId, actor: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let added = query(sql(
            "INSERT INTO accounts(account_id, created_at) VALUES($1, {NOW}) ON CONFLICT DO NOTHING",
        ))
        .bind(id.as_str())
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        if added {
            audit::write(&mut tx, Some(id), actor, "account.added", "").await?;
        }
        tx.commit().await?;
        Ok(added)
    }

    /// One account.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn account(&self, id: &AccountId) -> Result<Option<Account>> {
        query(sql(&format!("{SELECT} WHERE account_id = $1")))
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await?
            .map(|row| Account::read(&row))
            .transpose()
    }

    /// All accounts, by id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        query(sql(&format!("{SELECT} ORDER BY account_id")))
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(Account::read)
            .collect()
    }

    /// The account was linked to `jid`; its auth state lives in the installation `auth_home`.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn record_link(
        &self,
        fence: &Fence,
        jid: &Jid,
        lid: Option<&Jid>,
        auth_home: &str,
    ) -> Result<()> {
        let mut tx = self.begin_fenced(fence).await?;
        query(sql(
            "UPDATE accounts SET linked_jid = $2, linked_lid = $3, auth_home = $4, linked_at = {NOW} WHERE account_id = $1",
        ))
        .bind(fence.account().as_str())
        .bind(jid.as_str())
        .bind(lid.map(Jid::as_str))
        .bind(auth_home)
        .execute(&mut *tx)
        .await?;
        query("DELETE FROM link_codes WHERE account_id = $1")
            .bind(fence.account().as_str())
            .execute(&mut *tx)
            .await?;
        let detail = format!("to {jid}");
        audit::write(
            &mut tx,
            Some(fence.account()),
            "worker",
            "account.linked",
            &detail,
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// An operator gives the link up: its auth state is lost, and a new one may be made.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn forget_link(&self, account: &AccountId, actor: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        query("UPDATE accounts SET linked_at = NULL, auth_home = NULL WHERE account_id = $1")
            .bind(account.as_str())
            .execute(&mut *tx)
            .await?;
        audit::write(&mut tx, Some(account), actor, "account.link_forgotten", "").await?;
        tx.commit().await?;
        Ok(())
    }

    /// The server ended the link.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn record_unlink(&self, fence: &Fence, why: &str) -> Result<()> {
        let mut tx = self.begin_fenced(fence).await?;
        query("UPDATE accounts SET linked_at = NULL WHERE account_id = $1")
            .bind(fence.account().as_str())
            .execute(&mut *tx)
            .await?;
        audit::write(
            &mut tx,
            Some(fence.account()),
            "worker",
            "account.unlinked",
            why,
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
