//! The lane of one chat: idle, ready at a moment, or busy with one message.

use sqlx::query;

use crate::ids::{AccountId, ConversationId, OutboxId};
use crate::store::Result;
use crate::store::connections::Tx;

/// Until when nothing leaves by the lane, be it for its pace or for a message's next attempt.
macro_rules! shut_until {
    () => {
        "(CASE WHEN outbox_lanes.paced_until > outbox_lanes.blocked_until
          THEN outbox_lanes.paced_until ELSE outbox_lanes.blocked_until END)"
    };
}

/// Puts one more message into the lane and returns its place. Takes the lane's lock. A lane that waits
/// for a message's next attempt goes on waiting for it.
pub(super) async fn append(
    tx: &mut Tx,
    account: &AccountId,
    conv: &ConversationId,
    now: i64,
) -> Result<i64> {
    let next: i64 = sqlx::query_scalar(concat!(
        "INSERT INTO outbox_lanes(conv, account_id, state, ready_at, next_ord)
         VALUES($1, $2, 'ready', $3, 2)
         ON CONFLICT(conv) DO UPDATE SET
           next_ord = outbox_lanes.next_ord + 1,
           state = CASE WHEN outbox_lanes.state = 'busy' THEN 'busy' ELSE 'ready' END,
           ready_at = CASE
             WHEN outbox_lanes.state = 'idle' THEN excluded.ready_at
             WHEN outbox_lanes.state = 'busy' THEN outbox_lanes.ready_at
             WHEN outbox_lanes.ready_at <= excluded.ready_at THEN outbox_lanes.ready_at
             WHEN ",
        shut_until!(),
        " <= excluded.ready_at THEN excluded.ready_at
             WHEN ",
        shut_until!(),
        " < outbox_lanes.ready_at THEN ",
        shut_until!(),
        "
             ELSE outbox_lanes.ready_at END
         RETURNING next_ord"
    ))
    .bind(conv.as_str())
    .bind(account.as_str())
    .bind(now)
    .fetch_one(tx)
    .await?;
    Ok(next - 1)
}

/// Locks the lane until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, conv: &ConversationId) -> Result<()> {
    let lock = tx.sql("SELECT 1 FROM outbox_lanes WHERE conv = $1 {FOR UPDATE}");
    let _one: Option<i64> = sqlx::query_scalar(lock)
        .bind(conv.as_str())
        .fetch_optional(tx)
        .await?;
    Ok(())
}

/// Nothing leaves by the lane until `until`, whatever becomes of what is leaving.
pub(super) async fn pace(tx: &mut Tx, conv: &ConversationId, until: i64) -> Result<()> {
    query("UPDATE outbox_lanes SET paced_until = $2 WHERE conv = $1")
        .bind(conv.as_str())
        .bind(until)
        .execute(tx)
        .await?;
    Ok(())
}

/// The lane waits for the next attempt of `id`, until `until` at the latest.
pub(super) async fn block(
    tx: &mut Tx,
    conv: &ConversationId,
    id: &OutboxId,
    until: i64,
) -> Result<()> {
    query(
        "UPDATE outbox_lanes SET blocked_by = $2,
           blocked_until = CASE WHEN blocked_until > $3 THEN blocked_until ELSE $3 END
         WHERE conv = $1",
    )
    .bind(conv.as_str())
    .bind(id.as_str())
    .bind(until)
    .execute(tx)
    .await?;
    Ok(())
}

/// The lane waits no longer for `id`, if it did.
pub(super) async fn unblock(tx: &mut Tx, conv: &ConversationId, id: &OutboxId) -> Result<()> {
    query(
        "UPDATE outbox_lanes SET blocked_by = NULL, blocked_until = 0
         WHERE conv = $1 AND blocked_by = $2",
    )
    .bind(conv.as_str())
    .bind(id.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// The lane's state, from its messages. Under its lock, after whatever was written about them.
pub(in crate::store) async fn refresh(tx: &mut Tx, conv: &ConversationId) -> Result<()> {
    query(concat!(
        "UPDATE outbox_lanes SET
           state = CASE
             WHEN EXISTS(SELECT 1 FROM outbox o WHERE o.conv = $1 AND o.status = 'sending'
                         AND o.account_id = outbox_lanes.account_id) THEN 'busy'
             WHEN EXISTS(SELECT 1 FROM outbox o WHERE o.conv = $1 AND o.status = 'pending') THEN 'ready'
             ELSE 'idle' END,
           ready_at = COALESCE((SELECT CASE WHEN MIN(o.next_attempt_at) < ",
        shut_until!(),
        " THEN ",
        shut_until!(),
        " ELSE MIN(o.next_attempt_at) END
                                FROM outbox o WHERE o.conv = $1 AND o.status = 'pending'), 0)
         WHERE conv = $1"
    ))
    .bind(conv.as_str())
    .execute(tx)
    .await?;
    Ok(())
}
