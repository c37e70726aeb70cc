//! kill -9 of worker and agent in random order, while messages come and replies go.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::Connection;
use tokio_util::sync::CancellationToken;
use whatsapp_worker::store::{ClaimRequest, Completion, JobFilter};

use super::*;
use crate::theatre::{Engine, full, on_each_engine, seed};

on_each_engine!(each_reply_is_seen_once_and_in_order_through_kills_of_worker_and_agent);

/// How long an agent that died keeps its jobs.
const LOCK: Duration = Duration::from_secs(2);

async fn each_reply_is_seen_once_and_in_order_through_kills_of_worker_and_agent(engine: Engine) {
    // A message is given up after four interrupted attempts: lives are long beside an attempt.
    let (kills, messages, pace) = if full() {
        (100, 2000, 600)
    } else {
        (3, 60, 150)
    };
    let settings = [
        ("WHATSAPP_LEASE_TTL_MS", "4000"),
        ("OUTBOX_ACK_TIMEOUT_MS", "3000"),
        // Shorter than a lane is held up for: what was interrupted three times keeps its place.
        ("OUTBOX_COOLDOWN_MS", "5000"),
        // An agent that dies often must not use up a job's attempts.
        ("AGENT_MAX_RETRIES", "20"),
    ];
    let theatre = Theatre::open_on(engine, &settings).await;
    let counter = Counter::of(&theatre).await;
    let seed = seed();
    let mut chance = StdRng::seed_from_u64(seed);
    let people: Vec<Person> = (0..5)
        .map(|n| theatre.sim.add_person(&format!("Person {n}")))
        .collect();
    let mut worker = theatre.linked_worker("one").await;
    let stop = CancellationToken::new();
    let agent = tokio::spawn(agent(theatre.store().await, seed, stop.clone()));
    let mut written: Vec<Vec<String>> = vec![Vec::new(); people.len()];
    for kill in 0..kills {
        let share = messages / kills;
        for n in 0..share {
            let who = chance.random_range(0..people.len());
            let text = format!("{kill}.{n}");
            let content = simulator::people::Content::Text(text.clone());
            people[who]
                .send(&theatre.shop.jid(), &content)
                .expect("the server accepts it");
            written[who].push(format!("re: {text}"));
            // justified: the pace of the load, not a wait for anything.
            tokio::time::sleep(Duration::from_millis(chance.random_range(1..pace))).await;
        }
        worker.kill().await.expect("ours");
        worker = theatre.stage.start("one").expect("starts");
        if kill % 2 == 0 {
            theatre.connected(&worker, 1).await;
        }
    }
    let total: usize = written.iter().map(Vec::len).sum();
    let patience = Boot::now().plus(PATIENCE * if full() { 10 } else { 2 });
    loop {
        let rows = counter.all().await;
        // Receipts that a killed worker had heard and not committed are lost: sent is what counts.
        let sent = rows.iter().filter(|row| row.status == Status::Sent);
        if sent.count() == total {
            break;
        }
        if Boot::now() >= patience {
            let mut odd = BTreeMap::new();
            for row in &rows {
                let key = (row.status.as_str(), row.delivery, row.error_code.clone());
                *odd.entry(key).or_insert(0) += 1;
            }
            let jobs = JobFilter {
                limit: 1_000_000,
                ..JobFilter::default()
            };
            let jobs = counter.store.jobs(&jobs).await.expect("the store answers");
            let mut standing = BTreeMap::new();
            for job in &jobs {
                let key = (
                    job.status.as_str(),
                    job.kind.clone(),
                    job.error_reason.clone(),
                );
                *standing.entry(key).or_insert(0) += 1;
            }
            panic!(
                "{} of {total} replies are in the outbox: {odd:?}; jobs: {standing:?}",
                rows.len()
            );
        }
        // justified: another process writes the store, and SQLite does not notify.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    let died = agent.await.expect("the agent ends");
    // Replies go in the order of the jobs, which is that of the messages. Only one that could not be read for
    // longer than its place is kept, since its worker died again and again, is behind newer ones.
    let mut rows = counter.all().await;
    let places = places(&theatre).await;
    rows.sort_by_key(|row| row.job_id.as_ref().map(|job| places[job.as_str()]));
    let mut late = 0;
    for (person, written) in people.iter().zip(&written) {
        let own: HashSet<&String> = written.iter().collect();
        let texts = rows.iter().filter_map(|row| {
            let text = row.content.as_ref()?["content"]["body"].as_str()?;
            Some(text.to_owned())
        });
        let wanted: Vec<String> = texts.filter(|text| own.contains(text)).collect();
        assert_eq!(wanted.len(), written.len(), "each message has its reply");
        late += wanted.iter().zip(written).filter(|(a, b)| a != b).count();
        if let Some(last) = wanted.last() {
            let came = person.wait_for(PATIENCE, |d| d.message.text.as_ref() == Some(last));
            came.await.expect("the last one comes");
        }
        let wanted = &wanted;
        let seen = seen(person);
        let accepted = theatre.sim.accepted_for(person);
        assert_eq!(
            &seen,
            wanted,
            "{}; the order of the outbox, and where the server first accepted each: {:?}",
            person.name(),
            told(&counter.all().await, &accepted, &seen, wanted),
        );
    }
    assert_eq!(theatre.sim.lint(), [], "violations of the protocol");
    assert!(
        late <= kills,
        "{late} messages were queued out of their place"
    );
    println!(
        "{engine:?}: {late} messages out of the order they were written in, {total} replies seen once and in order, {kills} kills, {died} dead agents"
    );
}

/// The places of jobs in their lanes.
async fn places(theatre: &Theatre) -> BTreeMap<String, (i64, i64)> {
    let mut past = sqlx::AnyConnection::connect(theatre.store_url()).await;
    let jobs = sqlx::query_as("SELECT job_id, ord, turn FROM jobs");
    let jobs = jobs.fetch_all(past.as_mut().expect("connects")).await;
    let jobs: Vec<(String, i64, i64)> = jobs.expect("answers");
    let place = |(job, order, turn)| (job, (order, turn));
    jobs.into_iter().map(place).collect()
}

/// Of each message that is not in its place: its text, its state, and when the server first accepted it.
fn told<'a>(
    rows: &'a [OutboxRow],
    accepted: &[String],
    seen: &[String],
    wanted: &[String],
) -> Vec<(&'a OutboxRow, Option<usize>)> {
    let odd = seen
        .iter()
        .zip(wanted)
        .filter(|(seen, wanted)| seen != wanted);
    let odd: Vec<&String> = odd.flat_map(|(a, b)| [a, b]).collect();
    rows.iter()
        .filter(|row| {
            odd.iter().any(|text| {
                row.content
                    .as_ref()
                    .is_some_and(|content| content["content"]["body"] == **text)
            })
        })
        .map(|row| {
            let place = accepted.iter().position(|id| *id == row.channel_message_id);
            (row, place)
        })
        .collect()
}

/// Answers every job, and dies now and then with jobs in its hands: before or after it completed them.
async fn agent(store: Store, seed: u64, stop: CancellationToken) -> usize {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut died = 0;
    let request = ClaimRequest {
        accounts: None,
        processor_id: "test".to_owned(),
        limit: 3,
        lock: LOCK,
    };
    while !stop.is_cancelled() {
        let claims = store.claim_jobs(&request).await.expect("the store answers");
        if claims.is_empty() {
            // justified: the pace of an agent that polls.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for claim in claims {
            if chance.random_bool(0.05) {
                died += 1;
                continue;
            }
            let text = claim.job.content["body"].as_str().expect("a text");
            let completion = Completion {
                result: None,
                replies: vec![Draft::text(format!("re: {text}"))],
            };
            let id = &claim.job.job.job_id;
            let done = store
                .complete_job(id, &claim.claim_token, &completion)
                .await;
            done.expect("the store answers");
        }
    }
    died
}
