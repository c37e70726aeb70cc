//! kill -9 while a worker takes in what waited for it.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::medium::{Medium, on_each_medium};
use crate::theatre::{full, kills, seed};

/// Messages that wait for a worker.
fn backlog() -> usize {
    if full() { 1000 } else { 250 }
}

async fn killing_a_worker_during_a_backlog_loses_and_doubles_nothing(medium: Medium) {
    let mut chance = StdRng::seed_from_u64(seed());
    let theatre = medium.theatre(&[]).await;
    let mut worker = theatre.linked_worker("one").await;
    let device = theatre.shop.companions()[0];
    let mut ids = vec![theatre.text("before")];
    theatre.jobs_of(&ids).await;
    worker.kill().await.expect("ours");
    for round in 0..kills() {
        let waiting = theatre
            .sim
            .queue_len(&theatre.shop, device)
            .expect("linked");
        if waiting < backlog() / 3 {
            for n in waiting..backlog() {
                ids.push(theatre.text(&format!("{n} in the backlog of round {round}")));
            }
        }
        worker = theatre.stage.start("one").expect("starts");
        if round % 4 < 3 {
            theatre.connected(&worker, 1).await;
            assert_eq!(worker.count("whatsapp.qr.available"), 0, "without a code");
        }
        let longest = if full() { 600 } else { 150 };
        let life = Duration::from_millis(chance.random_range(0..longest));
        tokio::time::sleep(life).await; // justified: the moment of the kill
        worker.kill().await.expect("ours");
        ids.push(theatre.text(&format!("while it is dead {round}")));
    }
    worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    ids.push(theatre.text("last"));
    theatre.assert_each_queued_once(&ids).await;
    println!("{medium:?}: {} messages, each queued once", ids.len());
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
}

on_each_medium!(killing_a_worker_during_a_backlog_loses_and_doubles_nothing);
