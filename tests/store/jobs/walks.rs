//! Random walks over the queue: whatever agents, the reaper, operators and lease holders do in whatever
//! order, a simple model of lanes tells what each step may answer, and four facts hold after each step:
//! a conversation's jobs are claimed in order, a lane has one claim at most, no lane is idle with work,
//! and each reply is in the outbox once.

mod model;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use whatsapp_worker::store::Engine;

use self::model::World;
use crate::store::Bench;
use crate::theatre;

/// One thing that somebody does. Numbers choose among what is there.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Receive {
        person: usize,
        texts: usize,
    },
    Redeliver(usize),
    TakeOver,
    Claim {
        limit: usize,
        short: bool,
    },
    Complete {
        claim: usize,
        replies: usize,
    },
    Fail {
        claim: usize,
        retryable: bool,
        at_once: bool,
    },
    Renew(usize),
    Reap(i64),
    WaitsEnd,
    Retry(usize),
    ReplayAll,
    FailByHand(usize),
    Cancel(usize),
    Discard(usize),
    Prioritise {
        person: usize,
        priority: i64,
    },
    Pause(bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    let some = || 0..1000_usize;
    prop_oneof![
        6 => (0..4_usize, 1..4_usize).prop_map(|(person, texts)| Step::Receive { person, texts }),
        1 => some().prop_map(Step::Redeliver),
        1 => Just(Step::TakeOver),
        9 => (1..5_usize, any::<bool>()).prop_map(|(limit, short)| Step::Claim { limit, short }),
        9 => (some(), 0..3_usize).prop_map(|(claim, replies)| Step::Complete { claim, replies }),
        4 => (some(), any::<bool>(), any::<bool>())
            .prop_map(|(claim, retryable, at_once)| Step::Fail { claim, retryable, at_once }),
        2 => some().prop_map(Step::Renew),
        4 => (1..4_i64).prop_map(Step::Reap),
        3 => Just(Step::WaitsEnd),
        2 => some().prop_map(Step::Retry),
        1 => Just(Step::ReplayAll),
        1 => some().prop_map(Step::FailByHand),
        1 => some().prop_map(Step::Cancel),
        1 => some().prop_map(Step::Discard),
        1 => (0..4_usize, -1..2_i64)
            .prop_map(|(person, priority)| Step::Prioritise { person, priority }),
        1 => any::<bool>().prop_map(Step::Pause),
    ]
}

async fn walk(engine: Engine, steps: Vec<Step>) {
    let bench = Bench::on(engine).await;
    let mut world = World::new(&bench).await;
    for step in &steps {
        world.take(step).await;
        world.check().await;
    }
    world.work_off().await;
    bench.store.close().await;
    if let Some(database) = bench.database {
        database.remove().await.expect("removes");
    }
}

fn walks(engine: Engine, short: u32, full: u32) {
    let config = Config {
        cases: if theatre::full() { full } else { short },
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let seed = theatre::seed();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = TestRunner::new_with_rng(config, rng).run(
        &proptest::collection::vec(any_step(), 1..80),
        |steps| {
            runtime.block_on(walk(engine, steps));
            Ok(())
        },
    );
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => panic!("seed {seed}: {why} after {steps:#?}"),
        Err(TestError::Abort(why)) => panic!("seed {seed}: {why}"),
    }
}

#[test]
fn any_walk_keeps_the_order_of_lanes_and_their_promises_on_sqlite() {
    walks(Engine::Sqlite, 20, 1000);
}

#[test]
fn any_walk_keeps_the_order_of_lanes_and_their_promises_on_postgres() {
    walks(Engine::Postgres, 6, 150);
}
