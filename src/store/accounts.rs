//! Which numbers we operate, and where their auth state lives.

use sqlx::any::AnyRow;
use sqlx::{Row, query};

use super::audit::{self, Entry};
use super::backfill::NUMBER_REPLACED;
use super::columns::{account_id, jid};
use super::{Fence, Result, Store, Topic};
use crate::ids::{AccountId, Jid};

/// Where an account's auth state lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMedium {
    /// A file on the disk of one installation.
    Local,
    /// The shared store.
    Remote,
}

impl AuthMedium {
    /// As in the store, in settings and in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// A number that we operate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Whether workers bid for it.
    pub enabled: bool,
    /// Whether nothing is sent for it; its session and its intake go on.
    pub paused: bool,
    /// Why, when the worker paused it by itself.
    pub pause_reason: Option<String>,
    /// When it was resumed last, by the store's clock.
    pub resumed_at: Option<i64>,
    /// The installation whose disk holds its local auth state; set when it was linked.
    pub auth_home: Option<String>,
    /// Where its auth state lies; none: it has none yet.
    pub auth_medium: Option<AuthMedium>,
    /// When an operator asked something of its auth state that is not done yet, by the store's clock.
    pub auth_asked_at: Option<i64>,
    /// The number it is linked to, or was linked to last.
    pub linked: Option<Jid>,
    /// The hidden form of that number.
    pub linked_lid: Option<Jid>,
    /// When it was linked, by the store's clock.
    pub linked_at: Option<i64>,
}

impl Account {
    /// One that was just added, for tests.
    #[cfg(test)]
    pub(crate) fn fresh(id: &str) -> Self {
        Self {
            id: id.parse().expect("valid"),
            enabled: true,
            paused: false,
            pause_reason: None,
            resumed_at: None,
            auth_home: None,
            auth_medium: None,
            auth_asked_at: None,
            linked: None,
            linked_lid: None,
            linked_at: None,
        }
    }

    fn read(row: &AnyRow) -> Result<Self> {
        let auth_home: Option<String> = row.try_get("auth_home")?;
        Ok(Self {
            id: account_id(row, "accounts")?,
            enabled: row.try_get::<i64, _>("enabled")? == 1,
            paused: row.try_get::<i64, _>("paused")? == 1,
            pause_reason: row.try_get("pause_reason")?,
            resumed_at: row.try_get("resumed_at")?,
            auth_medium: match row.try_get("auth_medium")? {
                Some("remote") => Some(AuthMedium::Remote),
                Some(_) => Some(AuthMedium::Local),
                // Linked by a worker of an earlier release.
                None => auth_home.is_some().then_some(AuthMedium::Local),
            },
            auth_home,
            auth_asked_at: row.try_get("auth_asked_at")?,
            linked: jid(row, "linked_jid")?,
            linked_lid: jid(row, "linked_lid")?,
            linked_at: row.try_get("linked_at")?,
        })
    }
}

const SELECT: &str =
    "SELECT a.account_id, a.enabled, a.paused, a.pause_reason, a.resumed_at, a.auth_home, a.auth_medium,
       a.linked_jid, a.linked_lid, a.linked_at, o.asked_at AS auth_asked_at
     FROM accounts a LEFT JOIN auth_orders o ON o.account_id = a.account_id";

impl Store {
    /// Registers `id`; `false` when it is known already.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn add_account(&self, id: &AccountId, actor: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let added = query(self.sql(
            "INSERT INTO accounts(account_id, created_at) VALUES($1, {NOW}) ON CONFLICT DO NOTHING",
        ))
        .bind(id.as_str())
        .execute(&mut tx)
        .await?
        .rows_affected()
            == 1;
        if added {
            audit::write(&mut tx, entry(id, actor, "account.added", "")).await?;
        }
        self.commit_telling(tx, added.then_some(Topic::Fleet))
            .await?;
        Ok(added)
    }

    /// Lets workers bid for the account, or makes its holder drain and release it. `false`: it was so
    /// already, or there is no such account.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn set_enabled(&self, id: &AccountId, enabled: bool, actor: &str) -> Result<bool> {
        let update = "UPDATE accounts SET enabled = $2 WHERE account_id = $1 AND enabled <> $2";
        let action = if enabled {
            "account.enabled"
        } else {
            "account.disabled"
        };
        self.switch(update, id, enabled, actor, action).await
    }

    /// Stops sending for the account, or resumes it, which is also stamped: a session that waits in
    /// `conflict` then tries again at once. `false`: it was so already, or there is no such account.
    /// Resuming what is not paused is stamped too, and is `true`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn set_paused(&self, id: &AccountId, paused: bool, actor: &str) -> Result<bool> {
        let (update, action) = if paused {
            (
                "UPDATE accounts SET paused = $2, pause_reason = NULL WHERE account_id = $1 AND paused <> $2",
                "account.paused",
            )
        } else {
            (
                "UPDATE accounts SET paused = $2, pause_reason = NULL, resumed_at = {NOW} WHERE account_id = $1",
                "account.resumed",
            )
        };
        self.switch(update, id, paused, actor, action).await
    }

    async fn switch(
        &self,
        update: &str,
        id: &AccountId,
        on: bool,
        actor: &str,
        action: &str,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let changed = query(self.sql(update))
            .bind(id.as_str())
            .bind(i64::from(on))
            .execute(&mut tx)
            .await?
            .rows_affected()
            == 1;
        if changed {
            audit::write(&mut tx, entry(id, actor, action, "")).await?;
        }
        self.commit_telling(tx, changed.then_some(Topic::Fleet))
            .await?;
        if changed {
            // What waited while it was paused.
            self.tell(Topic::Jobs);
            self.tell(Topic::Outbox);
        }
        Ok(changed)
    }

    /// One account.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn account(&self, id: &AccountId) -> Result<Option<Account>> {
        query(self.sql(&format!("{SELECT} WHERE a.account_id = $1")))
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
        query(self.sql(&format!("{SELECT} ORDER BY a.account_id")))
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(Account::read)
            .collect()
    }

    /// The account was linked to `jid`; its auth state lives in the installation `auth_home`, or,
    /// without one, in this store. Said again of the same device, it leaves the time of the link.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn record_link(
        &self,
        fence: &Fence,
        jid: &Jid,
        lid: Option<&Jid>,
        auth_home: Option<&str>,
    ) -> Result<()> {
        let medium = match auth_home {
            Some(_) => AuthMedium::Local,
            None => AuthMedium::Remote,
        };
        let mut tx = self.begin_fenced(fence).await?;
        let earlier: Option<String> =
            sqlx::query_scalar("SELECT linked_jid FROM accounts WHERE account_id = $1")
                .bind(fence.account().as_str())
                .fetch_optional(&mut tx)
                .await?
                .flatten();
        query(self.sql(
            "UPDATE accounts SET linked_jid = $2, linked_lid = $3, auth_home = $4, auth_medium = $5,
               linked_at = CASE WHEN linked_jid = $2 THEN COALESCE(linked_at, {NOW}) ELSE {NOW} END
             WHERE account_id = $1",
        ))
        .bind(fence.account().as_str())
        .bind(jid.as_str())
        .bind(lid.map(Jid::as_str))
        .bind(auth_home)
        .bind(medium.as_str())
        .execute(&mut tx)
        .await?;
        query("DELETE FROM link_codes WHERE account_id = $1")
            .bind(fence.account().as_str())
            .execute(&mut tx)
            .await?;
        let detail = format!("to {jid}");
        let line = entry(fence.account(), "worker", "account.linked", &detail);
        audit::write(&mut tx, line).await?;
        if earlier.is_some_and(|earlier| Jid::new(earlier).user() != jid.user()) {
            let line = entry(fence.account(), "worker", NUMBER_REPLACED, &detail);
            audit::write(&mut tx, line).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// An operator gives the link up: its auth state is lost, and a new one may be made.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn forget_link(&self, account: &AccountId, actor: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        query("UPDATE accounts SET linked_at = NULL, auth_home = NULL, auth_medium = NULL WHERE account_id = $1")
            .bind(account.as_str())
            .execute(&mut tx)
            .await?;
        let line = entry(account, actor, "account.link_forgotten", "");
        audit::write(&mut tx, line).await?;
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
            .execute(&mut tx)
            .await?;
        let line = entry(fence.account(), "worker", "account.unlinked", why);
        audit::write(&mut tx, line).await?;
        tx.commit().await?;
        Ok(())
    }
}

pub(super) fn entry<'a>(
    account: &'a AccountId,
    actor: &'a str,
    action: &'a str,
    detail: &'a str,
) -> Entry<'a> {
    Entry {
        account,
        actor,
        action,
        detail,
        epochs: None,
    }
}
