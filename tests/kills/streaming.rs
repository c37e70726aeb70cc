//! kill -9 while messages stream: the two loads under which the library's ratchets were seen to run
//! ahead of their messages, replying while receiving, and edits that are encrypted end to end.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simulator::people::Content;
use whatsapp_worker::clock::Boot;

use super::medium::{Medium, on_each_medium};
use crate::theatre::{Theatre, full, kills, seed};

/// Streams until `kills` workers have died.
async fn stream(theatre: &Theatre, seed: u64, kills: usize, edits: bool) {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut ids = Vec::new();
    let mut worker = theatre.linked_worker("one").await;
    for round in 0..kills {
        let life = Duration::from_millis(chance.random_range(0..1500));
        let death = Boot::now().plus(life);
        let mut n = 0;
        while Boot::now() < death {
            ids.push(theatre.text(&format!("message {n} of round {round}")));
            n += 1;
            if edits && n % 3 == 0 {
                let target = ids[ids.len() - 1].clone();
                let edit = Content::SealedEdit {
                    target,
                    text: format!("edited {n}"),
                };
                let sent = theatre.alice.send(&theatre.shop.jid(), &edit);
                ids.push(sent.expect("accepted"));
            }
            // justified: the pace of the load, not a wait for anything.
            tokio::time::sleep(Duration::from_millis(chance.random_range(1..20))).await;
        }
        worker.kill().await.expect("ours");
        ids.push(theatre.text(&format!("while it is dead {round}")));
        worker = theatre.stage.start("one").expect("starts");
        if round % 2 == 0 {
            theatre.connected(&worker, 1).await;
            assert_eq!(worker.count("whatsapp.qr.available"), 0, "without a code");
        }
    }
    theatre.connected(&worker, 1).await;
    ids.push(theatre.text("last"));
    theatre.assert_each_queued_once(&ids).await;
    println!("{kills} kills, {} messages, each queued once", ids.len());
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
}

async fn killing_a_worker_that_answers_loses_and_doubles_nothing(medium: Medium) {
    let theatre = medium.theatre(&[("SIMULATOR_REPLY", "text")]).await;
    stream(&theatre, seed(), kills(), false).await;
    assert!(
        !theatre.alice.received().is_empty(),
        "answers were sent under this load"
    );
}

on_each_medium!(killing_a_worker_that_answers_loses_and_doubles_nothing);

#[tokio::test]
async fn killing_a_worker_that_gets_sealed_edits_loses_and_doubles_nothing() {
    let theatre = Medium::Local.theatre(&[]).await;
    let kills = if full() { 100 } else { 2 };
    stream(&theatre, seed(), kills, true).await;
}
