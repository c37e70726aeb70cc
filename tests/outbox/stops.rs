//! Holders that stop in the middle: killed, frozen, asked to.

use std::time::Duration;

use simulator::Faults;
use sqlx::Connection;

use super::*;
use crate::theatre::{Engine, on_each_engine};

on_each_engine!(
    a_killed_holders_message_is_sent_again_under_its_id_and_seen_once,
    a_stopped_holder_waits_for_the_servers_word,
);

/// Nobody says anything about what was sent.
fn silent() -> Faults {
    Faults {
        lose_acks: 1.0,
        ..Faults::default()
    }
}

async fn a_killed_holders_message_is_sent_again_under_its_id_and_seen_once(engine: Engine) {
    let theatre = Theatre::open_on(engine, &[("WHATSAPP_LEASE_TTL_MS", "4000")]).await;
    let counter = Counter::of(&theatre).await;
    let mut first = theatre.linked_worker("one").await;
    theatre.alice.doze(true);
    theatre.sim.set_faults(silent());
    let row = counter.post(&theatre.alice, "once").await;
    let behind = counter.post(&theatre.alice, "behind").await;
    counter.status(&row.outbox_id, Status::Sending).await;
    let id = row.channel_message_id.clone();
    let accepted = async {
        while !theatre.sim.accepted_for(&theatre.alice).contains(&id) {
            // justified: the server tells nobody but us, when asked.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, accepted)
        .await
        .expect("it left");
    first.kill().await.expect("ours");
    theatre.sim.set_faults(Faults::default());
    let second = theatre.stage.start("two").expect("starts");
    theatre.connected(&second, 1).await;
    let detail = counter.status(&row.outbox_id, Status::Sent).await;
    assert_eq!(
        detail.attempts[0].error_code.as_deref(),
        Some("interrupted")
    );
    assert_eq!(detail.attempts[1].error_code, None);
    assert!(detail.attempts[1].epoch > detail.attempts[0].epoch);
    counter.status(&behind.outbox_id, Status::Sent).await;
    theatre.alice.doze(false);
    counter.delivered(&behind.outbox_id, Evidence::Device).await;
    assert_eq!(seen(&theatre.alice), ["once", "behind"]);
}

async fn a_stopped_holder_waits_for_the_servers_word(engine: Engine) {
    let theatre = Theatre::open_on(engine, &[]).await;
    let counter = Counter::of(&theatre).await;
    let people: Vec<Person> = (0..5)
        .map(|n| theatre.sim.add_person(&format!("Person {n}")))
        .collect();
    let mut worker = theatre.linked_worker("one").await;
    theatre.sim.set_faults(Faults {
        delay_acks_ms: 300,
        ..Faults::default()
    });
    let mut rows = Vec::new();
    for person in &people {
        for n in 0..20 {
            rows.push(counter.post(person, &n.to_string()).await);
        }
    }
    counter.status(&rows[0].outbox_id, Status::Sent).await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let left = counter.all().await;
    let of = |status| left.iter().filter(|row| row.status == status).count();
    assert_eq!(of(Status::Sending), 0, "each was answered for");
    assert!(of(Status::Pending) > 0, "it stopped in the middle");
    assert_eq!(of(Status::Sent) + of(Status::Pending), rows.len());
    theatre.sim.set_faults(Faults::default());
    let worker = theatre.stage.start("one").expect("starts");
    for row in &rows {
        let detail = counter.delivered(&row.outbox_id, Evidence::Device).await;
        assert_eq!(detail.row.attempt_count, 1, "none was tried twice");
    }
    let wanted: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    for person in &people {
        assert_eq!(seen(person), wanted);
    }
    drop(worker);
}

#[tokio::test]
async fn a_message_that_kills_its_workers_is_given_up_and_the_next_one_goes() {
    let settings = [
        ("OUTBOX_COOLDOWN_MS", "1000"),
        ("WHATSAPP_LEASE_TTL_MS", "4000"),
    ];
    let theatre = Theatre::with_settings(&settings).await;
    let counter = Counter::of(&theatre).await;
    let mut worker = theatre.linked_worker("one").await;
    theatre.alice.doze(true);
    theatre.sim.set_faults(silent());
    let poison = counter.post(&theatre.alice, "poison").await;
    let next = counter.post(&theatre.alice, "next").await;
    for life in 1..=4 {
        counter
            .until(&poison.outbox_id, "sending", |row| {
                row.status == Status::Sending && row.attempt_count == life
            })
            .await;
        worker.kill().await.expect("ours");
        worker = theatre.stage.start("one").expect("starts");
    }
    let detail = counter.status(&poison.outbox_id, Status::Uncertain).await;
    assert_eq!(detail.row.attempt_count, 4);
    theatre.sim.set_faults(Faults::default());
    counter
        .until(&next.outbox_id, "sent", |row| row.status == Status::Sent)
        .await;
}

#[tokio::test]
async fn a_frozen_holder_sends_and_settles_nothing_after_it_was_followed() {
    let settings = [("WHATSAPP_LEASE_TTL_MS", "2000")];
    let theatre = Theatre::open_on(Engine::Postgres, &settings).await;
    let counter = Counter::of(&theatre).await;
    let old = theatre.linked_worker("old").await;
    let new = theatre.stage.start("new").expect("starts");
    new.wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true)
        .await
        .expect("a standby");
    theatre.alice.doze(true);
    theatre.sim.set_faults(silent());
    let first = counter.post(&theatre.alice, "first").await;
    counter.status(&first.outbox_id, Status::Sending).await;
    old.freeze().await.expect("ours");
    let second = counter.post(&theatre.alice, "second").await;
    theatre.connected(&new, 1).await;
    theatre.sim.set_faults(Faults::default());
    theatre.alice.doze(false);
    for row in [&first, &second] {
        counter.delivered(&row.outbox_id, Evidence::Device).await;
    }
    let before = counter.look(&first.outbox_id).await;
    old.thaw().expect("ours");
    old.wait_for("whatsapp.lease.heartbeat.lost", PATIENCE, |_| true)
        .await
        .expect("it finds out");
    assert_eq!(
        counter.look(&first.outbox_id).await.attempts,
        before.attempts
    );
    assert_eq!(seen(&theatre.alice), ["first", "second"]);
}

/// The first attempt's commit takes its time, and waits for it in sight.
const SLOW_COMMIT: &str = "
    CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF (SELECT COUNT(*) FROM outbox_attempts) = 1 AND NEW.attempt = 1 THEN PERFORM pg_sleep(2.5); END IF;
      RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON outbox_attempts
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow_commit();";

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_made_good_while_the_connection_lives() {
    let theatre = Theatre::open_on(Engine::Postgres, &[]).await;
    let counter = Counter::of(&theatre).await;
    let worker = theatre.linked_worker("one").await;
    let mut raw = sqlx::AnyConnection::connect(theatre.store_url())
        .await
        .expect("connects");
    sqlx::raw_sql(SLOW_COMMIT)
        .execute(&mut raw)
        .await
        .expect("a trigger");
    let row = counter.post(&theatre.alice, "hello").await;
    let committing = async {
        while sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query ILIKE 'COMMIT%'",
        )
        .fetch_one(&mut raw)
        .await
        .expect("answers")
            == 0
        {
            // justified: the server tells nobody but us, when asked.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, committing)
        .await
        .expect("a message is claimed");
    theatre.road().cut();
    let detail = counter.status(&row.outbox_id, Status::Sent).await;
    let codes = detail.attempts.iter().map(|a| a.error_code.as_deref());
    assert_eq!(codes.collect::<Vec<_>>(), [Some("interrupted"), None]);
    assert_eq!(worker.count("whatsapp.connection.established"), 1);
    assert_eq!(seen(&theatre.alice), ["hello"]);
}
