//! What the holder's session shows to other processes: its state, the current QR or pairing code,
//! and the other way round, that somebody is looking.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Row, query};

use super::columns::account_id;
use super::{Fence, Result, Store};
use crate::ids::{AccountId, Phone};

/// Whether a code is a picture or is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkCodeKind {
    /// The text behind a QR picture.
    Qr,
    /// Eight characters to type on the phone.
    Pairing,
}

/// A code that links whoever sees it first: never logged, and gone when it runs out.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkCode {
    /// How it is shown.
    pub kind: LinkCodeKind,
    /// The credential itself.
    pub code: String,
    /// How long it still works.
    pub remaining: Duration,
}

impl std::fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkCode({:?}, {:?} left)", self.kind, self.remaining)
    }
}

/// Somebody wants to link and is looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkWish {
    /// Wants a pairing code for this number instead of a QR.
    pub phone: Option<Phone>,
    /// The phone may have another number than the account's last one.
    pub replace_number: bool,
    /// Changes with each new request for a code.
    pub asked_at: i64,
}

/// The session's state as the holder last told it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    /// E.g. `connected`.
    pub state: String,
    /// Reason code, when the state has one.
    pub reason: Option<String>,
    /// For people.
    pub detail: String,
    /// Since when, by the store's clock.
    pub since: i64,
}

impl Store {
    /// Shows `code` to whoever asks with [`Store::link_code`].
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn publish_link_code(&self, fence: &Fence, code: &LinkCode) -> Result<()> {
        let mut tx = self.begin_fenced(fence).await?;
        query(self.sql(
            "INSERT INTO link_codes(account_id, epoch, kind, code, expires_at) VALUES($1, $2, $3, $4, {NOW} + $5)
             ON CONFLICT(account_id) DO UPDATE SET epoch = excluded.epoch, kind = excluded.kind,
               code = excluded.code, expires_at = excluded.expires_at",
        ))
        .bind(fence.account().as_str())
        .bind(fence.epoch().0)
        .bind(match code.kind {
            LinkCodeKind::Qr => "qr",
            LinkCodeKind::Pairing => "pairing",
        })
        .bind(&code.code)
        .bind(i64::try_from(code.remaining.as_millis()).unwrap_or(i64::MAX))
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The code to show, while it works.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn link_code(&self, account: &AccountId) -> Result<Option<LinkCode>> {
        let row = query(self.sql(
            "SELECT c.kind, c.code, c.expires_at - {NOW} AS remaining FROM link_codes c
             JOIN lease l ON l.account_id = c.account_id AND l.epoch = c.epoch
             WHERE c.account_id = $1 AND c.expires_at > {NOW} AND l.expires_at > {NOW}",
        ))
        .bind(account.as_str())
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| {
            Ok(LinkCode {
                kind: match row.try_get::<&str, _>("kind")? {
                    "pairing" => LinkCodeKind::Pairing,
                    _ => LinkCodeKind::Qr,
                },
                code: row.try_get("code")?,
                remaining: Duration::from_millis(
                    u64::try_from(row.try_get::<i64, _>("remaining")?).unwrap_or(0),
                ),
            })
        })
        .transpose()
    }

    /// Says that somebody looks at the codes of `account` for the next `watching`. With `phone`, a
    /// pairing code for that number is wanted; with `replace_number`, a phone with another number than
    /// the account's last one is welcome.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn wish_to_link(
        &self,
        account: &AccountId,
        phone: Option<&Phone>,
        replace_number: bool,
        watching: Duration,
    ) -> Result<()> {
        query(self.sql(
            "INSERT INTO link_wishes(account_id, watched_until, phone, replace_number, asked_at)
             VALUES($1, {NOW} + $2, $3, $4, {NOW})
             ON CONFLICT(account_id) DO UPDATE SET watched_until = excluded.watched_until,
               asked_at = CASE WHEN link_wishes.phone IS NOT DISTINCT FROM excluded.phone THEN link_wishes.asked_at ELSE excluded.asked_at END,
               phone = excluded.phone, replace_number = excluded.replace_number",
        ))
        .bind(account.as_str())
        .bind(i64::try_from(watching.as_millis()).unwrap_or(i64::MAX))
        .bind(phone.map(Phone::digits))
        .bind(i64::from(replace_number))
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Whether somebody is looking right now, and for what.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn link_wish(&self, account: &AccountId) -> Result<Option<LinkWish>> {
        let row = query(self.sql(
            "SELECT phone, replace_number, asked_at FROM link_wishes WHERE account_id = $1 AND watched_until > {NOW}",
        ))
        .bind(account.as_str())
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| {
            Ok(LinkWish {
                phone: row
                    .try_get::<Option<String>, _>("phone")?
                    .and_then(|phone| Phone::parse(&phone)),
                replace_number: row.try_get::<i64, _>("replace_number")? == 1,
                asked_at: row.try_get("asked_at")?,
            })
        })
        .transpose()
    }

    /// Tells other processes what the session is doing.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Unavailable`].
    pub async fn publish_session_status(
        &self,
        fence: &Fence,
        state: &str,
        reason: Option<&str>,
        detail: &str,
    ) -> Result<()> {
        let mut tx = self.begin_fenced(fence).await?;
        query(self.sql(
            "INSERT INTO session_status(account_id, epoch, state, reason, detail, since)
             VALUES($1, $2, $3, $4, $5, {NOW})
             ON CONFLICT(account_id) DO UPDATE SET epoch = excluded.epoch, state = excluded.state,
               reason = excluded.reason, detail = excluded.detail,
               since = CASE WHEN session_status.state = excluded.state AND session_status.epoch = excluded.epoch
                            THEN session_status.since ELSE excluded.since END",
        ))
        .bind(fence.account().as_str())
        .bind(fence.epoch().0)
        .bind(state)
        .bind(reason)
        .bind(detail)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// What the holder's session was last said to be doing; `None` when nobody holds the lease.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn session_status(&self, account: &AccountId) -> Result<Option<SessionStatus>> {
        query(self.sql(&format!("{STATUS} AND s.account_id = $1")))
            .bind(account.as_str())
            .fetch_optional(&self.readers)
            .await?
            .map(|row| SessionStatus::read(&row))
            .transpose()
    }

    /// What the sessions of all accounts that somebody holds were last said to be doing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn session_statuses(&self) -> Result<HashMap<AccountId, SessionStatus>> {
        query(self.sql(STATUS))
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(|row| {
                let account = account_id(row, "session_status")?;
                Ok((account, SessionStatus::read(row)?))
            })
            .collect()
    }
}

const STATUS: &str =
    "SELECT s.account_id, s.state, s.reason, s.detail, s.since FROM session_status s
    JOIN lease l ON l.account_id = s.account_id AND l.epoch = s.epoch
    WHERE l.expires_at > {NOW}";

impl SessionStatus {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            state: row.try_get("state")?,
            reason: row.try_get("reason")?,
            detail: row.try_get("detail")?,
            since: row.try_get("since")?,
        })
    }
}
