//! [`AuthStore`]: the auth state of one account, one generation, one owner.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Mutex, OnceCell, watch};
use tokio::task::JoinSet;

use crate::Poison;
use crate::clock;
use crate::gate::{SignalGate, SnapshotPositions};
use crate::generation::{Generation, GenerationLog};
use crate::ledger::InboundLedger;
pub use crate::opening::{Credentials, OpenError, Options};
use crate::record::RecordError;
use crate::record_name::RecordName;
use crate::repair::Repair;
use crate::writer::{Changes, Shared, Writer};

/// The library's backend over a medium. See the crate's documentation.
pub struct AuthStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: SignalGate,
    pub(crate) ledger: Arc<dyn InboundLedger>,
    pub(crate) updates: Updates,
    pub(crate) on_repair: Box<dyn Fn(&Repair) + Send + Sync>,
    /// Known once the medium was examined, before the first repair.
    pub(crate) medium_is_sound: OnceCell<()>,
    pub(crate) writer: Writer,
    pub(crate) log: Mutex<GenerationLog>,
    /// The check of the medium's keys, while it runs.
    pub(crate) checking: Mutex<JoinSet<()>>,
}

/// One lock per kind of record that is changed by reading and writing it.
#[derive(Default)]
pub(crate) struct Updates {
    pub(crate) groups: Mutex<()>,
    pub(crate) lid_mappings: Mutex<()>,
    pub(crate) pre_keys: Mutex<()>,
    pub(crate) repairs: Mutex<()>,
    pub(crate) secrets: Mutex<()>,
    pub(crate) sent: Mutex<()>,
    pub(crate) tc_tokens: Mutex<()>,
}

impl AuthStore {
    /// The gate to feed with the stanzas that arrive.
    pub fn gate(&self) -> &SignalGate {
        &self.gate
    }

    /// Why the store takes no more writes; `None` as long as it does.
    pub fn poisoned(&self) -> watch::Receiver<Option<Poison>> {
        self.shared.poison.subscribe()
    }

    /// How many received messages are between decryption and commit. A message
    /// whose hook failed counts until it is delivered again.
    pub fn in_flight_rows(&self) -> watch::Receiver<usize> {
        self.shared.rows.in_flight()
    }

    /// The generation that this store is open on.
    pub fn generation(&self) -> Generation {
        self.shared.generation
    }

    /// Whether its credentials are in use, rather than being prepared for a link.
    pub async fn is_current(&self) -> bool {
        self.log.lock().await.current == Some(self.shared.generation)
    }

    /// Puts prepared credentials into use, after pairing succeeded. Those that
    /// they replace are kept. Does nothing if they are in use already.
    ///
    /// # Errors
    /// The change is not durable; call it again.
    pub async fn promote(&self) -> Result<(), RecordError> {
        self.change_log(None, |log, generation| {
            log.promote(generation, clock::unix_millis())
        })
        .await
    }

    /// Takes these credentials out of use: they were logged out or are to be
    /// cleared. They are kept, sealed, with `reason`. This store then takes no
    /// more writes; opened again, it prepares a fresh identity.
    ///
    /// # Errors
    /// The change is not durable; call it again.
    pub async fn retire(&self, reason: &str) -> Result<(), RecordError> {
        self.change_log(Some(Poison::Retired), |log, generation| {
            log.retire(generation, reason, clock::unix_millis())
        })
        .await
    }

    async fn change_log(
        &self,
        then_stop: Option<Poison>,
        change: impl FnOnce(&mut GenerationLog, Generation) -> bool,
    ) -> Result<(), RecordError> {
        let mut log = self.log.lock().await;
        let mut changed = log.clone();
        if !change(&mut changed, self.shared.generation) {
            return Ok(());
        }
        let mut changes = Changes::default().with_log(changed.clone()).with_rows();
        if let Some(reason) = then_stop {
            changes = changes.then_stop(reason);
        }
        self.write(changes).await?;
        *log = changed;
        Ok(())
    }

    /// Returns when everything written so far, and every pending row, is durable.
    ///
    /// # Errors
    /// Something is not durable.
    pub async fn flush(&self) -> Result<(), RecordError> {
        self.write(Changes::default().with_rows()).await
    }

    /// Flushes and stops. Every later write is refused. The medium stays open.
    ///
    /// # Errors
    /// Something is not durable; the store is closed nevertheless.
    pub async fn close(&self) -> Result<(), RecordError> {
        let changes = Changes::default().with_rows().then_stop(Poison::Closed);
        self.checking.lock().await.shutdown().await;
        let flushed = self.writer.write(changes).await;
        self.writer.join().await;
        flushed
    }

    pub(crate) fn write(
        &self,
        changes: Changes,
    ) -> impl Future<Output = Result<(), RecordError>> + Send + '_ {
        self.writer.write(changes)
    }

    pub(crate) async fn put(
        &self,
        name: RecordName,
        value: impl Into<Bytes>,
    ) -> Result<(), RecordError> {
        let mut changes = Changes::default();
        changes.put(name, value);
        self.write(changes).await
    }

    pub(crate) async fn put_json(
        &self,
        name: RecordName,
        value: &impl Serialize,
    ) -> Result<(), RecordError> {
        self.put(name, json(value)).await
    }

    pub(crate) async fn remove(&self, name: RecordName) -> Result<(), RecordError> {
        let mut changes = Changes::default();
        changes.remove(name);
        self.write(changes).await
    }

    /// Writes Signal state, once no unsettled message is inside it, together
    /// with the rows of messages that are not committed.
    pub(crate) async fn write_signal(
        &self,
        changes: Changes,
        positions: impl FnOnce() -> SnapshotPositions,
    ) -> Result<(), RecordError> {
        if !self.gate.is_idle() {
            self.gate.admit(&positions()).await?;
        }
        self.write(changes.with_rows()).await
    }
}

impl fmt::Debug for AuthStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthStore")
            .field("generation", &self.shared.generation)
            .field("poison", &*self.shared.poison.borrow())
            .finish_non_exhaustive()
    }
}

pub(crate) fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("the library's records have string keys and serialise")
        .into()
}
