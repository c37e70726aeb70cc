//! Received messages between being decrypted and being committed.
//!
//! The library stores a row before it hands a message to the durability hook,
//! and deletes it after the hook's commit. The hook's commit is the durable
//! record, so a row lives in memory and reaches the medium only together with
//! Signal state that would otherwise be ahead of it.
//!
//! ```text
//!   store ─> in memory ──commit──> deleted (never written)
//!                └── Signal state is written ─> on the medium ──commit──> deleted with a later write
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::ledger::InboundId;
use crate::record_name::{Family, RecordName};

/// What may wait in memory only; beyond it, rows are written at once.
const MAX_UNWRITTEN_BYTES: usize = 16 << 20;
/// What a row costs beside its value.
const ROW_OVERHEAD: usize = 256;

pub(crate) fn row_name(message: InboundId<'_>) -> RecordName {
    Family::PendingInbound.record([message.chat, message.sender, message.id])
}

struct Row {
    /// Empty once it is on the medium.
    unwritten: Option<Bytes>,
    stored_at: i64,
}

#[derive(Default)]
struct Rows {
    /// Rows that this process was given and that are not deleted.
    live: HashMap<RecordName, Row>,
    unwritten_bytes: usize,
    /// Names of rows that are, or may be, on the medium.
    on_medium: HashSet<RecordName>,
    /// Rows to delete from the medium with the next write.
    stale: HashSet<RecordName>,
}

/// See the module's documentation.
pub(crate) struct PendingRows {
    rows: Mutex<Rows>,
    in_flight: watch::Sender<usize>,
}

/// What a write of Signal state has to carry.
#[derive(Default)]
pub(crate) struct RowWrites {
    pub(crate) puts: Vec<(RecordName, Bytes)>,
    pub(crate) deletes: Vec<RecordName>,
}

/// Where a row is.
pub(crate) enum Found {
    InMemory(Bytes),
    OnMedium,
    Nowhere,
}

impl PendingRows {
    /// Starts with the rows that an earlier process left on the medium.
    pub(crate) fn new(left_behind: impl IntoIterator<Item = RecordName>) -> Self {
        Self {
            rows: Mutex::new(Rows {
                on_medium: left_behind.into_iter().collect(),
                ..Rows::default()
            }),
            in_flight: watch::Sender::new(0),
        }
    }

    /// Takes a row. `true` if so much is in memory that it must be written now.
    pub(crate) fn store(&self, name: RecordName, message: &[u8], now: i64) -> bool {
        let value = encode(message, now);
        let mut rows = self.lock();
        rows.unwritten_bytes += cost(&value);
        rows.stale.remove(&name);
        let replaced = rows.live.insert(
            name,
            Row {
                unwritten: Some(value),
                stored_at: now,
            },
        );
        if let Some(Row {
            unwritten: Some(old),
            ..
        }) = replaced
        {
            rows.unwritten_bytes -= cost(&old);
        }
        self.in_flight.send_replace(rows.live.len());
        rows.unwritten_bytes > MAX_UNWRITTEN_BYTES
    }

    pub(crate) fn find(&self, name: &RecordName) -> Found {
        let rows = self.lock();
        match rows.live.get(name) {
            Some(Row {
                unwritten: Some(value),
                ..
            }) => Found::InMemory(value.clone()),
            _ if rows.on_medium.contains(name) && !rows.stale.contains(name) => Found::OnMedium,
            _ => Found::Nowhere,
        }
    }

    pub(crate) fn delete(&self, name: &RecordName) {
        let mut rows = self.lock();
        if let Some(Row {
            unwritten: Some(value),
            ..
        }) = rows.live.remove(name)
        {
            rows.unwritten_bytes -= cost(&value);
        }
        if rows.on_medium.contains(name) {
            rows.stale.insert(name.clone());
        }
        self.in_flight.send_replace(rows.live.len());
    }

    /// Everything that the next write of Signal state must carry. From here on
    /// the rows count as possibly on the medium.
    pub(crate) fn begin_write(&self) -> RowWrites {
        let mut rows = self.lock();
        let puts: Vec<_> = rows
            .live
            .iter()
            .filter_map(|(name, row)| Some((name.clone(), row.unwritten.clone()?)))
            .collect();
        let deletes = rows.stale.iter().cloned().collect();
        rows.on_medium
            .extend(puts.iter().map(|(name, _)| name.clone()));
        RowWrites { puts, deletes }
    }

    /// The write is durable.
    pub(crate) fn end_write(&self, written: &RowWrites) {
        let mut rows = self.lock();
        for (name, value) in &written.puts {
            if let Some(row) = rows.live.get_mut(name)
                && row.unwritten.as_ref() == Some(value)
            {
                row.unwritten = None;
                rows.unwritten_bytes -= cost(value);
            }
        }
        for name in &written.deletes {
            // Stored again meanwhile: the new value goes out with the next write.
            if rows.stale.remove(name) || rows.live.contains_key(name) {
                rows.on_medium.remove(name);
            }
        }
    }

    /// Rows on the medium, for the expiry sweep.
    pub(crate) fn on_medium(&self) -> Vec<RecordName> {
        let rows = self.lock();
        rows.on_medium.difference(&rows.stale).cloned().collect()
    }

    /// When a row that this process holds was stored, in unix seconds.
    pub(crate) fn stored_at(&self, name: &RecordName) -> Option<i64> {
        self.lock().live.get(name).map(|row| row.stored_at)
    }

    /// Number of rows that this process holds and that are not deleted.
    pub(crate) fn in_flight(&self) -> watch::Receiver<usize> {
        self.in_flight.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(value: &Bytes) -> usize {
    value.len() + ROW_OVERHEAD
}

const TIME_LEN: usize = 8;

/// A row's value: when it was stored (unix seconds, 8 bytes), then the message.
fn encode(message: &[u8], stored_at: i64) -> Bytes {
    let mut value = Vec::with_capacity(TIME_LEN + message.len());
    value.extend_from_slice(&stored_at.to_be_bytes());
    value.extend_from_slice(message);
    value.into()
}

/// The time and the message of a row's value; `None` if it is too short.
pub(crate) fn decode(value: &Bytes) -> Option<(i64, Bytes)> {
    let time = value.get(..TIME_LEN)?.try_into().ok()?;
    Some((i64::from_be_bytes(time), value.slice(TIME_LEN..)))
}
