//! A large store behind the measurement, made by SQL.

use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use whatsapp_worker::store::Engine;

/// Jobs of one conversation among the many small ones.
const EACH: u64 = 10;

/// Rows of one transaction.
const PART: u64 = 500_000;

/// Makes `jobs` pending ones, a tenth of them in one conversation, and ten times as many dedupe rows.
pub async fn fill(url: &str, engine: Engine, jobs: u64) {
    let mut connection = AnyConnection::connect(url).await.expect("connects");
    let hot = jobs / 10;
    let talks = (jobs - hot) / EACH;
    let pad = |n: &str, width: u32| match engine {
        Engine::Sqlite => format!("printf('%0{width}d', {n})"),
        Engine::Postgres => format!("lpad(({n})::text, {width}, '0')"),
    };
    let conv = format!(
        "CASE WHEN i <= {hot} THEN 'conv_hot' ELSE 'conv_' || {} END",
        pad(&format!("i % {talks}"), 10)
    );
    parts(&mut connection, jobs, &|range| {
        format!(
            "INSERT INTO jobs(job_id, account_id, conv, ord, kind, key, status, summary, created_at, updated_at)
             SELECT 'job_' || {}, 'bench', {conv}, i, 'message', 'F' || {}, 'pending', 'text', 1, 1
             FROM {range}",
            pad("i", 12),
            pad("i", 12)
        )
    })
    .await;
    parts(&mut connection, jobs, &|range| {
        format!(
            "INSERT INTO messages(account_id, key, conv, message_id, sender_pn, from_me, sent_at, content,
               context, raw, committed_at)
             SELECT 'bench', 'F' || {0}, {conv}, 'F' || {0}, '49@s.whatsapp.net', 0, 1,
               '{{\"type\":\"text\",\"body\":\"filled\"}}', '{{}}', {1}, 1 FROM {range}",
            pad("i", 12),
            match engine {
                Engine::Sqlite => "x'00'",
                Engine::Postgres => "'\\x00'::bytea",
            }
        )
    })
    .await;
    parts(&mut connection, jobs * 10, &|range| {
        format!(
            "INSERT INTO inbox(account_id, key, message_id, sender_pn, from_me, content_hash, result, epoch,
               committed_at)
             SELECT 'bench', 'F' || {0}, 'F' || {0}, '49@s.whatsapp.net', 0,
               '00000000000000000000000000000000', 'queued', 1, i FROM {range}",
            pad("i", 12)
        )
    })
    .await;
    // Made ready long before whatever is measured, so that a claim has all of them before it.
    run(
        &mut connection,
        "INSERT INTO lanes(conv, account_id, state, ready_at) SELECT DISTINCT conv, 'bench', 'ready', 1
         FROM jobs WHERE conv NOT IN (SELECT conv FROM lanes)",
    )
    .await;
    run(&mut connection, "ANALYZE").await;
    connection.close().await.expect("closes");
}

async fn parts(connection: &mut AnyConnection, rows: u64, insert: &dyn Fn(&str) -> String) {
    for from in (0..rows).step_by(usize::try_from(PART).expect("small")) {
        let to = rows.min(from + PART);
        let range = format!(
            "(WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n WHERE i < {to}) SELECT i FROM n) part",
            from + 1
        );
        run(connection, &insert(&range)).await;
    }
}

async fn run(connection: &mut AnyConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .expect("fills");
}
