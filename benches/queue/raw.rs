//! The same work in raw SQL: the writes and reads that it cannot do without, on a connection for each
//! worker, with no checks, no audit, no waking.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, query, query_scalar};
use whatsapp_worker::store::Engine;

use super::{BATCH, CONSUMERS, Rates, Site, TALKS, WORK, rate};

static WRITTEN: AtomicUsize = AtomicUsize::new(0);

pub async fn measure(site: &Site) -> Rates {
    let mut connection = connect(site).await;
    let began = Instant::now();
    for _ in 0..WORK / BATCH {
        enqueue(&mut connection, site.engine).await;
    }
    let mut rates = [rate(WORK, began), 0.0, 0.0, 0.0];
    for (slot, consumers) in CONSUMERS.into_iter().enumerate() {
        for _ in 0..WORK / BATCH {
            enqueue(&mut connection, site.engine).await;
        }
        let taken = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let mut agents = Vec::new();
        for _ in 0..consumers {
            let (connection, taken) = (connect(site).await, taken.clone());
            agents.push(tokio::spawn(agent(connection, site.engine, taken)));
        }
        for agent in agents {
            agent.await.expect("it works");
        }
        rates[slot + 1] = rate(WORK, began);
    }
    rates
}

async fn connect(site: &Site) -> AnyConnection {
    let mut connection = AnyConnection::connect(&site.url).await.expect("connects");
    if site.engine == Engine::Sqlite {
        let pragmas = "PRAGMA busy_timeout = 30000; PRAGMA synchronous = FULL";
        connection.execute(pragmas).await.expect("sets");
    }
    connection
}

const fn begin(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "BEGIN IMMEDIATE",
        Engine::Postgres => "BEGIN",
    }
}

async fn enqueue(connection: &mut AnyConnection, engine: Engine) {
    let mut tx = connection.begin_with(begin(engine)).await.expect("begins");
    for _ in 0..BATCH {
        let n = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let (key, conv) = (format!("RAW{n:010}"), format!("conv_raw{}", n % TALKS));
        query(
            "INSERT INTO inbox(account_id, key, message_id, sender_pn, from_me, content_hash, result,
               conv, epoch, committed_at)
             VALUES('bench', $1, $1, '49@s.whatsapp.net', 0, '00', 'queued', $2, 1, 1)
             ON CONFLICT(account_id, key) DO NOTHING",
        )
        .bind(&key)
        .bind(&conv)
        .execute(&mut *tx)
        .await
        .expect("inserts");
        query(
            "INSERT INTO messages(account_id, key, conv, message_id, sender_pn, from_me, sent_at, content,
               context, raw, committed_at)
             VALUES('bench', $1, $2, $1, '49@s.whatsapp.net', 0, 1, '{}', '{}', $3, 1)",
        )
        .bind(&key)
        .bind(&conv)
        .bind(vec![7_u8; 200])
        .execute(&mut *tx)
        .await
        .expect("inserts");
        query(
            "INSERT INTO jobs(job_id, account_id, conv, ord, kind, key, status, summary, created_at,
               updated_at)
             VALUES($1, 'bench', $2, $3, 'message', $1, 'pending', 'text', 1, 1)",
        )
        .bind(&key)
        .bind(&conv)
        .bind(i64::try_from(n).expect("small"))
        .execute(&mut *tx)
        .await
        .expect("inserts");
    }
    for n in 0..TALKS {
        query(
            "INSERT INTO lanes(conv, account_id, state, ready_at) VALUES($1, 'bench', 'ready', 2)
             ON CONFLICT(conv) DO UPDATE SET state = 'ready' WHERE lanes.state = 'idle'",
        )
        .bind(format!("conv_raw{n}"))
        .execute(&mut *tx)
        .await
        .expect("inserts");
    }
    tx.commit().await.expect("commits");
}

async fn agent(mut connection: AnyConnection, engine: Engine, taken: Arc<AtomicUsize>) {
    while taken.fetch_add(1, Ordering::Relaxed) < WORK {
        let (conv, job) = loop {
            if let Some(claimed) = claim(&mut connection, engine).await {
                break claimed;
            }
        };
        complete(&mut connection, engine, &conv, &job).await;
    }
}

async fn claim(connection: &mut AnyConnection, engine: Engine) -> Option<(String, String)> {
    let mut tx = connection.begin_with(begin(engine)).await.expect("begins");
    let lock = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => "FOR UPDATE SKIP LOCKED",
    };
    let pick = AssertSqlSafe(format!(
        "SELECT conv FROM lanes WHERE account_id = 'bench' AND priority = 0 AND state = 'ready'
         ORDER BY ready_at LIMIT 1 {lock}"
    ));
    let conv: String = query_scalar(pick)
        .fetch_optional(&mut *tx)
        .await
        .expect("reads")?;
    query("UPDATE lanes SET state = 'busy', lock_token = 'raw', locked_until = 9 WHERE conv = $1")
        .bind(&conv)
        .execute(&mut *tx)
        .await
        .expect("updates");
    let job: String = query_scalar(
        "UPDATE jobs SET status = 'processing', claim_token = 'raw', attempt_count = attempt_count + 1
         WHERE job_id = (SELECT job_id FROM jobs WHERE conv = $1 AND status = 'pending'
           ORDER BY ord, turn LIMIT 1) RETURNING job_id",
    )
    .bind(&conv)
    .fetch_one(&mut *tx)
    .await
    .expect("updates");
    query(
        "SELECT m.content FROM jobs j JOIN messages m ON m.account_id = j.account_id AND m.key = j.key
         WHERE j.job_id = $1",
    )
    .bind(&job)
    .fetch_optional(&mut *tx)
    .await
    .expect("reads");
    tx.commit().await.expect("commits");
    Some((conv, job))
}

async fn complete(connection: &mut AnyConnection, engine: Engine, conv: &str, job: &str) {
    let mut tx = connection.begin_with(begin(engine)).await.expect("begins");
    let lock = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => "FOR UPDATE",
    };
    let held = AssertSqlSafe(format!(
        "SELECT conv FROM lanes WHERE conv = $1 AND lock_token = 'raw' {lock}"
    ));
    query(held)
        .bind(conv)
        .fetch_one(&mut *tx)
        .await
        .expect("reads");
    query("UPDATE jobs SET status = 'completed', finished_at = 3 WHERE job_id = $1")
        .bind(job)
        .execute(&mut *tx)
        .await
        .expect("updates");
    query(
        "INSERT INTO outbox_lanes(conv, account_id, state, ready_at, next_ord)
         VALUES($1, 'bench', 'ready', 1, 1) ON CONFLICT(conv) DO UPDATE SET next_ord = outbox_lanes.next_ord + 1",
    )
    .bind(conv)
    .execute(&mut *tx)
    .await
    .expect("inserts");
    query(
        "INSERT INTO outbox(outbox_id, account_id, conv, ord, message_id, content, source, job_id,
           reply_index, status, next_attempt_at, created_at, updated_at)
         VALUES($1, 'bench', $2, (SELECT next_ord FROM outbox_lanes WHERE conv = $2), $1, '{}', 'reply', $3,
           0, 'pending', 1, 1, 1)",
    )
    .bind(format!("raw_{job}"))
    .bind(conv)
    .bind(job)
    .execute(&mut *tx)
    .await
    .expect("inserts");
    query(
        "UPDATE lanes SET lock_token = NULL, locked_until = 0, ready_at = 3,
           state = CASE WHEN EXISTS(SELECT 1 FROM jobs WHERE conv = $1 AND status = 'pending')
                   THEN 'ready' ELSE 'idle' END WHERE conv = $1",
    )
    .bind(conv)
    .execute(&mut *tx)
    .await
    .expect("updates");
    tx.commit().await.expect("commits");
}
