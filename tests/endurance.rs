//! Many messages, and everything that a year brings, on two workers that must not grow by it.

use std::collections::HashSet;
use std::time::Duration;

use simulator::Person;
use simulator::people::Content;
use tokio_util::sync::CancellationToken;
use whatsapp_worker::clock::Boot;
use whatsapp_worker::outbound::delivery::Status;
use whatsapp_worker::outbound::message::Draft;
use whatsapp_worker::rehearsal::Worker;
use whatsapp_worker::store::{ClaimRequest, Completion, JobFilter, JobStatus, OutboxFilter, Store};

use crate::theatre::{Engine, PATIENCE, Theatre, full};

/// One reply for so many messages.
const ANSWERED: usize = 10;

/// Of the full form.
const MESSAGES_OF_A_STEP: usize = 5_000;
/// A connection that ends sooner is taken for one that cannot be had, and the next one is waited with.
const STABLE: Duration = Duration::from_secs(11);

struct Plan {
    /// In each, something breaks: the connection, unless it is the worker or the link.
    steps: usize,
    messages_of_a_step: usize,
    /// Roll-overs, spread over the first half, the re-link at its end: the second half has the same
    /// processes all along.
    rollovers: usize,
    people: usize,
}

impl Plan {
    fn chosen() -> Self {
        if full() {
            let messages = std::env::var("WORKER_TEST_MESSAGES").ok();
            let messages = messages.map_or(1_000_000, |text| text.parse().expect("a number"));
            let cuts = (messages / MESSAGES_OF_A_STEP).max(4);
            let rollovers = (cuts / 10).max(1);
            let steps = cuts + rollovers + 1;
            return Self {
                steps,
                messages_of_a_step: messages.div_ceil(steps),
                rollovers,
                people: 100,
            };
        }
        Self {
            steps: 6,
            messages_of_a_step: 50,
            rollovers: 2,
            people: 10,
        }
    }

    fn is_rollover(&self, step: usize) -> bool {
        let apart = (self.steps / 2 / self.rollovers).max(1);
        step.is_multiple_of(apart) && step / apart < self.rollovers
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_do_not_grow_and_lose_nothing() {
    let plan = Plan::chosen();
    let settings = [
        ("RUST_LOG", "warn"),
        ("OUTBOX_ACK_TIMEOUT_MS", "5000"),
        ("OUTBOX_COOLDOWN_MS", "5000"),
        ("AGENT_MAX_RETRIES", "20"),
    ];
    let theatre = Theatre::open_on(Engine::Postgres, &settings).await;
    let mut active = theatre.stage.start("one").expect("starts");
    theatre.scan().await;
    online(&theatre).await;
    let mut standby = theatre.stage.start("two").expect("starts");
    let store = theatre.store().await;
    let stop = CancellationToken::new();
    let agent = tokio::spawn(agent(theatre.store().await, stop.clone()));
    let people: Vec<Person> = (0..plan.people)
        .map(|n| theatre.sim.add_person(&format!("Person {n}")))
        .collect();
    let mut written = Vec::new();
    let mut seen = Vec::new();
    let (mut cuts, mut rollovers) = (0, 0);
    let mut since = Boot::now();
    for step in 0..plan.steps {
        for n in 0..plan.messages_of_a_step {
            // What breaks, breaks while messages come.
            if n == plan.messages_of_a_step / 2 {
                if plan.is_rollover(step) {
                    assert_eq!(active.terminate().await.expect("ours"), Some(0));
                    let name = active.name().to_owned();
                    active = standby;
                    standby = theatre.stage.start(&name).expect("starts");
                    rollovers += 1;
                } else if step == plan.steps / 2 {
                    let device = theatre.shop.companions()[0];
                    assert!(theatre.shop.unlink(device));
                    theatre.scan().await;
                } else {
                    if full() {
                        // justified: how long a connection lives, not a wait for anything.
                        tokio::time::sleep(since.plus(STABLE).remaining()).await;
                    }
                    theatre.sim.disconnect(&theatre.shop);
                    cuts += 1;
                }
            }
            let content = Content::Text(format!("{step}.{n}"));
            let person = &people[written.len() % people.len()];
            let id = person.send(&theatre.shop.jid(), &content);
            written.push(id.expect("the server accepts it"));
            tokio::task::yield_now().await;
        }
        online(&theatre).await;
        until(|| {
            let device = theatre.shop.companions()[0];
            theatre.sim.queue_len(&theatre.shop, device) == Some(0)
        })
        .await;
        since = Boot::now();
        if step > plan.steps / 2 {
            seen.push([Shape::of(&active), Shape::of(&standby)]);
        }
    }
    println!(
        "{} messages, {cuts} connections cut, {rollovers} roll-overs, 1 re-link",
        written.len()
    );
    assert_eq!(
        (cuts, rollovers),
        (plan.steps - plan.rollovers - 1, plan.rollovers)
    );
    for (name, of) in [("active", 0), ("standby", 1)] {
        let shapes: Vec<&Shape> = seen.iter().map(|both| &both[of]).collect();
        let growth = growth(&shapes);
        let (first, last) = (shapes[0], shapes[shapes.len() - 1]);
        println!(
            "{name}: {} kB at half time, {} kB at the end, slope {:.2} % of the mean over the second half; {} and {} descriptors",
            first.resident,
            last.resident,
            growth * 100.0,
            first.descriptors,
            last.descriptors
        );
        assert!(
            last.descriptors <= first.descriptors + 10,
            "{name}: descriptors grew from {} to {}",
            first.descriptors,
            last.descriptors
        );
        if full() {
            assert!(growth < 0.01, "{name}: memory grew by {growth}");
        }
    }
    let taken = finished(&store, &written, &people).await;
    println!("each has its job, and each of {taken} replies was seen once");
    stop.cancel();
    agent.await.expect("the agent ends");
    assert_eq!(theatre.sim.lint(), [], "violations of the protocol");
}

/// What a process takes of the machine.
struct Shape {
    /// Resident memory, kB.
    resident: u64,
    descriptors: usize,
}

impl Shape {
    fn of(worker: &Worker) -> Self {
        let folder = format!("/proc/{}", worker.pid().expect("it runs"));
        let status = std::fs::read_to_string(format!("{folder}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Self {
            resident: number.and_then(|n| n.parse().ok()).expect("a number"),
            descriptors: std::fs::read_dir(format!("{folder}/fd"))
                .expect("it runs")
                .count(),
        }
    }
}

/// By how much of their mean the sizes rise over the whole time, along the straight line that fits best.
#[expect(clippy::cast_precision_loss, reason = "sizes in kB are far below 2^53")]
fn growth(shapes: &[&Shape]) -> f64 {
    let n = shapes.len() as f64;
    let sizes = || shapes.iter().map(|shape| shape.resident as f64);
    let mean = sizes().sum::<f64>() / n;
    let middle = (n - 1.0) / 2.0;
    let (mut rise, mut run) = (0.0, 0.0);
    for (i, size) in sizes().enumerate() {
        let x = i as f64 - middle;
        rise += x * (size - mean);
        run += x * x;
    }
    if run == 0.0 {
        return 0.0;
    }
    rise / run * n / mean
}

async fn online(theatre: &Theatre) {
    until(|| {
        let devices = theatre.shop.companions();
        devices
            .first()
            .is_some_and(|device| theatre.sim.is_online(&theatre.shop, *device))
    })
    .await;
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await; // justified: workers are other processes
        }
    };
    let patience = PATIENCE * if full() { 10 } else { 1 };
    tokio::time::timeout(patience, waiting)
        .await
        .expect("in time");
}

/// Completes every job, each tenth with a reply.
async fn agent(store: Store, stop: CancellationToken) {
    let request = ClaimRequest {
        accounts: None,
        processor_id: "test".to_owned(),
        limit: 50,
        lock: Duration::from_secs(60),
    };
    let mut number = 0;
    while !stop.is_cancelled() {
        let claims = store.claim_jobs(&request).await.expect("the store answers");
        if claims.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await; // justified: the pace of an agent that polls
        }
        for claim in claims {
            number += 1;
            let id = &claim.job.job.job_id;
            let text = || Draft::text(format!("re: {}", claim.job.job.channel_message_id));
            let completion = Completion {
                result: None,
                replies: (number % ANSWERED == 0).then(text).into_iter().collect(),
            };
            let done = store.complete_job(id, &claim.claim_token, &completion);
            done.await.expect("the store answers");
        }
    }
}

/// Every message became one job, every job is completed, and every reply was sent and seen once.
async fn finished(store: &Store, written: &[String], people: &[Person]) -> usize {
    let depth = async || {
        let jobs = store.queue_depths().await.expect("the store answers");
        let outbox = store.outbox_depths().await.expect("the store answers");
        let jobs: i64 = jobs.iter().map(|d| d.pending + d.processing).sum();
        jobs + outbox.iter().map(|d| d.pending + d.sending).sum::<i64>()
    };
    let mut before = depth().await;
    while before > 0 {
        // Patience begins anew while it goes on.
        let less = async {
            loop {
                let now = depth().await;
                if now < before {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(100)).await; // justified: workers are other processes
            }
        };
        let less = tokio::time::timeout(PATIENCE, less).await;
        before = less.unwrap_or_else(|_| panic!("{before} jobs and messages are left"));
    }
    let mut jobs = HashSet::new();
    let mut cursor = None;
    loop {
        let filter = JobFilter {
            limit: 5000,
            ..JobFilter::default()
        };
        let page = store.page_of_jobs(&filter, cursor.as_ref()).await;
        let page = page.expect("the store answers");
        for job in page.rows {
            assert_eq!(job.status, JobStatus::Completed, "{job:?}");
            assert!(jobs.insert(job.channel_message_id), "queued twice");
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(jobs.len(), written.len(), "as many jobs as messages");
    assert!(written.iter().all(|id| jobs.contains(id)), "none is lost");
    let unsent = OutboxFilter {
        limit: 2_000_000,
        ..OutboxFilter::default()
    };
    let rows = store.outbox(&unsent).await.expect("the store answers");
    let others: Vec<_> = rows
        .iter()
        .filter(|row| row.status != Status::Sent)
        .collect();
    assert!(others.is_empty(), "{others:?}");
    let seen = || -> Vec<String> {
        let all = people.iter().flat_map(Person::received);
        all.map(|delivery| delivery.id).collect()
    };
    // The last ones are on their way: whoever is missing after that is named.
    let waiting = async {
        while seen().len() < rows.len() {
            tokio::time::sleep(Duration::from_secs(1)).await; // justified: phones tell nobody what they got
        }
    };
    let _ = tokio::time::timeout(PATIENCE, waiting).await;
    let seen = seen();
    let distinct: HashSet<&str> = seen.iter().map(String::as_str).collect();
    let missing = rows
        .iter()
        .filter(|row| !distinct.contains(row.channel_message_id.as_str()));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
    assert_eq!(
        (distinct.len(), seen.len()),
        (rows.len(), rows.len()),
        "seen twice"
    );
    rows.len()
}
