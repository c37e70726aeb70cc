//! Accounts spread fairly over the workers that are there. The benchmark of the same name runs more.

pub mod parade;

use std::time::Duration;

use crate::theatre::{Engine, on_each_engine};
use parade::parade;

on_each_engine!(accounts_spread_over_the_workers_that_are_there);

const TTL: Duration = Duration::from_secs(2);

async fn accounts_spread_over_the_workers_that_are_there(engine: Engine) {
    let few = parade(engine, 6, TTL).await;
    let many = parade(engine, 60, TTL).await;
    for (accounts, parade) in [(6, &few), (60, &many)] {
        println!(
            "{engine:?}: {accounts} accounts: started {:?}, killed {:?}, joined {:?}, {:.1} % of a processor, {:?}",
            parade.started,
            parade.killed,
            parade.joined,
            parade.calm.processor * 100.0,
            parade.calm
        );
    }
    if let (Some(few), Some(many)) = (few.calm.renewals, many.calm.renewals) {
        assert!(
            few > 0.5 && many < 1.5,
            "one renewal in a heartbeat: {few} and {many}"
        );
    }
    if let (Some(few), Some(many)) = (few.calm.statements, many.calm.statements) {
        assert!(
            many < few * 1.5,
            "statements grow with the accounts: {few} and {many}"
        );
    }
}
