//! Whether a number is on WhatsApp: any process asks, the lease holder asks WhatsApp, the answer is
//! kept for a day.

use std::time::Duration;

use sqlx::{Row, query};

use super::SPELT;
use super::{Met, note};
use crate::clock::Boot;
use crate::ids::{AccountId, Jid, Phone};
use crate::inbound::message::Party;
use crate::store::columns::party;
use crate::store::lease::millis;
use crate::store::{Fence, Result, Store, Topic};

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// How long a question waits for a holder.
const STALE: Duration = Duration::from_secs(30);
/// Questions that are answered together.
const TOGETHER: i64 = 50;

/// What is known of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It is on WhatsApp.
    Known(Party),
    /// It is not.
    NotOnWhatsApp,
    /// Nobody could say in time: no session is connected, or WhatsApp did not answer.
    Unknown,
}

/// WhatsApp's word about a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The number that was asked for.
    pub asked: Jid,
    /// Whose it is; `None`: nobody's on WhatsApp.
    pub found: Option<Party>,
}

impl Store {
    /// Whether `phone` is on WhatsApp, asked through `account`. Waits up to `wait` for an answer that
    /// is not known yet. Cancel safe: the question stays, and its answer counts for the next call.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn lookup(
        &self,
        account: &AccountId,
        phone: &Phone,
        wait: Duration,
    ) -> Result<Lookup> {
        let pn = Jid::new(format!("{}@s.whatsapp.net", phone.digits()));
        // Before the first look, so that no answer passes between the two.
        let mut changes = self.watch(Topic::Outbox);
        if let Some(known) = self.looked_up(account, &pn).await? {
            return Ok(known);
        }
        if wait.is_zero() {
            return Ok(Lookup::Unknown);
        }
        let mut tx = self.begin().await?;
        let ask = tx.sql(
            "INSERT INTO lookups(account_id, pn, asked_at) VALUES($1, $2, {NOW})
             ON CONFLICT(account_id, pn) DO UPDATE SET asked_at = excluded.asked_at",
        );
        query(ask)
            .bind(account.as_str())
            .bind(pn.as_str())
            .execute(&mut tx)
            .await?;
        self.commit_telling(tx, Some(Topic::Outbox)).await?;
        let until = Boot::now().plus(wait);
        loop {
            let left = until.since(Boot::now());
            if let Some(known) = self.looked_up(account, &pn).await? {
                return Ok(known);
            }
            if left.is_zero() || tokio::time::timeout(left, changes.next()).await.is_err() {
                return Ok(Lookup::Unknown);
            }
        }
    }

    /// What was answered about a number during the last day.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn looked_up(&self, account: &AccountId, pn: &Jid) -> Result<Option<Lookup>> {
        let known = self.sql(&format!(
            "{SPELT} WHERE k.account_id = $1 AND k.pn = $2 AND k.on_whatsapp IS NOT NULL
               AND k.checked_at > {{NOW}} - $3"
        ));
        let row = query(known)
            .bind(account.as_str())
            .bind(pn.as_str())
            .bind(millis(FRESH))
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| {
            let on: i64 = row.try_get("on_whatsapp")?;
            Ok(match on {
                1 => Lookup::Known(party(&row, "pn", "lid")?),
                _ => Lookup::NotOnWhatsApp,
            })
        })
        .transpose()
    }

    /// Numbers that somebody asks about and still waits for.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn open_lookups(&self, account: &AccountId) -> Result<Vec<Jid>> {
        let open = self.sql(
            "SELECT pn FROM lookups WHERE account_id = $1 AND asked_at > {NOW} - $2
             ORDER BY asked_at LIMIT $3",
        );
        let open: Vec<String> = sqlx::query_scalar(open)
            .bind(account.as_str())
            .bind(millis(STALE))
            .bind(TOGETHER)
            .fetch_all(&self.readers)
            .await?;
        Ok(open.into_iter().map(Jid::new).collect())
    }

    /// Notes WhatsApp's answers and wakes those who wait for them.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Fenced`], [`crate::store::StoreError::Unavailable`].
    pub async fn answer_lookups(&self, fence: &Fence, looked: &[Looked]) -> Result<()> {
        let mut tx = self.begin_fenced(fence).await?;
        let now = tx.now().await?;
        for Looked { asked, found } in looked {
            let account = fence.account();
            let spelt = found.as_ref().and_then(|found| found.pn.as_ref());
            let elsewhere = spelt.filter(|spelt| *spelt != asked);
            let person = match (found, elsewhere) {
                (Some(found), None) => found.clone(),
                _ => Party {
                    pn: Some(asked.clone()),
                    lid: None,
                },
            };
            if let (Some(found), Some(_)) = (found, elsewhere) {
                note(&mut tx, account, &met(found.clone()), Some(true), now).await?;
            }
            note(&mut tx, account, &met(person), Some(found.is_some()), now).await?;
            query("UPDATE contacts SET canonical = $3 WHERE account_id = $1 AND pn = $2")
                .bind(account.as_str())
                .bind(asked.as_str())
                .bind(elsewhere.map(Jid::as_str))
                .execute(&mut tx)
                .await?;
            query("DELETE FROM lookups WHERE account_id = $1 AND pn = $2")
                .bind(fence.account().as_str())
                .bind(asked.as_str())
                .execute(&mut tx)
                .await?;
        }
        self.commit_telling(tx, Some(Topic::Outbox)).await
    }
}

fn met(person: Party) -> Met {
    Met {
        person,
        ..Met::default()
    }
}
