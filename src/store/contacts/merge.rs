//! Two conversations with one person become one.
//!
//! A conversation that was opened by a number and one that was opened by a hidden id are of the same
//! person once somebody tells that both belong together. The older one stays. What waits in the
//! other's lanes goes to the end of its lanes, in order; while somebody works there it is left, until
//! it is told again.

use sqlx::query;

use crate::ids::{AccountId, ConversationId};
use crate::inbound::message::Party;
use crate::store::columns::address;
use crate::store::connections::Tx;
use crate::store::jobs::lane;
use crate::store::{Result, outbox};

/// A conversation that went, and the one that it went into.
pub(in crate::store) struct Merged {
    pub(in crate::store) keep: ConversationId,
    pub(in crate::store) gone: ConversationId,
}

/// Makes one of the conversations with `person`, if there are two. Locks are taken in the order of all
/// others: lanes, conversations, lanes of the outbox. The caller's transaction is fenced: no other
/// merges for this account.
pub(in crate::store) async fn conversations_of(
    tx: &mut Tx,
    account: &AccountId,
    person: &Party,
    now: i64,
) -> Result<Option<Merged>> {
    let Some((keep, gone)) = pair(tx, account, person).await? else {
        teach(tx, account, person).await?;
        return Ok(None);
    };
    if is_busy(tx, "lanes", &keep, &gone).await? {
        return Ok(None);
    }
    let lock =
        tx.sql("SELECT conv FROM conversations WHERE conv IN ($1, $2) ORDER BY conv {FOR UPDATE}");
    query(lock)
        .bind(keep.as_str())
        .bind(gone.as_str())
        .fetch_all(&mut *tx)
        .await?;
    if is_busy(tx, "outbox_lanes", &keep, &gone).await? {
        return Ok(None);
    }
    move_jobs(tx, account, &keep, &gone, now).await?;
    move_outgoing(tx, account, &keep, &gone).await?;
    move_messages(tx, &keep, &gone).await?;
    query("UPDATE conversations SET pn = NULL, lid = NULL, merged_into = $2 WHERE conv = $1")
        .bind(gone.as_str())
        .bind(keep.as_str())
        .execute(&mut *tx)
        .await?;
    query("UPDATE conversations SET merged_into = $2 WHERE merged_into = $1")
        .bind(gone.as_str())
        .bind(keep.as_str())
        .execute(&mut *tx)
        .await?;
    query("UPDATE conversations SET pn = $2, lid = $3 WHERE conv = $1")
        .bind(keep.as_str())
        .bind(address(person.pn.as_ref()))
        .bind(address(person.lid.as_ref()))
        .execute(tx)
        .await?;
    Ok(Some(Merged { keep, gone }))
}

/// The one that stays and the one that goes.
async fn pair(
    tx: &mut Tx,
    account: &AccountId,
    person: &Party,
) -> Result<Option<(ConversationId, ConversationId)>> {
    let both: Vec<String> = sqlx::query_scalar(
        "SELECT conv FROM conversations
         WHERE account_id = $1 AND ((pn = $2 AND lid IS NULL) OR (lid = $3 AND pn IS NULL))
         ORDER BY created_at, conv",
    )
    .bind(account.as_str())
    .bind(address(person.pn.as_ref()))
    .bind(address(person.lid.as_ref()))
    .fetch_all(tx)
    .await?;
    Ok(match <[String; 2]>::try_from(both) {
        Ok([keep, gone]) => Some((ConversationId(keep), ConversationId(gone))),
        Err(_) => None,
    })
}

/// The one conversation with `person` learns the other form, unless another one has it.
async fn teach(tx: &mut Tx, account: &AccountId, person: &Party) -> Result<()> {
    query(
        "UPDATE conversations SET pn = $2, lid = $3
         WHERE account_id = $1 AND ((pn = $2 AND lid IS NULL) OR (lid = $3 AND pn IS NULL))
         AND NOT EXISTS(SELECT 1 FROM conversations o WHERE o.account_id = $1
                        AND (o.pn = $2 OR o.lid = $3) AND o.conv <> conversations.conv)",
    )
    .bind(account.as_str())
    .bind(address(person.pn.as_ref()))
    .bind(address(person.lid.as_ref()))
    .execute(tx)
    .await?;
    Ok(())
}

/// Locks the lanes of both, and tells whether anybody works in the one that goes.
async fn is_busy(
    tx: &mut Tx,
    table: &str,
    keep: &ConversationId,
    gone: &ConversationId,
) -> Result<bool> {
    let lanes = tx.sql(&format!(
        "SELECT conv, state FROM {table} WHERE conv IN ($1, $2) ORDER BY conv {{FOR UPDATE}}"
    ));
    let lanes: Vec<(String, String)> = sqlx::query_as(lanes)
        .bind(keep.as_str())
        .bind(gone.as_str())
        .fetch_all(tx)
        .await?;
    Ok(lanes
        .iter()
        .any(|(conv, state)| conv == gone.as_str() && state == "busy"))
}

/// A job's order is given out for the whole account, so it needs no other.
async fn move_jobs(
    tx: &mut Tx,
    account: &AccountId,
    keep: &ConversationId,
    gone: &ConversationId,
    now: i64,
) -> Result<()> {
    query(
        "INSERT INTO lanes(conv, account_id, state, ready_at)
         SELECT $1, $2, 'idle', $4 WHERE EXISTS(SELECT 1 FROM lanes WHERE conv = $3)
         ON CONFLICT(conv) DO NOTHING",
    )
    .bind(keep.as_str())
    .bind(account.as_str())
    .bind(gone.as_str())
    .bind(now)
    .execute(&mut *tx)
    .await?;
    query("UPDATE jobs SET conv = $1 WHERE conv = $2")
        .bind(keep.as_str())
        .bind(gone.as_str())
        .execute(&mut *tx)
        .await?;
    query("UPDATE missing SET conv = $1 WHERE conv = $2")
        .bind(keep.as_str())
        .bind(gone.as_str())
        .execute(&mut *tx)
        .await?;
    lane::wake_if_any(tx, keep, now).await?;
    query("DELETE FROM lanes WHERE conv = $1")
        .bind(gone.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

async fn move_outgoing(
    tx: &mut Tx,
    account: &AccountId,
    keep: &ConversationId,
    gone: &ConversationId,
) -> Result<()> {
    let given: Option<(i64, Option<String>, i64, i64)> = sqlx::query_as(
        "SELECT next_ord, blocked_by, blocked_until, paced_until FROM outbox_lanes WHERE conv = $1",
    )
    .bind(gone.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((given, blocked_by, blocked_until, paced_until)) = given else {
        return Ok(());
    };
    // The later wait of both holds: what waits for its next attempt must not be overtaken.
    let behind: i64 = sqlx::query_scalar(
        "INSERT INTO outbox_lanes(conv, account_id, state, ready_at, next_ord, blocked_by, blocked_until,
           paced_until)
         VALUES($1, $2, 'idle', 0, $3, $4, $5, $6)
         ON CONFLICT(conv) DO UPDATE SET next_ord = outbox_lanes.next_ord + excluded.next_ord,
           blocked_by = CASE WHEN excluded.blocked_until > outbox_lanes.blocked_until
             THEN excluded.blocked_by ELSE outbox_lanes.blocked_by END,
           blocked_until = CASE WHEN excluded.blocked_until > outbox_lanes.blocked_until
             THEN excluded.blocked_until ELSE outbox_lanes.blocked_until END,
           paced_until = CASE WHEN excluded.paced_until > outbox_lanes.paced_until
             THEN excluded.paced_until ELSE outbox_lanes.paced_until END
         RETURNING next_ord",
    )
    .bind(keep.as_str())
    .bind(account.as_str())
    .bind(given)
    .bind(blocked_by)
    .bind(blocked_until)
    .bind(paced_until)
    .fetch_one(&mut *tx)
    .await?;
    query("UPDATE outbox SET conv = $1, ord = ord + $3 WHERE conv = $2")
        .bind(keep.as_str())
        .bind(gone.as_str())
        .bind(behind - given)
        .execute(&mut *tx)
        .await?;
    query("DELETE FROM outbox_lanes WHERE conv = $1")
        .bind(gone.as_str())
        .execute(&mut *tx)
        .await?;
    outbox::refresh_lane(tx, keep).await
}

async fn move_messages(tx: &mut Tx, keep: &ConversationId, gone: &ConversationId) -> Result<()> {
    for move_ in [
        // By the messages: the dedupe table has no index of conversations.
        "UPDATE inbox SET conv = $1 WHERE (account_id, key) IN
           (SELECT account_id, key FROM messages WHERE conv = $2)",
        "UPDATE messages SET conv = $1 WHERE conv = $2",
    ] {
        query(move_)
            .bind(keep.as_str())
            .bind(gone.as_str())
            .execute(&mut *tx)
            .await?;
    }
    query("DELETE FROM hints WHERE conv = $1")
        .bind(gone.as_str())
        .execute(tx)
        .await?;
    Ok(())
}
