//! kill -9 at random moments while messages stream: nothing lost, nothing doubled, nothing
//! acknowledged before it was committed. The two loads under which the library's ratchets were seen
//! to run ahead of their messages are the two tests here: replying while receiving, and edits that
//! are encrypted end to end.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simulator::people::Content;
use whatsapp_worker::clock::Boot;

use crate::theatre::{Theatre, full, seed};

/// Kills of the short form and of the bar.
fn kills() -> usize {
    if full() { 100 } else { 5 }
}

/// Streams until `kills` workers have died, and returns what the server accepted.
async fn stream(theatre: &Theatre, seed: u64, edits: bool) -> Vec<String> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut ids = Vec::new();
    let mut worker = theatre.linked_worker("one").await;
    for round in 0..kills() {
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
        }
    }
    theatre.connected(&worker, 1).await;
    ids.push(theatre.text("last"));
    theatre.assert_each_queued_once(&ids).await;
    println!(
        "{} kills, {} messages, each queued once",
        kills(),
        ids.len()
    );
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    ids
}

#[tokio::test]
async fn killing_a_worker_that_answers_loses_and_doubles_nothing() {
    let seed = seed();
    let theatre = Theatre::with_settings(&[("SIMULATOR_REPLY", "text")]).await;
    theatre.check_receipts().await;
    stream(&theatre, seed, false).await;
    assert!(
        !theatre.alice.received().is_empty(),
        "answers were sent under this load"
    );
}

#[tokio::test]
async fn killing_a_worker_that_gets_sealed_edits_loses_and_doubles_nothing() {
    let seed = seed();
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    stream(&theatre, seed, true).await;
}
