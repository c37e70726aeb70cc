//! A lane's row: it is locked before anything about its jobs is changed.

use sqlx::{Row, query};

use crate::ids::{AccountId, ClaimToken, ConversationId, JobId};
use crate::store::Result;
use crate::store::columns::account_id;
use crate::store::connections::Tx;

/// A lane whose row this transaction has locked.
pub(super) struct Lane {
    pub(super) conv: ConversationId,
    pub(super) account: AccountId,
    /// When it was locked.
    pub(super) state: LaneState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneState {
    Idle,
    Ready,
    Busy,
}

/// Locks the lane that the claim `token` of `job` holds. `None`: the claim was lost.
pub(super) async fn lock_claimed(
    tx: &mut Tx,
    job: &JobId,
    token: &ClaimToken,
) -> Result<Option<Lane>> {
    let lock = tx.sql(
        "SELECT conv, account_id, state FROM lanes WHERE conv = (SELECT conv FROM jobs WHERE job_id = $1)
         AND state = 'busy' AND lock_token = $2 {FOR UPDATE}",
    );
    let row = query(lock)
        .bind(job.as_str())
        .bind(token.as_str())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Locks the lane of `job`, whatever its state. `None`: there is no such job, or it never was work.
pub(super) async fn lock_of(tx: &mut Tx, job: &JobId) -> Result<Option<Lane>> {
    let lock = tx.sql(
        "SELECT conv, account_id, state FROM lanes WHERE conv = (SELECT conv FROM jobs WHERE job_id = $1)
         {FOR UPDATE}",
    );
    let row = query(lock).bind(job.as_str()).fetch_optional(tx).await?;
    row.as_ref().map(read).transpose()
}

/// No claim holds the lane any more: its next job may be claimed from `ready_at` on, if it has one.
/// Whether it has.
pub(super) async fn free(tx: &mut Tx, lane: &Lane, ready_at: i64) -> Result<bool> {
    let state: String = sqlx::query_scalar(
        "UPDATE lanes SET ready_at = $2, lock_token = NULL, locked_until = 0,
           state = CASE WHEN EXISTS(SELECT 1 FROM jobs WHERE conv = $1 AND status = 'pending')
                   THEN 'ready' ELSE 'idle' END
         WHERE conv = $1 RETURNING state",
    )
    .bind(lane.conv.as_str())
    .bind(ready_at)
    .fetch_one(tx)
    .await?;
    Ok(state == "ready")
}

pub(super) fn read(row: &sqlx::any::AnyRow) -> Result<Lane> {
    Ok(Lane {
        conv: ConversationId(row.try_get("conv")?),
        account: account_id(row, "lanes")?,
        state: match row.try_get("state")? {
            "idle" => LaneState::Idle,
            "ready" => LaneState::Ready,
            _ => LaneState::Busy,
        },
    })
}
