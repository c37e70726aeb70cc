//! The PostgreSQL servers that tests stand on.

use std::path::Path;

use whatsapp_worker::rehearsal::postgres::{Postgres, SharedPostgres};

async fn ask(url: &str, question: &'static str) -> Result<i64, sqlx::Error> {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await?;
    let answer = sqlx::query_scalar(question)
        .fetch_one(&mut connection)
        .await;
    sqlx::Connection::close(connection).await?;
    answer
}

#[tokio::test]
async fn a_server_keeps_what_was_committed_when_it_is_restarted_or_killed() {
    let mut server = Postgres::start().await.expect("starts");
    let url = server.url();
    ask(&url, "WITH made AS (SELECT 1) SELECT COUNT(*) FROM made")
        .await
        .expect("answers");
    let url = server.create_database("other").await.expect("creates");
    let port = server.port();
    server.restart().await.expect("restarts");
    assert_eq!(server.port(), port);
    assert_eq!(ask(&url, "SELECT 7::bigint").await.expect("answers"), 7);
    server.kill().await.expect("dies");
    assert_eq!(server.pid(), None);
    ask(&url, "SELECT 7::bigint").await.expect_err("it is gone");
    server.resume().await.expect("recovers");
    assert_eq!(ask(&url, "SELECT 7::bigint").await.expect("answers"), 7);
    let pid = server.pid().expect("it runs");
    server.stop().await.expect("stops");
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn users_share_one_server_and_each_has_an_empty_database() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (one, two) = tokio::join!(SharedPostgres::join(dir), SharedPostgres::join(dir));
    let one = one.expect("joins").database().await.expect("creates");
    let two = two.expect("joins").database().await.expect("creates");
    const BEGAN: &str = "SELECT (EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000)::bigint";
    const TABLES: &str = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(
        ask(one.url(), BEGAN).await.expect("answers"),
        ask(two.url(), BEGAN).await.expect("answers")
    );
    assert_eq!(ask(one.url(), TABLES).await.expect("answers"), 0);
    assert_ne!(one.url(), two.url());
    let url = one.url().to_owned();
    one.remove().await.expect("removes");
    ask(&url, TABLES).await.expect_err("it is gone");
    two.remove().await.expect("removes");
}
