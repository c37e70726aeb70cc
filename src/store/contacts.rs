//! People as an account knows them: one row for each, whatever forms of their address are known.
//!
//! WhatsApp moves from phone numbers (PN) to hidden ids (LID), so a person may be met under either, and
//! which belong together is learned later. The hidden id is the person; a number may pass to another.
//! When two rows turn out to be one person, they become one, and so do their conversations ([`merge`]).

mod lookup;
pub(in crate::store) mod merge;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row, query};
use uuid::Uuid;

use super::columns::{address, jid, party};
use super::connections::Tx;
use super::{Fence, Result, Store, stored};
use crate::ids::{AccountId, Jid};
use crate::inbound::message::Party;

pub use self::lookup::{Looked, Lookup};

/// Something that was learned about a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Met {
    /// Who; at least one form.
    pub person: Party,
    /// What they call themselves.
    pub push_name: Option<String>,
    /// What the account's address book calls them.
    pub saved_name: Option<String>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// In every form that is known.
    #[serde(flatten)]
    pub person: Party,
    /// What they call themselves.
    pub push_name: Option<String>,
    /// What the account's address book calls them.
    pub saved_name: Option<String>,
    /// Whether they are on WhatsApp; nothing while nobody asked.
    pub on_whatsapp: Option<bool>,
    /// When that was asked, by the store's clock.
    pub checked_at: Option<i64>,
}

impl Store {
    /// Notes who was met. Names that are not told stay as they are.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`], [`super::StoreError::Unavailable`].
    pub async fn meet(&self, fence: &Fence, met: &[Met]) -> Result<()> {
        let mut tx = self.begin_fenced(fence).await?;
        let now = tx.now().await?;
        for met in met {
            note(&mut tx, fence.account(), met, None, now).await?;
        }
        tx.commit().await
    }

    /// The person with this address, in either form.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn contact(&self, account: &AccountId, jid: &Jid) -> Result<Option<Contact>> {
        let row = query(
            "SELECT pn, lid, push_name, saved_name, on_whatsapp, checked_at FROM contacts
             WHERE account_id = $1 AND (pn = $2 OR lid = $2)",
        )
        .bind(account.as_str())
        .bind(stored(jid.as_str()))
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(read).transpose()
    }
}

fn read(row: &AnyRow) -> Result<Contact> {
    Ok(Contact {
        person: party(row, "pn", "lid")?,
        push_name: row.try_get("push_name")?,
        saved_name: row.try_get("saved_name")?,
        on_whatsapp: row
            .try_get::<Option<i64>, _>("on_whatsapp")?
            .map(|on| on == 1),
        checked_at: row.try_get("checked_at")?,
    })
}

/// A row that has one of a person's addresses.
struct Known {
    id: String,
    pn: Option<Jid>,
    lid: Option<Jid>,
}

/// Notes `met` in the person's one row; `on_whatsapp` is WhatsApp's answer, when it was asked.
pub(super) async fn note(
    tx: &mut Tx,
    account: &AccountId,
    met: &Met,
    on_whatsapp: Option<bool>,
    now: i64,
) -> Result<()> {
    let Party { pn, lid } = &met.person;
    if pn.is_none() && lid.is_none() {
        return Ok(());
    }
    let id = match find(tx, account, &met.person).await? {
        Some(id) => id,
        None => {
            let id = format!("ctc_{}", Uuid::now_v7().simple());
            query(
                "INSERT INTO contacts(contact_id, account_id, pn, lid, created_at, updated_at)
                 VALUES($1, $2, $3, $4, $5, $5)",
            )
            .bind(&id)
            .bind(account.as_str())
            .bind(address(pn.as_ref()))
            .bind(address(lid.as_ref()))
            .bind(now)
            .execute(&mut *tx)
            .await?;
            id
        }
    };
    query(
        "UPDATE contacts SET pn = COALESCE($2, pn), lid = COALESCE($3, lid),
           push_name = COALESCE($4, push_name), saved_name = COALESCE($5, saved_name),
           on_whatsapp = COALESCE($6, on_whatsapp),
           checked_at = CASE WHEN $6 IS NULL THEN checked_at ELSE $7 END, updated_at = $7
         WHERE contact_id = $1",
    )
    .bind(&id)
    .bind(address(pn.as_ref()))
    .bind(address(lid.as_ref()))
    .bind(met.push_name.as_deref().map(stored))
    .bind(met.saved_name.as_deref().map(stored))
    .bind(on_whatsapp.map(i64::from))
    .bind(now)
    .execute(&mut *tx)
    .await?;
    if pn.is_some() && lid.is_some() {
        merge::conversations_of(tx, account, &met.person, now).await?;
    }
    Ok(())
}

/// The person's row, after which no other row has any of their addresses.
async fn find(tx: &mut Tx, account: &AccountId, person: &Party) -> Result<Option<String>> {
    let rows = query(
        "SELECT contact_id, pn, lid FROM contacts
         WHERE account_id = $1 AND (pn = $2 OR lid = $3)",
    )
    .bind(account.as_str())
    .bind(address(person.pn.as_ref()))
    .bind(address(person.lid.as_ref()))
    .fetch_all(&mut *tx)
    .await?;
    let (mut by_lid, mut by_pn) = (None, None);
    for row in &rows {
        let known = Known {
            id: row.try_get("contact_id")?,
            pn: jid(row, "pn")?,
            lid: jid(row, "lid")?,
        };
        if person.lid.is_some() && known.lid == person.lid {
            by_lid = Some(known);
        } else if known.pn == person.pn {
            by_pn = Some(known);
        }
    }
    let Some(by_pn) = by_pn else {
        return Ok(by_lid.map(|known| known.id));
    };
    match (person.lid.is_some() && by_pn.lid.is_some(), by_lid) {
        // The number was somebody else's.
        (true, by_lid) => {
            query("UPDATE contacts SET pn = NULL WHERE contact_id = $1")
                .bind(&by_pn.id)
                .execute(tx)
                .await?;
            Ok(by_lid.map(|known| known.id))
        }
        (false, None) => Ok(Some(by_pn.id)),
        (false, Some(by_lid)) => {
            absorb(tx, &by_lid, &by_pn).await?;
            Ok(Some(by_lid.id))
        }
    }
}

/// Two rows of one person: `into` takes what it did not know.
async fn absorb(tx: &mut Tx, into: &Known, from: &Known) -> Result<()> {
    let known = query(
        "SELECT push_name, saved_name, on_whatsapp, checked_at FROM contacts WHERE contact_id = $1",
    )
    .bind(&from.id)
    .fetch_one(&mut *tx)
    .await?;
    query("DELETE FROM contacts WHERE contact_id = $1")
        .bind(&from.id)
        .execute(&mut *tx)
        .await?;
    query(
        "UPDATE contacts SET push_name = COALESCE(push_name, $2), saved_name = COALESCE(saved_name, $3),
           on_whatsapp = COALESCE(on_whatsapp, $4), checked_at = COALESCE(checked_at, $5)
         WHERE contact_id = $1",
    )
    .bind(&into.id)
    .bind(known.try_get::<Option<String>, _>("push_name")?)
    .bind(known.try_get::<Option<String>, _>("saved_name")?)
    .bind(known.try_get::<Option<i64>, _>("on_whatsapp")?)
    .bind(known.try_get::<Option<i64>, _>("checked_at")?)
    .execute(tx)
    .await?;
    Ok(())
}

/// A person by the number as WhatsApp spells it, which may be another one than people write.
const SPELT: &str =
    "SELECT COALESCE(k.canonical, k.pn) AS pn, COALESCE(k.lid, c.lid) AS lid, k.on_whatsapp
     FROM contacts k LEFT JOIN contacts c ON c.account_id = k.account_id AND c.pn = k.canonical";

/// The other form of a person's address, where it is known, and the number as WhatsApp spells it.
pub(in crate::store) async fn complete(
    tx: &mut Tx,
    account: &AccountId,
    person: &mut Party,
) -> Result<()> {
    let row = query(AssertSqlSafe(format!(
        "{SPELT} WHERE k.account_id = $1 AND (k.pn = $2 OR k.lid = $3)"
    )))
    .bind(account.as_str())
    .bind(address(person.pn.as_ref()))
    .bind(address(person.lid.as_ref()))
    .fetch_optional(tx)
    .await?;
    if let Some(row) = row {
        person.pn = jid(&row, "pn")?.or(person.pn.take());
        person.lid = person.lid.take().or(jid(&row, "lid")?);
    }
    Ok(())
}
