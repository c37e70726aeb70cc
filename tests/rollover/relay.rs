//! Two workers that take turns: the active one is told to stop, the standby takes over, the first one
//! comes back as the standby.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use whatsapp_worker::clock::wall_ms;
use whatsapp_worker::rehearsal::Worker;

use crate::load::Load;
use crate::theatre::{Engine, PATIENCE, Theatre};

/// One rollover, as the simulator and the two workers tell it.
#[derive(Clone, Copy, Debug)]
pub struct Rollover {
    /// From the end of the old connection to the `<success>` of the new one: nobody is there.
    pub gap: Duration,
    /// Of this, until the old worker says that it released the lease.
    pub released: Duration,
    /// From there until the new worker says that it acquired it.
    pub acquired: Duration,
    /// From there to `<success>`.
    pub connected: Duration,
    /// From `<success>` until the new worker says that its session is up. Messages flow meanwhile.
    pub told: Duration,
}

/// What a run of rollovers showed.
pub struct Relay {
    pub rollovers: Vec<Rollover>,
    pub messages: usize,
    pub answers: usize,
}

/// Runs `rollovers` rollovers under a load of messages and answers. Panics when a message is lost or
/// doubled, a `conflict` is seen, an exit code is not 0, or a stanza comes late.
pub async fn relay(engine: Engine, rollovers: usize) -> Relay {
    let theatre = Theatre::open_on(engine, &[("SIMULATOR_REPLY", "text")]).await;
    theatre.check_receipts().await;
    let mut active = theatre.linked_worker("one").await;
    let mut standby = theatre.stage.start("two").expect("starts");
    contended(&standby).await;
    let load = Load::start(&theatre, Duration::from_millis(25));
    let mut done = Vec::new();
    for round in 0..rollovers {
        let before = theatre.sim.visits(&theatre.shop).len();
        let connected = standby.wait_for("whatsapp.connection.established", PATIENCE, |_| true);
        let (exit, connected) = tokio::join!(active.terminate(), connected);
        assert_eq!(exit.expect("ours"), Some(0), "round {round}");
        let connected = connected.expect("the standby connects");
        assert_eq!(
            theatre.sim.visits(&theatre.shop).len(),
            before + 1,
            "one login in round {round}"
        );
        done.push(rollover(&theatre, round, &active, &standby, &connected).await);
        assert_eq!(active.count("whatsapp.connection.conflict"), 0);
        let name = active.name().to_owned();
        active = std::mem::replace(&mut standby, theatre.stage.start(&name).expect("starts"));
        contended(&standby).await;
    }
    assert_eq!(active.count("whatsapp.connection.conflict"), 0);
    let ids = load.end().await;
    theatre.assert_each_queued_once(&ids).await;
    for visit in theatre.sim.visits(&theatre.shop) {
        assert_eq!(
            visit.late,
            [] as [String; 0],
            "said by a replaced connection"
        );
        assert!(!visit.replaced, "a conflict");
    }
    Relay {
        rollovers: done,
        messages: ids.len(),
        answers: theatre.alice.received().len(),
    }
}

async fn contended(standby: &Worker) {
    standby
        .wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true)
        .await
        .expect("it stands by");
}

async fn rollover(
    theatre: &Theatre,
    round: usize,
    left: &Worker,
    came: &Worker,
    connected: &Value,
) -> Rollover {
    let visits = theatre.sim.visits(&theatre.shop);
    let [.., old, new] = &visits[..] else {
        panic!("round {round}: two logins")
    };
    let ended = old.ended.expect("the old worker is gone");
    let gap = new
        .began
        .checked_sub(ended)
        .unwrap_or_else(|| panic!("round {round}: both were logged in at once"));
    let released = left
        .wait_for("whatsapp.lease.released", PATIENCE, |_| true)
        .await
        .expect("it released");
    let acquired = came
        .wait_for("whatsapp.lease.acquire.success", PATIENCE, |_| true)
        .await
        .expect("it acquired");
    // Workers and simulator have one machine's clock, which need not be exact to tell them apart.
    let opened = wall_ms() - ms(theatre.sim.elapsed());
    let (ended, began) = (opened + ms(ended), opened + ms(new.began));
    let (released, acquired, told) = (at(&released), at(&acquired), at(connected));
    Rollover {
        gap,
        released: span(ended, released),
        acquired: span(released, acquired),
        connected: span(acquired, began),
        told: span(began, told),
    }
}

/// Unix milliseconds of a line.
fn at(line: &Value) -> i64 {
    let time: Option<Timestamp> = line["_time"].as_str().and_then(|text| text.parse().ok());
    time.expect("a line has its time").as_millisecond()
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).expect("short")
}

fn span(from: i64, to: i64) -> Duration {
    Duration::from_millis(u64::try_from(to - from).unwrap_or(0))
}
