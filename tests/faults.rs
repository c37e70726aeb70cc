//! Real faults of processes, networks, servers and clocks, under a load of messages and answers.
//! After each: one active owner, no row of an old epoch behind a newer acquisition, nothing lost,
//! nothing doubled, and no stanza from an old connection after the new `<success>`.

mod clocks;
mod death;
mod freezing;
mod network;
mod outage;
mod upgrade;
mod witness;

use std::time::Duration;

use whatsapp_worker::rehearsal::Worker;

use self::witness::Witness;
use crate::load::Load;
use crate::theatre::{Engine, PATIENCE, Theatre};

/// A theatre with a linked, active worker and a standby, whose lease lasts `ttl`.
struct Pair {
    theatre: Theatre,
    active: Worker,
    standby: Worker,
}

impl Pair {
    async fn open(engine: Engine, ttl: Duration) -> Self {
        Self::in_theatre(Theatre::open_on(engine, &settings(&ttl_ms(ttl))).await).await
    }

    async fn in_theatre(theatre: Theatre) -> Self {
        theatre.check_receipts().await;
        let active = theatre.linked_worker("one").await;
        let standby = theatre.stage.start("two").expect("starts");
        let pair = Self {
            theatre,
            active,
            standby,
        };
        contended(&pair.standby, 0, &pair.active).await;
        pair
    }

    /// After a takeover.
    fn change_places(&mut self) {
        std::mem::swap(&mut self.active, &mut self.standby);
    }
}

fn ttl_ms(ttl: Duration) -> String {
    ttl.as_millis().to_string()
}

/// Answers to everybody are the load under which ratchets were seen to run ahead of their messages.
fn settings(ttl_ms: &str) -> [(&str, &str); 2] {
    [
        ("WHATSAPP_LEASE_TTL_MS", ttl_ms),
        ("SIMULATOR_REPLY", "text"),
    ]
}

/// Waits until `standby` has said, after its first `so_far` lines, that `holder` holds the lease.
async fn contended(standby: &Worker, so_far: usize, holder: &Worker) {
    let incarnation = format!("{}#", holder.name());
    standby
        .wait_after(
            so_far,
            "whatsapp.lease.acquire.contended",
            PATIENCE,
            |line| {
                line["currentOwnerId"]
                    .as_str()
                    .is_some_and(|owner| owner.starts_with(&incarnation))
            },
        )
        .await
        .expect("it contends");
}

/// Waits until `worker` has said, after its first `so_far` lines, that it acquired the lease, and
/// returns the epoch.
async fn acquired(worker: &Worker, so_far: usize) -> i64 {
    let line = worker
        .wait_after(so_far, "whatsapp.lease.acquire.success", PATIENCE, |_| true)
        .await
        .expect("it acquires");
    line["epoch"].as_i64().expect("a number")
}

/// Waits until `worker` has said, after its first `so_far` lines, that its session is up.
async fn established(worker: &Worker, so_far: usize) {
    worker
        .wait_after(so_far, "whatsapp.connection.established", PATIENCE, |_| {
            true
        })
        .await
        .expect("it connects");
}

/// No connection said anything after a newer one was told `<success>`.
/// Ends the load and looks at everything: each message is one job, nothing of an old epoch was written
/// late, and nobody spoke out of turn. Returns the messages.
async fn assert_unharmed(theatre: &Theatre, load: Load) -> Vec<String> {
    let ids = load.end().await;
    theatre.assert_each_queued_once(&ids).await;
    Witness::of(theatre).await.assert_no_stale_write().await;
    assert_nothing_late(theatre);
    ids
}

fn assert_nothing_late(theatre: &Theatre) {
    let late: Vec<_> = theatre
        .sim
        .visits(&theatre.shop)
        .into_iter()
        .filter(|visit| !visit.late.is_empty())
        .collect();
    assert_eq!(late, [], "stanzas from a connection that was replaced");
}
