//! Receipts and late acknowledgements: proof that a message came through, whatever was known of it.

use sqlx::{Row, query};

use super::lane;
use super::row::odd;
use crate::ids::{ConversationId, OutboxId};
use crate::outbound::delivery::{Evidence, Status};
use crate::store::connections::Tx;
use crate::store::{Fence, Result, Store, stored};

/// Somebody told that a message came so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// WhatsApp's id of the message.
    pub message_id: String,
    /// How far.
    pub evidence: Evidence,
}

impl Store {
    /// Takes `proofs` in, all or none, and returns the ids of messages that are known to be sent only
    /// now. Proofs of what is not in the outbox, and older news, change nothing. What was given up as
    /// `failed` or `cancelled` stays so, and shows how far it came.
    ///
    /// # Errors
    /// [`super::super::StoreError::Fenced`], [`super::super::StoreError::Unavailable`]: repeat it.
    pub async fn prove_outgoing(&self, fence: &Fence, proofs: &[Proof]) -> Result<Vec<String>> {
        let mut tx = self.begin_fenced(fence).await?;
        let now = tx.now().await?;
        let mut sent = Vec::new();
        for proof in proofs {
            if take_in(&mut tx, fence, proof, now).await? {
                sent.push(proof.message_id.clone());
            }
        }
        tx.commit().await?;
        Ok(sent)
    }
}

async fn take_in(tx: &mut Tx, fence: &Fence, proof: &Proof, now: i64) -> Result<bool> {
    let conv: Option<String> =
        sqlx::query_scalar("SELECT conv FROM outbox WHERE account_id = $1 AND message_id = $2")
            .bind(fence.account().as_str())
            .bind(stored(&proof.message_id))
            .fetch_optional(&mut *tx)
            .await?;
    let Some(conv) = conv.map(ConversationId) else {
        return Ok(false);
    };
    lane::lock(tx, &conv).await?;
    let row = query(
        "SELECT outbox_id, status, delivery FROM outbox WHERE account_id = $1 AND message_id = $2",
    )
    .bind(fence.account().as_str())
    .bind(stored(&proof.message_id))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let id = OutboxId(row.try_get("outbox_id")?);
    let status: Status = row.try_get::<&str, _>("status")?.parse().map_err(odd)?;
    let known: Option<String> = row.try_get("delivery")?;
    let known: Option<Evidence> = known.map(|text| text.parse()).transpose().map_err(odd)?;
    let open = matches!(
        status,
        Status::Pending | Status::Sending | Status::Uncertain
    );
    if !open && known >= Some(proof.evidence) {
        return Ok(false);
    }
    let furthest = known.map_or(proof.evidence, |known| known.max(proof.evidence));
    query(
        "UPDATE outbox SET delivery = $2, updated_at = $3,
           status = CASE WHEN $4 = 1 THEN 'sent' ELSE status END,
           sent_at = CASE WHEN $4 = 1 THEN COALESCE(sent_at, $3) ELSE sent_at END,
           error_code = CASE WHEN $4 = 1 THEN NULL ELSE error_code END,
           error = CASE WHEN $4 = 1 THEN NULL ELSE error END
         WHERE outbox_id = $1",
    )
    .bind(id.as_str())
    .bind(furthest.as_str())
    .bind(now)
    .bind(i64::from(open))
    .execute(&mut *tx)
    .await?;
    if open {
        lane::unblock(tx, &conv, &id).await?;
        lane::refresh(tx, &conv).await?;
    }
    Ok(open)
}
