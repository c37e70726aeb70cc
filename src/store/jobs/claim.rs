//! Taking the next jobs.

use std::collections::HashMap;
use std::time::Duration;

use rand::seq::SliceRandom;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Row, query};

use super::lane::{self, Lane};
use super::{JobDetail, details, places};
use crate::ids::{AccountId, ClaimToken};
use crate::store::connections::Tx;
use crate::store::lease::millis;
use crate::store::{Result, Store, stored};

/// Who wants how many jobs.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Only of these accounts; `None`: of all.
    pub accounts: Option<Vec<AccountId>>,
    /// Who asks, for people: stored with the job.
    pub processor_id: String,
    /// At most so many, 1 to 100. Each is of another conversation.
    pub limit: usize,
    /// How long the claims hold without a heartbeat.
    pub lock: Duration,
}

/// A job that was claimed.
#[derive(Clone, Debug, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The job with its message.
    pub job: JobDetail,
    /// What finishing it needs.
    #[schema(value_type = String)]
    pub claim_token: ClaimToken,
    /// Which attempt this is, from 1.
    pub attempt: i64,
    /// Until when it holds, store's clock.
    pub locked_until: i64,
}

/// Where work waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Accounts and priorities with a lane that may be claimed now.
    due: Vec<(AccountId, i64)>,
    /// How long until the next lane may be claimed, when one waits for its time.
    pub next_in: Option<Duration>,
    now: i64,
}

impl Outlook {
    /// Whether a claim would find something.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

impl Store {
    /// Where work waits for agents: one look at the head of an index for each account and priority.
    /// Accounts that are paused have none, and nobody has while everything is paused.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`].
    pub async fn outlook(&self, accounts: Option<&[AccountId]>) -> Result<Outlook> {
        let accounts = accounts.map(|ids| ids.iter().map(AccountId::as_str).collect::<Vec<_>>());
        if accounts.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Outlook::default());
        }
        let only = accounts.as_ref().map_or_else(String::new, |ids| {
            format!("AND a.account_id IN ({})", places(1, ids.len()))
        });
        let look = self.sql(&format!(
            "SELECT a.account_id, p.priority, {{NOW}} AS now,
               (SELECT MIN(l.ready_at) FROM lanes l WHERE l.account_id = a.account_id
                AND l.priority = p.priority AND l.state = 'ready') AS ready_at
             FROM accounts a
             CROSS JOIN (SELECT 1 AS priority UNION ALL SELECT 0 UNION ALL SELECT -1) p
             WHERE a.paused = 0 {only}
               AND NOT EXISTS(SELECT 1 FROM controls WHERE paused = 1)"
        ));
        let rows = accounts
            .iter()
            .flatten()
            .fold(query(look), |query, id| query.bind(*id))
            .fetch_all(&self.readers)
            .await?;
        let mut outlook = Outlook::default();
        let mut next: Option<i64> = None;
        for row in &rows {
            outlook.now = row.try_get("now")?;
            match row.try_get::<Option<i64>, _>("ready_at")? {
                None => {}
                Some(at) if at > outlook.now => next = Some(next.map_or(at, |next| next.min(at))),
                Some(_) => {
                    let account: String = row.try_get("account_id")?;
                    // What this version cannot name it cannot work for.
                    if let Ok(account) = account.parse() {
                        outlook.due.push((account, row.try_get("priority")?));
                    }
                }
            }
        }
        outlook.next_in = next
            .map(|at| Duration::from_millis(u64::try_from(at - outlook.now).unwrap_or_default()));
        Ok(outlook)
    }

    /// Claims the first jobs of lanes that nobody works on, of high lanes first. Accounts of one
    /// priority take turns by chance. A claim that is not finished or renewed by its end is
    /// [requeued](Store::requeue_stale).
    ///
    /// # Errors
    /// [`crate::store::StoreError::Unavailable`]: what was claimed, if anything, comes back when the
    /// claim has run out.
    pub async fn claim_jobs(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        let outlook = self.outlook(request.accounts.as_deref()).await?;
        self.claim_where(request, outlook).await
    }

    /// As [`Store::claim_jobs`], after a look.
    ///
    /// # Errors
    /// As there.
    pub async fn claim_where(
        &self,
        request: &ClaimRequest,
        mut outlook: Outlook,
    ) -> Result<Vec<Claim>> {
        if outlook.due.is_empty() {
            return Ok(Vec::new());
        }
        outlook.due.shuffle(&mut rand::rng());
        outlook.due.sort_by_key(|(_, priority)| -priority);
        let limit = request.limit.clamp(1, 100);
        let mut tx = self.begin().await?;
        let lanes = pick(&mut tx, &outlook, limit).await?;
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let now = tx.now().await?;
        let token = ClaimToken::random();
        let locked_until = now.saturating_add(millis(request.lock));
        let claimed = hold(&mut tx, &lanes, &token, request, now, locked_until).await?;
        let claimed: Vec<&str> = claimed.iter().map(String::as_str).collect();
        let mut found = details(&mut tx, &claimed).await?;
        let order: HashMap<&str, usize> = lanes.iter().map(|l| l.conv.as_str()).zip(0..).collect();
        found.sort_by_key(|detail| order.get(detail.job.conversation_id.as_str()).copied());
        tx.commit().await?;
        Ok(found
            .into_iter()
            .map(|job| Claim {
                claim_token: token.clone(),
                attempt: job.job.attempt_count,
                locked_until,
                job,
            })
            .collect())
    }
}

/// Locks up to `limit` lanes, of the highest priority first: a fair part of each account, and then
/// whatever is there.
async fn pick(tx: &mut Tx, outlook: &Outlook, limit: usize) -> Result<Vec<Lane>> {
    let mut lanes: Vec<Lane> = Vec::new();
    for rivals in outlook.due.chunk_by(|(_, one), (_, other)| one == other) {
        let mut share = (limit - lanes.len()).div_ceil(rivals.len());
        loop {
            for (account, priority) in rivals {
                let room = share.min(limit - lanes.len());
                if room == 0 {
                    return Ok(lanes);
                }
                pick_of(tx, account, *priority, outlook.now, room, &mut lanes).await?;
            }
            if rivals.len() == 1 || share >= limit {
                break;
            }
            share = limit;
        }
    }
    Ok(lanes)
}

async fn pick_of(
    tx: &mut Tx,
    account: &AccountId,
    priority: i64,
    now: i64,
    room: usize,
    lanes: &mut Vec<Lane>,
) -> Result<()> {
    let known: Vec<String> = lanes
        .iter()
        .filter(|lane| lane.account == *account)
        .map(|lane| lane.conv.as_str().to_owned())
        .collect();
    let others = if known.is_empty() {
        String::new()
    } else {
        format!("AND conv NOT IN ({})", places(5, known.len()))
    };
    // Paused since the look: not claimed either.
    let select = tx.sql(&format!(
        "SELECT conv, account_id, state FROM lanes
         WHERE account_id = $1 AND priority = $2 AND state = 'ready' AND ready_at <= $3 {others}
           AND NOT EXISTS(SELECT 1 FROM controls WHERE paused = 1)
           AND NOT EXISTS(SELECT 1 FROM accounts WHERE account_id = $1 AND paused = 1)
         ORDER BY ready_at LIMIT $4 {{FOR UPDATE SKIP LOCKED}}"
    ));
    let select = query(select)
        .bind(account.as_str())
        .bind(priority)
        .bind(now)
        .bind(i64::try_from(room).unwrap_or(1));
    let rows = known
        .into_iter()
        .fold(select, |query, conv| query.bind(conv))
        .fetch_all(tx)
        .await?;
    for row in &rows {
        lanes.push(lane::read(row)?);
    }
    Ok(())
}

/// Makes the claim hold the locked `lanes` and the first job of each; returns the jobs' ids.
async fn hold(
    tx: &mut Tx,
    lanes: &[Lane],
    token: &ClaimToken,
    request: &ClaimRequest,
    now: i64,
    locked_until: i64,
) -> Result<Vec<String>> {
    let convs: Vec<&str> = lanes.iter().map(|lane| lane.conv.as_str()).collect();
    // In a statement of its own: what others committed before the lanes were ours is seen.
    let take = tx.sql(&format!(
        "UPDATE jobs SET status = 'processing', claim_token = $1, processor_id = $2, locked_until = $3,
           started_at = $4, updated_at = $4, attempt_count = attempt_count + 1
         WHERE job_id IN (SELECT (SELECT j.job_id FROM jobs j WHERE j.conv = l.conv
             AND j.status = 'pending' ORDER BY j.ord, j.turn LIMIT 1)
           FROM lanes l WHERE l.conv IN ({})) RETURNING job_id, conv",
        places(5, convs.len())
    ));
    let take = query(take)
        .bind(token.as_str())
        .bind(stored(&request.processor_id))
        .bind(locked_until)
        .bind(now);
    let rows = bind_all(take, &convs).fetch_all(&mut *tx).await?;
    let mut jobs = Vec::with_capacity(rows.len());
    let mut working = Vec::with_capacity(rows.len());
    for row in &rows {
        jobs.push(row.try_get("job_id")?);
        working.push(row.try_get::<String, _>("conv")?);
    }
    let working: Vec<&str> = working.iter().map(String::as_str).collect();
    if !working.is_empty() {
        let busy = sqlx::AssertSqlSafe(format!(
            "UPDATE lanes SET state = 'busy', lock_token = $1, locked_until = $2 WHERE conv IN ({})",
            places(3, working.len())
        ));
        let busy = query(busy).bind(token.as_str()).bind(locked_until);
        bind_all(busy, &working).execute(&mut *tx).await?;
    }
    let idle: Vec<&str> = convs
        .into_iter()
        .filter(|conv| !working.contains(conv))
        .collect();
    if !idle.is_empty() {
        let put_right = sqlx::AssertSqlSafe(format!(
            "UPDATE lanes SET state = 'idle' WHERE conv IN ({})",
            places(1, idle.len())
        ));
        bind_all(query(put_right), &idle).execute(&mut *tx).await?;
    }
    Ok(jobs)
}

type Bound<'q> = Query<'q, Any, AnyArguments>;

fn bind_all<'q>(query: Bound<'q>, values: &[&'q str]) -> Bound<'q> {
    values.iter().fold(query, |query, value| query.bind(*value))
}
