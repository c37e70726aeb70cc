//! Auth states that were restored from a copy.

use whatsapp_worker::store::{AuthMedium, AuthOrder};

use super::{event, on_each_medium, order, refused, status, stop};
use crate::theatre::{PATIENCE, Theatre};

on_each_medium!(
    an_older_copy_is_refused_and_named_and_goes_on_when_that_is_accepted,
    an_acceptance_that_was_cut_short_begins_again,
    an_older_copy_does_not_move,
);

/// Runs SQL past the store.
pub async fn sql(theatre: &Theatre, text: &str) -> u64 {
    sqlx::any::install_default_drivers();
    let connection = <sqlx::AnyConnection as sqlx::Connection>::connect(theatre.store_url()).await;
    let mut connection = connection.expect("connects");
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned()))
        .execute(&mut connection)
        .await
        .expect("answers");
    sqlx::Connection::close(connection).await.expect("closes");
    done.rows_affected()
}

const TABLES: [&str; 2] = ["auth_records", "auth_heads"];

/// A copy of what the account's auth state is, wherever it lies.
pub enum Copy {
    File(Vec<u8>),
    Rows,
}

impl Copy {
    pub async fn take(theatre: &Theatre) -> Self {
        let file = theatre.stage.auth_dir().join("default").join("auth.db");
        if file.exists() {
            return Self::File(std::fs::read(file).expect("reads"));
        }
        for table in TABLES {
            let copy = format!("CREATE TABLE copy_of_{table} AS SELECT * FROM {table}");
            sql(theatre, &copy).await;
        }
        Self::Rows
    }

    pub async fn put_back(&self, theatre: &Theatre) {
        match self {
            Self::File(bytes) => {
                let file = theatre.stage.auth_dir().join("default").join("auth.db");
                std::fs::write(file, bytes).expect("writes");
            }
            Self::Rows => {
                for table in TABLES {
                    sql(theatre, &format!("DELETE FROM {table}")).await;
                    let back = format!("INSERT INTO {table} SELECT * FROM copy_of_{table}");
                    assert!(sql(theatre, &back).await > 0);
                }
            }
        }
    }
}

/// A message of Alice's is queued, and answered; she can read the answer.
pub async fn both_ways(theatre: &Theatre, text: &str) {
    let before = theatre.alice.received();
    let id = theatre.text(text);
    theatre.jobs_of(&[id]).await;
    let is_new = |delivery: &simulator::Delivery| {
        let known = before.iter().any(|earlier| earlier.id == delivery.id);
        !known && !delivery.from_me && !delivery.peer
    };
    let answer = theatre.alice.wait_for(PATIENCE, is_new).await;
    answer.expect("she reads the answer");
}

async fn an_older_copy_is_refused_and_named_and_goes_on_when_that_is_accepted(theatre: Theatre) {
    let worker = theatre.linked_worker("one").await;
    both_ways(&theatre, "before the copy").await;
    stop(worker).await;
    let copy = Copy::take(&theatre).await;
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    for n in 0..3 {
        both_ways(&theatre, &format!("after the copy {n}")).await;
    }
    stop(worker).await;
    copy.put_back(&theatre).await;
    let worker = theatre.stage.start("one").expect("starts");
    let why = refused(&worker).await;
    for part in [
        "older copy",
        "auth accept-rollback default",
        "auth clear default",
    ] {
        assert!(why.contains(part), "{why}");
    }
    let told = event(&worker, "whatsapp.auth.rollback_detected").await;
    let writes = |name: &str| told[name].as_u64().expect("a number");
    assert!(writes("writes") < writes("knownWrites"), "{told}");
    let shown = status(&theatre, |status| status.state == "failed").await;
    assert_eq!(shown.reason.as_deref(), Some("auth_rolled_back"));
    order(&theatre, AuthOrder::AcceptRollback).await;
    theatre.connected(&worker, 1).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
    both_ways(&theatre, "after it was accepted").await;
    both_ways(&theatre, "and once more").await;
    assert_eq!(theatre.sim.lint(), [], "violations of the protocol");
    let store = theatre.store().await;
    assert_eq!(
        store.auth_order(&theatre.account).await.expect("answers"),
        None
    );
    stop(worker).await;
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    both_ways(&theatre, "and after a restart").await;
}

/// A state that was used after a copy of it was made, with the copy in its place.
async fn rolled_back(theatre: &Theatre) {
    let worker = theatre.linked_worker("one").await;
    both_ways(theatre, "before the copy").await;
    stop(worker).await;
    let copy = Copy::take(theatre).await;
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    both_ways(theatre, "after the copy").await;
    both_ways(theatre, "and once more").await;
    stop(worker).await;
    copy.put_back(theatre).await;
}

/// Whoever died while it forgot the ratchets had written enough to look newer than the mark.
async fn an_acceptance_that_was_cut_short_begins_again(theatre: Theatre) {
    rolled_back(&theatre).await;
    order(&theatre, AuthOrder::AcceptRollback).await;
    let ahead = "UPDATE auth_heads SET writes = writes + 1000";
    sql(&theatre, ahead).await;
    sql(&theatre, "UPDATE auth_marks SET writes = 0").await;
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    both_ways(&theatre, "after it was accepted").await;
    assert_eq!(theatre.sim.lint(), [], "no counter was used twice");
}

async fn an_older_copy_does_not_move(theatre: Theatre) {
    rolled_back(&theatre).await;
    let store = theatre.store().await;
    let account = store.account(&theatre.account).await.expect("answers");
    let to = match account.expect("there").auth_medium {
        Some(AuthMedium::Local) => "remote",
        _ => "local",
    };
    let migrate = ["auth", "migrate", "--to", to];
    let moved = theatre.stage.command("operator", &migrate).output().await;
    let moved = moved.expect("runs");
    let told = String::from_utf8_lossy(&moved.stderr).into_owned();
    assert_eq!(moved.status.code(), Some(77), "{told}");
    assert!(told.contains("auth accept-rollback default"), "{told}");
}

/// Another machine had seen the state further on than the one that accepted the copy.
#[tokio::test]
async fn what_was_accepted_on_one_machine_is_not_refused_on_another() {
    let theatre = super::theatre(super::MEDIA[1]).await;
    let second = super::elsewhere(&theatre, "two");
    let worker = theatre.linked_worker("one").await;
    both_ways(&theatre, "before the copy").await;
    stop(worker).await;
    let copy = Copy::take(&theatre).await;
    let worker = second.start("two").expect("starts");
    theatre.connected(&worker, 1).await;
    for n in 0..5 {
        both_ways(&theatre, &format!("after the copy {n}")).await;
    }
    stop(worker).await;
    copy.put_back(&theatre).await;
    order(&theatre, AuthOrder::AcceptRollback).await;
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    both_ways(&theatre, "accepted here").await;
    stop(worker).await;
    let worker = second.start("two").expect("starts");
    theatre.connected(&worker, 1).await;
    both_ways(&theatre, "and there").await;
    assert_eq!(theatre.sim.lint(), [], "no counter was used twice");
}
