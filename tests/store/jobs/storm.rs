//! Many agents at once.

use std::collections::HashMap;
use std::sync::Mutex;

use whatsapp_worker::store::Completed;

use super::{id, said};
use crate::store::Bench;

on_every_engine!(agents_that_race_each_work_on_their_own_and_every_lane_keeps_its_order);

async fn agents_that_race_each_work_on_their_own_and_every_lane_keeps_its_order(bench: &Bench) {
    const PEOPLE: usize = 7;
    const TEXTS: usize = 84;
    let texts: Vec<(String, String)> = (0..TEXTS)
        .map(|n| (format!("4915200{:04}", n % PEOPLE), format!("{n:03}")))
        .collect();
    let (early, late) = texts.split_at(TEXTS / 2);
    let slices = |texts: &'static [(String, String)]| {
        texts
            .iter()
            .map(|(who, text)| (who.as_str(), text.as_str()))
    };
    let early: &'static [_] = early.to_vec().leak();
    let late: &'static [_] = late.to_vec().leak();
    bench.receive(&slices(early).collect::<Vec<_>>()).await;
    let worked: Mutex<HashMap<String, Vec<String>>> = Mutex::default();
    let count = || {
        worked
            .lock()
            .expect("whole")
            .values()
            .map(Vec::len)
            .sum::<usize>()
    };
    let agent = async || {
        while count() < TEXTS {
            for claim in bench.take(2).await {
                let conv = claim.job.job.conversation_id.as_str().to_owned();
                let text = said(std::slice::from_ref(&claim))[0].to_owned();
                worked
                    .lock()
                    .expect("whole")
                    .entry(conv)
                    .or_default()
                    .push(text);
                let done = bench.complete(&claim, &["fine"]).await;
                assert!(matches!(done, Completed::Done { .. }), "{:?}", id(&claim));
            }
        }
    };
    let arrive = async {
        for part in slices(late).collect::<Vec<_>>().chunks(5) {
            bench.receive(part).await;
        }
    };
    tokio::join!(arrive, agent(), agent(), agent(), agent());
    let worked = worked.into_inner().expect("whole");
    assert_eq!(worked.len(), PEOPLE);
    for texts in worked.values() {
        assert_eq!(texts.len(), TEXTS / PEOPLE);
        assert!(texts.is_sorted(), "{texts:?}");
    }
    let standing = bench.standing().await;
    assert!(
        standing
            .iter()
            .all(|(_, status)| status.as_str() == "completed")
    );
    assert_eq!(bench.take(10).await, []);
}
