//! Receipts and late acknowledgements: proof that a message came through, whatever was known of it.

use std::time::Duration;

use sqlx::{Row, query};

use super::lane;
use super::row::odd;
use crate::ids::{ConversationId, JobId, OutboxId};
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

/// A message that is known to be sent only now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// WhatsApp's id of the message.
    pub message_id: String,
    /// Its row.
    pub outbox: OutboxId,
    /// What is replied to.
    pub job: Option<JobId>,
    /// The attempt that is still under way, and for how long it has been.
    pub attempt: Option<(i64, Duration)>,
}

impl Store {
    /// Takes `proofs` in, all or none, and returns the messages that are known to be sent only now.
    /// Proofs of what is not in the outbox, and older news, change nothing. What was given up as `failed`
    /// or `cancelled` stays so, and shows how far it came.
    ///
    /// # Errors
    /// [`super::super::StoreError::Fenced`], [`super::super::StoreError::Unavailable`]: repeat it.
    pub async fn prove_outgoing(&self, fence: &Fence, proofs: &[Proof]) -> Result<Vec<Proven>> {
        let mut tx = self.begin_fenced(fence).await?;
        let now = tx.now().await?;
        let mut sent = Vec::new();
        for proof in proofs {
            sent.extend(take_in(&mut tx, fence, proof, now).await?);
        }
        tx.commit().await?;
        Ok(sent)
    }
}

async fn take_in(tx: &mut Tx, fence: &Fence, proof: &Proof, now: i64) -> Result<Option<Proven>> {
    let conv: Option<String> =
        sqlx::query_scalar("SELECT conv FROM outbox WHERE account_id = $1 AND message_id = $2")
            .bind(fence.account().as_str())
            .bind(stored(&proof.message_id))
            .fetch_optional(&mut *tx)
            .await?;
    let Some(conv) = conv.map(ConversationId) else {
        return Ok(None);
    };
    lane::lock(tx, &conv).await?;
    let row = query(
        "SELECT outbox_id, status, delivery, job_id, attempt_count, last_attempt_at
         FROM outbox WHERE account_id = $1 AND message_id = $2",
    )
    .bind(fence.account().as_str())
    .bind(stored(&proof.message_id))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let id = OutboxId(row.try_get("outbox_id")?);
    let status: Status = row.try_get::<&str, _>("status")?.parse().map_err(odd)?;
    let known: Option<String> = row.try_get("delivery")?;
    let known: Option<Evidence> = known.map(|text| text.parse()).transpose().map_err(odd)?;
    let open = matches!(
        status,
        Status::Pending | Status::Sending | Status::Uncertain
    );
    if !open && known >= Some(proof.evidence) {
        return Ok(None);
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
    if !open {
        return Ok(None);
    }
    lane::unblock(tx, &conv, &id).await?;
    lane::refresh(tx, &conv).await?;
    let begun: Option<i64> = row.try_get("last_attempt_at")?;
    let attempt = match (status, begun) {
        (Status::Sending, Some(begun)) => Some((
            row.try_get("attempt_count")?,
            Duration::from_millis(u64::try_from(now - begun).unwrap_or_default()),
        )),
        _ => None,
    };
    Ok(Some(Proven {
        message_id: proof.message_id.clone(),
        outbox: id,
        job: row.try_get::<Option<String>, _>("job_id")?.map(JobId),
        attempt,
    }))
}
