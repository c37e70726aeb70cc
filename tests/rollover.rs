//! A worker that is told to stop hands its account over within a second. The benchmark of the same
//! name counts more of them.

mod percentile;
pub mod relay;

use std::time::Duration;

use crate::theatre::{Engine, on_each_engine};
use percentile::percentile;
use relay::relay;

on_each_engine!(an_account_changes_workers_within_a_second);

async fn an_account_changes_workers_within_a_second(engine: Engine) {
    let relay = relay(engine, 4).await;
    let mut gaps: Vec<Duration> = relay.rollovers.iter().map(|one| one.gap).collect();
    gaps.sort();
    for one in &relay.rollovers {
        println!(
            "{engine:?}: {:?}: {:?} to release, {:?} to acquire, {:?} to connect; told after {:?}",
            one.gap, one.released, one.acquired, one.connected, one.told
        );
    }
    println!("{} messages, {} answers", relay.messages, relay.answers);
    assert!(relay.answers > 0, "answers were sent under this load");
    let longest = percentile(&gaps, 100);
    assert!(
        longest < Duration::from_secs(1),
        "nobody was there for {longest:?}"
    );
}
