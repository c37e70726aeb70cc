//! Where events leave the process, beside its log: a bounded queue for each sink, which [`emit`] fills
//! and never waits for. What does not fit is lost, and counted.
//!
//! [`emit`]: super::event::emit

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::meters;
use super::scrub::scrub;
use crate::clock;
use crate::ids::OwnerId;

/// Records that wait in memory for one sink: some seconds of a busy process, a few MiB.
pub const QUEUE: usize = 10_000;

/// A record that is larger is not exported. Ours are a few hundred bytes.
const LARGEST: usize = 64 << 10;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is as it should be.
    Info,
    /// Somebody may want to look.
    Warn,
    /// Something does not work.
    Error,
}

impl Level {
    /// As lines have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What is told of an event.
#[derive(Debug)]
pub struct Told<'a> {
    /// Its name.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// Whether it is one of many alike, of messages and jobs that take their usual way.
    pub routine: bool,
    /// For people.
    pub line: &'a str,
    /// Its fields.
    pub payload: Value,
}

/// An event as it leaves the process: scrubbed, in the envelope of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Different for each, ordered by time. Whoever gets a record twice knows it by this.
    pub id: String,
    /// The event's name.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The account that it is about.
    pub account: Option<String>,
    /// Whether it is dispensable when there are too many.
    pub routine: bool,
    /// One line: `_time`, `level`, `message`, `event`, `id`, `worker` and the payload.
    pub json: String,
}

impl Record {
    /// An event of no payload, for tests.
    #[cfg(test)]
    pub(crate) fn bare(name: &'static str, routine: bool, line: &str) -> Self {
        let told = Told {
            name,
            level: Level::Info,
            routine,
            line,
            payload: Value::Null,
        };
        Self::new(Some("w"), told)
    }

    /// What `worker`, once it has a name, tells now.
    pub fn new(worker: Option<&str>, told: Told<'_>) -> Self {
        let id = format!("evt_{}", Uuid::now_v7().simple());
        let account = told.payload.get("accountId").and_then(Value::as_str);
        let account = account.map(str::to_owned);
        let mut line = Map::new();
        line.insert("_time".into(), clock::rfc3339(clock::wall_ms()).into());
        line.insert("level".into(), told.level.as_str().into());
        line.insert("message".into(), told.line.into());
        line.insert("event".into(), told.name.into());
        if let Value::Object(fields) = told.payload {
            line.extend(beside_the_line(fields));
        }
        line.insert("id".into(), id.as_str().into());
        if let Some(worker) = worker {
            line.insert("worker".into(), worker.into());
        }
        Self {
            id,
            name: told.name,
            level: told.level,
            account,
            routine: told.routine,
            json: scrub(&Value::Object(line).to_string(), false).into_owned(),
        }
    }
}

/// What one sink did not get. Clones count together.
#[derive(Clone, Debug)]
pub struct Losses {
    sink: &'static str,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lost: AtomicU64,
    told: AtomicU64,
    why: Mutex<String>,
}

impl Losses {
    /// Of `sink`.
    pub fn of(sink: &'static str) -> Self {
        meters::prepare_sink(sink);
        Self {
            sink,
            shared: Arc::default(),
        }
    }

    /// `count` events are lost.
    pub fn add(&self, count: u64, why: &str) {
        if count == 0 {
            return;
        }
        meters::dropped(self.sink, count);
        let before = self.shared.lost.fetch_add(count, Ordering::Relaxed);
        // The first reason since it was told last is the one to begin with.
        if before == self.shared.told.load(Ordering::Relaxed) {
            let reason = self.shared.why.lock();
            *reason.unwrap_or_else(PoisonError::into_inner) = why.to_owned();
        }
    }

    /// `count` events are dispensable, and nothing is said of them but by the counter.
    pub fn pass_over(&self, count: u64) {
        meters::dropped(self.sink, count);
    }

    /// How many so far, without those that were passed over.
    pub fn total(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Says in the log what was lost since it was said last. Called once a minute, and at the end.
    pub fn tell(&self) {
        let lost = self.total();
        let told = self.shared.told.swap(lost, Ordering::Relaxed);
        if lost > told {
            let why = self
                .shared
                .why
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            tracing::warn!(
                sink = self.sink,
                events = lost - told,
                why,
                "events were not exported and are lost: see 'Events are not exported' in the runbook"
            );
        }
    }
}

/// The way in of one sink's queue.
#[derive(Clone, Debug)]
pub struct Outlet {
    queue: mpsc::Sender<Arc<Record>>,
    losses: Losses,
    wants: fn(&Record) -> bool,
}

impl Outlet {
    /// A queue with both its ends, for the records that its sink wants.
    pub fn new(losses: Losses, wants: fn(&Record) -> bool) -> (Self, mpsc::Receiver<Arc<Record>>) {
        let (queue, out) = mpsc::channel(QUEUE);
        let outlet = Self {
            queue,
            losses,
            wants,
        };
        (outlet, out)
    }

    /// Puts it into the queue if it is wanted, or counts it. Never waits.
    pub fn offer(&self, record: &Arc<Record>) {
        if !(self.wants)(record) {
            return;
        }
        if record.json.len() > LARGEST {
            self.losses.add(1, "an event is too large");
        } else if self.queue.try_send(record.clone()).is_err() {
            self.losses
                .add(1, "more events in a moment than the queue takes");
        }
    }
}

struct Open {
    worker: String,
    outlets: Vec<Outlet>,
}

static OPEN: RwLock<Option<Open>> = RwLock::new(None);

/// From now on events go to `outlets` too, as told by `worker`.
pub fn open(worker: &OwnerId, outlets: Vec<Outlet>) {
    let worker = worker.as_str().to_owned();
    let open = Open { worker, outlets };
    *OPEN.write().unwrap_or_else(PoisonError::into_inner) = Some(open);
}

/// No event goes anywhere any more: the queues end behind their last record.
pub fn close() {
    *OPEN.write().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Whether events go anywhere beside the log.
pub(super) fn any() -> bool {
    let open = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    open.as_ref().is_some_and(|open| !open.outlets.is_empty())
}

/// Hands an event to every open outlet, and to the caller.
pub(super) fn offer(told: Told<'_>) -> Arc<Record> {
    let open = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    let worker = open.as_ref().map(|open| open.worker.as_str());
    let record = Arc::new(Record::new(worker, told));
    for outlet in open.iter().flat_map(|open| &open.outlets) {
        outlet.offer(&record);
    }
    record
}

/// A payload that has a `message` of its own has it as `error` beside the line for people, which is what
/// operators search for.
fn beside_the_line(mut payload: Map<String, Value>) -> Map<String, Value> {
    if let Some(own) = payload.remove("message") {
        payload.insert("error".to_owned(), own);
    }
    payload
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(line: &str, payload: Value) -> Record {
        let told = Told {
            name: "whatsapp.session.error",
            level: Level::Error,
            routine: false,
            line,
            payload,
        };
        Record::new(Some("w#1"), told)
    }

    #[test]
    fn a_record_leaves_in_the_envelope_of_the_log_and_without_addresses() {
        let payload = json!({"accountId": "shop", "epoch": 12_345_678, "message": "no 4915112345678:3@s.whatsapp.net"});
        let record = record("failed for 4915112345678@s.whatsapp.net", payload);
        let line: Value = serde_json::from_str(&record.json).expect("JSON");
        assert_eq!(line["message"], "failed for …78@s.whatsapp.net");
        assert_eq!(line["error"], "no …78:3@s.whatsapp.net");
        assert_eq!(line["event"], "whatsapp.session.error");
        assert_eq!(
            (&line["level"], &line["epoch"]),
            (&json!("error"), &json!(12_345_678))
        );
        assert_eq!(
            (&line["worker"], &line["id"]),
            (&json!("w#1"), &json!(record.id))
        );
        assert_eq!(record.account.as_deref(), Some("shop"));
        assert!(
            line["_time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z'))
        );
        let bare = record_of_line("4915112345678@s.whatsapp.net calls");
        assert_eq!(bare["message"], "…78@s.whatsapp.net calls");
    }

    fn record_of_line(line: &str) -> Value {
        serde_json::from_str(&record(line, json!({})).json).expect("JSON")
    }

    #[tokio::test]
    async fn a_full_queue_takes_no_more_and_counts_what_it_did_not_take() {
        let losses = Losses::of("test");
        let (outlet, mut queue) = Outlet::new(losses.clone(), |_| true);
        let one = Arc::new(record("one", json!({})));
        for _ in 0..QUEUE {
            outlet.offer(&one);
        }
        assert_eq!(losses.total(), 0);
        outlet.offer(&one);
        outlet.offer(&Arc::new(record(&"x".repeat(LARGEST), json!({}))));
        assert_eq!(losses.total(), 2);
        drop(outlet);
        let mut taken = 0;
        while queue.recv().await.is_some() {
            taken += 1;
        }
        assert_eq!(taken, QUEUE);
    }
}
