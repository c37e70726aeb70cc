//! kill -9 while an account is being linked: either the link is complete, or there is none.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simulator::PairingError;
use whatsapp_worker::rehearsal::Worker;

use super::medium::{Medium, on_each_medium};
use crate::theatre::{Theatre, kills, seed};

/// When the worker is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the phone has seen the code: before, at, and after its word reaches the worker.
    AfterTheScan(Duration),
    /// So long after the server admitted the device: before and at the restart that it asks for, at
    /// the first login and during the phone's introduction.
    AfterTheAnswer(Duration),
}

impl Moment {
    fn draw(round: usize, chance: &mut StdRng) -> Self {
        let mut within = |millis| Duration::from_millis(chance.random_range(0..millis));
        match round % 4 {
            0 => Self::AfterTheScan(within(60)),
            1 => Self::AfterTheAnswer(within(10)),
            2 => Self::AfterTheScan(within(12)),
            _ => Self::AfterTheAnswer(within(250)),
        }
    }
}

/// Links and kills at `moment`. A code that is out of date ends no attempt.
async fn kill_while_linking(theatre: &Theatre, worker: &mut Worker, moment: Moment) {
    loop {
        let code = theatre.published_code().await;
        let phone = theatre.shop.clone();
        let mut scan = tokio::spawn(async move { phone.scan_qr(&code.code).await });
        let early = match moment {
            Moment::AfterTheScan(life) => tokio::time::timeout(life, &mut scan).await.ok(),
            Moment::AfterTheAnswer(_) => Some((&mut scan).await),
        };
        if let Some(Ok(Err(PairingError::UnknownCode | PairingError::OtherIdentity))) = early {
            continue;
        }
        if let Moment::AfterTheAnswer(life) = moment {
            tokio::time::sleep(life).await; // justified: the moment of the kill
        }
        worker.kill().await.expect("ours");
        if early.is_none() {
            // It is answered, or the phone is told that the worker left.
            let _ = scan.await.expect("no panic");
        }
        return;
    }
}

async fn killing_a_worker_while_it_links_leaves_no_half_link(medium: Medium) {
    let mut chance = StdRng::seed_from_u64(seed());
    let theatre = medium.theatre(&[]).await;
    let mut worker = theatre.linked_worker("one").await;
    let mut ids = vec![theatre.text("before")];
    theatre.jobs_of(&ids).await;
    let (mut complete, mut again) = (0, 0);
    for round in 0..kills() {
        let so_far = worker.so_far();
        for device in theatre.shop.companions() {
            assert!(theatre.shop.unlink(device));
        }
        worker
            .wait_after(
                so_far,
                "whatsapp.qr.available",
                crate::theatre::PATIENCE,
                |_| true,
            )
            .await
            .expect("new codes");
        let moment = Moment::draw(round, &mut chance);
        kill_while_linking(&theatre, &mut worker, moment).await;
        let admitted = !theatre.shop.companions().is_empty();
        ids.push(theatre.text(&format!("while it is dead {round}")));
        worker = theatre.stage.start("one").expect("starts");
        if admitted {
            complete += 1;
            theatre.connected(&worker, 1).await;
            assert_eq!(worker.count("whatsapp.qr.available"), 0, "{moment:?}");
        } else {
            again += 1;
            theatre.scan().await;
            theatre.connected(&worker, 1).await;
        }
        assert_eq!(
            theatre.shop.companions().len(),
            1,
            "{moment:?}: no half link"
        );
        theatre.jobs_of(&ids).await;
    }
    ids.push(theatre.text("last"));
    theatre.assert_each_queued_once(&ids).await;
    println!("{medium:?}: {complete} links were complete, {again} were made again");
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
}

on_each_medium!(killing_a_worker_while_it_links_leaves_no_half_link);
