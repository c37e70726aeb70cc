//! The one writer of a store: everything durable passes here, in order.
//!
//! A task of its own takes requests from a bounded queue, joins those that wait
//! into one transaction, seals and applies it, and only then answers. So a
//! caller that is cancelled leaves nothing half known, and callers that write
//! at the same time share a commit.
//!
//! # Failures
//!
//! A medium that does not answer is asked again, with growing pauses, while
//! the caller's `may_write` allows it; after that, and on a fence or on damage,
//! the store is poisoned: every later write is refused and
//! [`poisoned`](crate::AuthStore::poisoned) says why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::Poison;
use crate::cache::Cache;
use crate::generation::{Generation, GenerationLog};
use crate::keys::NoRandomness;
use crate::pending_rows::PendingRows;
use crate::record::{Batch, RecordError, RecordStore};
use crate::record_name::RecordName;
use crate::repair::Removal;
use crate::sealer::GenerationSealer;

/// Requests that may wait; further callers wait for a place.
const QUEUE: usize = 256;
/// Requests that share a transaction at most.
const GROUP: usize = 128;
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(10);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Changes that become durable together; the last one of a name counts.
#[derive(Default)]
pub(crate) struct Changes {
    records: Vec<(RecordName, Option<Bytes>)>,
    rows: bool,
    log: Option<GenerationLog>,
    removals: Vec<Removal>,
    last: Option<Poison>,
}

impl Changes {
    pub(crate) fn put(&mut self, name: RecordName, value: impl Into<Bytes>) {
        self.records.push((name, Some(value.into())));
    }

    pub(crate) fn remove(&mut self, name: RecordName) {
        self.records.push((name, None));
    }

    /// Carries the pending rows along.
    pub(crate) fn with_rows(mut self) -> Self {
        self.rows = true;
        self
    }

    /// Replaces the list of generations.
    pub(crate) fn with_log(mut self, log: GenerationLog) -> Self {
        self.log = Some(log);
        self
    }

    /// Removes a damaged record, unless it was written again since.
    pub(crate) fn with_removal(mut self, removal: Removal) -> Self {
        self.removals.push(removal);
        self
    }

    /// Refuses every write after this one, for this reason.
    pub(crate) fn then_stop(mut self, reason: Poison) -> Self {
        self.last = Some(reason);
        self
    }
}

struct Request {
    changes: Changes,
    done: oneshot::Sender<Result<(), RecordError>>,
}

/// What the writer and the readers of a store share.
pub(crate) struct Shared {
    pub(crate) medium: Arc<dyn RecordStore>,
    pub(crate) generation: Generation,
    pub(crate) sealer: GenerationSealer,
    pub(crate) root_sealer: GenerationSealer,
    pub(crate) cache: Cache,
    pub(crate) rows: PendingRows,
    /// Held while the medium and the cache are brought to agree.
    pub(crate) order: tokio::sync::Mutex<()>,
    pub(crate) poison: watch::Sender<Option<Poison>>,
    pub(crate) may_write: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Shared {
    pub(crate) fn refuse_if_poisoned(&self) -> Result<(), RecordError> {
        match &*self.poison.borrow() {
            None => Ok(()),
            Some(poison) => Err(RecordError::Stopped(poison.clone())),
        }
    }

    /// The first reason stays.
    pub(crate) fn stop(&self, reason: Poison) {
        self.poison.send_if_modified(|poison| {
            let first = poison.is_none();
            if first {
                *poison = Some(reason);
            }
            first
        });
    }
}

/// Hands requests to the task.
pub(crate) struct Writer {
    requests: mpsc::Sender<Request>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(shared: Arc<Shared>) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        Self {
            requests,
            task: tokio::sync::Mutex::new(Some(tokio::spawn(run(shared, queue)))),
        }
    }

    /// Returns when the changes are durable. Cancelling the wait does not undo them.
    pub(crate) async fn write(&self, changes: Changes) -> Result<(), RecordError> {
        let stopped = || RecordError::Stopped(Poison::Closed);
        let (done, answer) = oneshot::channel();
        self.requests
            .send(Request { changes, done })
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Waits until the task has ended, after a request that stops it.
    pub(crate) async fn join(&self) {
        if let Some(task) = self.task.lock().await.take() {
            task.await.expect("the writer does not panic");
        }
    }
}

async fn run(shared: Arc<Shared>, mut queue: mpsc::Receiver<Request>) {
    let mut group = Vec::with_capacity(GROUP);
    let mut closed = false;
    while queue.recv_many(&mut group, GROUP).await > 0 {
        // A request that stops the store is the last of its group.
        while !group.is_empty() {
            let end = group
                .iter()
                .position(|request| request.changes.last.is_some())
                .map_or(group.len(), |at| at + 1);
            let requests: Vec<_> = group.drain(..end).collect();
            let last = requests.iter().find_map(|r| r.changes.last.clone());
            let mut waiting = Vec::with_capacity(requests.len());
            let mut changes = Vec::with_capacity(requests.len());
            for request in requests {
                waiting.push(request.done);
                changes.push(request.changes);
            }
            let result = write_group(&shared, changes).await;
            closed |= last == Some(Poison::Closed);
            if let Some(reason) = last
                && (result.is_ok() || reason == Poison::Closed)
            {
                shared.stop(reason);
            }
            for done in waiting {
                // A caller that was cancelled does not listen.
                let _ = done.send(result.clone());
            }
        }
        if closed {
            return;
        }
    }
}

async fn write_group(shared: &Shared, group: Vec<Changes>) -> Result<(), RecordError> {
    shared.refuse_if_poisoned()?;
    let mut merged = BTreeMap::new();
    let mut with_rows = false;
    let mut log = None;
    let mut removals = Vec::new();
    for changes in group {
        merged.extend(changes.records);
        with_rows |= changes.rows;
        log = changes.log.or(log);
        removals.extend(changes.removals);
    }
    for removal in removals {
        remove_damaged(&shared.cache, &mut merged, removal);
    }
    merged.retain(|name, value| shared.cache.get(name).as_ref() != Some(value));

    let rows = with_rows.then(|| shared.rows.begin_write());
    let batch = seal(shared, &merged, rows.as_ref(), log.as_ref()).inspect_err(|_| {
        shared.stop(Poison::NoRandomness);
    });
    let batch = batch.map_err(|_| RecordError::Stopped(Poison::NoRandomness))?;

    let mut pause = FIRST_PAUSE;
    let mut failed: Option<RecordError> = None;
    while !batch.is_empty() {
        if !(shared.may_write)() {
            return Err(match failed {
                None => RecordError::NotTrusted,
                Some(error) => poisoned(shared, Poison::DeadlinePassed(error.to_string())),
            });
        }
        let order = shared.order.lock().await;
        match shared.medium.apply(&batch).await {
            Ok(()) => {
                remember(shared, merged);
                if let Some(rows) = &rows {
                    shared.rows.end_write(rows);
                }
                break;
            }
            Err(error) if error.is_transient() => {
                drop(order);
                if failed.is_none() {
                    tracing::warn!(%error, "auth state not written, trying again");
                }
                failed = Some(error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(RecordError::Fenced { ours, stored }) => {
                return Err(poisoned(shared, Poison::Fenced { ours, stored }));
            }
            Err(error) => return Err(poisoned(shared, Poison::Damaged(error.to_string()))),
        }
    }
    Ok(())
}

/// All writes pass here, so what the cache knows cannot change meanwhile.
fn remove_damaged(
    cache: &Cache,
    merged: &mut BTreeMap<RecordName, Option<Bytes>>,
    removal: Removal,
) {
    let as_it_was_seen = match cache.get(&removal.name) {
        None => true,
        Some(known) => known.is_some() && known == removal.seen,
    };
    if merged.contains_key(&removal.name) || !as_it_was_seen {
        return;
    }
    let removed = std::iter::once(removal.name).chain(removal.companions);
    merged.extend(removed.map(|name| (name, None)));
    let (note, value) = removal.note;
    merged.insert(note, Some(value));
}

fn poisoned(shared: &Shared, reason: Poison) -> RecordError {
    tracing::error!(%reason, "auth store poisoned");
    shared.stop(reason.clone());
    match reason {
        Poison::Fenced { ours, stored } => RecordError::Fenced { ours, stored },
        reason => RecordError::Stopped(reason),
    }
}

fn seal(
    shared: &Shared,
    merged: &BTreeMap<RecordName, Option<Bytes>>,
    rows: Option<&crate::pending_rows::RowWrites>,
    log: Option<&GenerationLog>,
) -> Result<Batch, NoRandomness> {
    let mut batch = Batch::default();
    let mut put = |name: &RecordName, value: &Bytes| -> Result<(), NoRandomness> {
        let key = shared.generation.key(name.text());
        let sealed = shared.sealer.seal(&key, value)?;
        batch.puts.push((key, sealed));
        Ok(())
    };
    for (name, value) in merged {
        if let Some(value) = value {
            put(name, value)?;
        }
    }
    for (name, value) in rows.iter().flat_map(|rows| &rows.puts) {
        put(name, value)?;
    }
    let removed = merged
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name)
        .chain(rows.iter().flat_map(|rows| &rows.deletes));
    batch
        .deletes
        .extend(removed.map(|name| shared.generation.key(name.text())));
    if let Some(log) = log {
        let key = GenerationLog::record_key();
        let sealed = shared.root_sealer.seal(&key, &log.encode())?;
        batch.puts.push((key, sealed));
    }
    Ok(batch)
}

fn remember(shared: &Shared, merged: BTreeMap<RecordName, Option<Bytes>>) {
    for (name, value) in merged {
        shared.cache.set(name, value);
    }
}
