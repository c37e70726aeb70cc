//! Two workers that take turns: the active one is told to stop, the standby takes over, the first one
//! comes back as the standby.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use simulator::Visit;
use whatsapp_worker::rehearsal::Worker;

use crate::load::Load;
use crate::theatre::{Engine, PATIENCE, Theatre};

/// One rollover, as the simulator and the two workers tell it.
#[derive(Clone, Copy, Debug)]
pub struct Rollover {
    /// From the end of the old connection to the `<success>` of the new one: nobody is there.
    pub gap: Duration,
    /// From the end of the old connection to the release of the lease, by the old worker's lines
    /// (its clock and the simulator's are one).
    pub drained_to_released: Duration,
    /// From the release to the acquisition.
    pub released_to_acquired: Duration,
    /// From the acquisition to the line that says that the session is up.
    pub acquired_to_connected: Duration,
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
        let before = theatre.sim.visits(&theatre.shop);
        let connected = standby.wait_for("whatsapp.connection.established", PATIENCE, |_| true);
        let (exit, connected) = tokio::join!(active.terminate(), connected);
        assert_eq!(exit.expect("ours"), Some(0), "round {round}");
        let connected = connected.expect("the standby connects");
        let visits = theatre.sim.visits(&theatre.shop);
        assert_eq!(visits.len(), before.len() + 1, "one login in round {round}");
        let [.., old, new] = &visits[..] else {
            unreachable!("one more than there were")
        };
        done.push(rollover(round, old, new, &active, &standby, &connected).await);
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
    round: usize,
    old: &Visit,
    new: &Visit,
    left: &Worker,
    came: &Worker,
    connected: &Value,
) -> Rollover {
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
    let (released, acquired, connected) = (at(&released), at(&acquired), at(connected));
    let spent = span(released, acquired) + span(acquired, connected);
    Rollover {
        gap,
        drained_to_released: gap.saturating_sub(spent),
        released_to_acquired: span(released, acquired),
        acquired_to_connected: span(acquired, connected),
    }
}

fn at(line: &Value) -> Timestamp {
    line["_time"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a line has its time")
}

fn span(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// The value below which `percent` of `sorted` lie, by nearest rank.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}
