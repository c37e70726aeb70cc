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

/// When the first pending job of lane `$1` may be claimed: from `$2` on, but while a message that came
/// before it is awaited, not before that one's time is over.
macro_rules! claimable_from {
    () => {
        "(SELECT MAX(t.at) FROM (SELECT CAST($2 AS BIGINT) AS at
          UNION ALL SELECT m.held_until FROM missing m WHERE m.conv = $1 AND m.outcome IS NULL
            AND m.ord < (SELECT j.ord FROM jobs j WHERE j.conv = $1 AND j.status = 'pending'
                         ORDER BY j.ord, j.turn LIMIT 1)) t)"
    };
}

/// No claim holds the lane any more: its next job may be claimed from `ready_at` on, if it has one.
/// Whether it has.
pub(super) async fn free(tx: &mut Tx, lane: &Lane, ready_at: i64) -> Result<bool> {
    let state: String = sqlx::query_scalar(concat!(
        "UPDATE lanes SET ready_at = ",
        claimable_from!(),
        ", lock_token = NULL, locked_until = 0,
           state = CASE WHEN EXISTS(SELECT 1 FROM jobs WHERE conv = $1 AND status = 'pending')
                   THEN 'ready' ELSE 'idle' END
         WHERE conv = $1 RETURNING state"
    ))
    .bind(lane.conv.as_str())
    .bind(ready_at)
    .fetch_one(tx)
    .await?;
    Ok(state == "ready")
}

/// The lane of `conv` has got work: one that waits or works stays as it is, an idle one becomes ready.
/// Whether it did.
pub(in crate::store) async fn wake(
    tx: &mut Tx,
    conv: &ConversationId,
    account: &AccountId,
    now: i64,
) -> Result<bool> {
    let woken = query(concat!(
        "INSERT INTO lanes(conv, account_id, state, ready_at) VALUES($1, $3, 'ready', ",
        claimable_from!(),
        ") ON CONFLICT(conv) DO UPDATE SET state = 'ready', ready_at = excluded.ready_at
         WHERE lanes.state = 'idle'"
    ))
    .bind(conv.as_str())
    .bind(now)
    .bind(account.as_str())
    .execute(tx)
    .await?;
    Ok(woken.rows_affected() > 0)
}

/// An idle lane that was given another's jobs becomes ready.
pub(in crate::store) async fn wake_if_any(
    tx: &mut Tx,
    conv: &ConversationId,
    now: i64,
) -> Result<()> {
    query(concat!(
        "UPDATE lanes SET state = 'ready', ready_at = ",
        claimable_from!(),
        " WHERE conv = $1 AND state = 'idle'
         AND EXISTS(SELECT 1 FROM jobs WHERE conv = $1 AND status = 'pending')"
    ))
    .bind(conv.as_str())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// A message that the lane of `conv` may have waited for has come: the lane waits no more than it must.
/// One whose first job waits to be tried again stays as it is. Whether anything changed.
pub(in crate::store) async fn relieve(
    tx: &mut Tx,
    conv: &ConversationId,
    now: i64,
) -> Result<bool> {
    let relieved = query(concat!(
        "UPDATE lanes SET ready_at = ",
        claimable_from!(),
        " WHERE conv = $1 AND state = 'ready' AND ready_at > $2
           AND 0 = (SELECT j.attempt_count FROM jobs j WHERE j.conv = $1 AND j.status = 'pending'
                    ORDER BY j.ord, j.turn LIMIT 1)"
    ))
    .bind(conv.as_str())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(relieved.rows_affected() > 0)
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
