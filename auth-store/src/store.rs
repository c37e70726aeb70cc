//! [`AuthStore`]: the auth state of one account, one generation, one owner.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Mutex, watch};

use crate::Poison;
use crate::cache::Cache;
use crate::clock;
use crate::gate::{SignalGate, SnapshotPositions};
use crate::generation::{Generation, GenerationLog};
use crate::ledger::InboundLedger;
use crate::pending_rows::PendingRows;
use crate::reading::json_damage;
use crate::record::{Damage, RecordError, RecordStore, after_prefix};
use crate::record_name::{Family, RecordName};
use crate::sealer::{GenerationSealer, Sealer};
use crate::snapshot::install;
use crate::writer::{Changes, Shared, Writer};

/// Which credentials to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Credentials {
    /// The linked ones; without any, those being prepared for a link.
    #[default]
    Current,
    /// Those being prepared for a link, even while others are in use. They
    /// replace the others when [`AuthStore::promote`] is called.
    Fresh,
}

/// What a store needs from its owner.
pub struct Options {
    /// Which credentials to open.
    pub credentials: Credentials,
    /// Knows which messages are committed.
    pub ledger: Arc<dyn InboundLedger>,
    /// Whether writing is still allowed: `false` past the trust deadline.
    /// Called often; must not block.
    pub may_write: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Why an auth state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is sealed with another key file than the configured one.
    #[error(
        "the auth state of account {account} is sealed with key {found}, the configured key is \
         {ours}: configure the key file it was sealed with"
    )]
    WrongKey {
        /// The account.
        account: String,
        /// Key id of the records.
        found: String,
        /// Key id of the configured key.
        ours: String,
    },
    /// It is damaged, fenced or does not answer.
    #[error(transparent)]
    Records(#[from] RecordError),
}

/// The library's backend over a medium. See the crate's documentation.
pub struct AuthStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: SignalGate,
    pub(crate) ledger: Arc<dyn InboundLedger>,
    pub(crate) updates: Updates,
    writer: Writer,
    log: Mutex<GenerationLog>,
}

/// One lock per kind of record that is changed by reading and writing it.
#[derive(Default)]
pub(crate) struct Updates {
    pub(crate) groups: Mutex<()>,
    pub(crate) lid_mappings: Mutex<()>,
    pub(crate) pre_keys: Mutex<()>,
    pub(crate) secrets: Mutex<()>,
    pub(crate) sent: Mutex<()>,
    pub(crate) tc_tokens: Mutex<()>,
}

impl AuthStore {
    /// Opens the account's auth state on `medium`.
    ///
    /// # Errors
    /// Everything but an account that has no records at all: a state that
    /// cannot be read is never taken for an absent one.
    pub async fn open(
        medium: Arc<dyn RecordStore>,
        sealer: &Sealer,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        let root_sealer = sealer.generation(Generation::ROOT);
        let mut log = load_log(&*medium, &root_sealer)
            .await
            .map_err(|error| wrong_key(sealer, error))?
            .unwrap_or_default();
        install::sweep(&*medium, &root_sealer, &mut log).await?;
        let before = log.clone();
        let generation = match (options.credentials, log.current) {
            (Credentials::Current, Some(current)) => current,
            _ => log.prepare(),
        };
        let shared = Arc::new(Shared {
            rows: PendingRows::new(rows_left_behind(&*medium, generation).await?),
            sealer: sealer.generation(generation),
            root_sealer,
            medium,
            generation,
            cache: Cache::default(),
            order: Mutex::new(()),
            poison: watch::Sender::new(None),
            may_write: options.may_write,
        });
        let store = Arc::new(Self {
            writer: Writer::start(shared.clone()),
            shared,
            gate: SignalGate::default(),
            ledger: options.ledger,
            updates: Updates::default(),
            log: Mutex::new(log.clone()),
        });
        if log != before {
            store.write(Changes::default().with_log(log)).await?;
        }
        Ok(store)
    }

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

/// Reads the list of generations; `None` only for an account without any record.
pub(crate) async fn load_log(
    medium: &dyn RecordStore,
    root: &GenerationSealer,
) -> Result<Option<GenerationLog>, RecordError> {
    let key = GenerationLog::record_key();
    if let Some(sealed) = medium.load(&key).await? {
        let value = root.open(&key, sealed)?;
        return GenerationLog::decode(&value)
            .map(Some)
            .map_err(|error| RecordError::value(&key, json_damage(&error)));
    }
    if medium.keys("", "\u{7f}", 1).await?.is_empty() {
        return Ok(None);
    }
    Err(RecordError::Corrupt {
        key,
        damage: Damage::Gone,
    })
}

async fn rows_left_behind(
    medium: &dyn RecordStore,
    generation: Generation,
) -> Result<Vec<RecordName>, RecordError> {
    let prefix = format!(
        "{}{}",
        generation.prefix(),
        Family::PendingInbound.prefix([])
    );
    let keys = medium
        .keys(&prefix, &after_prefix(&prefix), usize::MAX)
        .await?;
    Ok(keys
        .iter()
        .filter_map(|key| {
            Family::PendingInbound.of_text(&key.as_str()[generation.prefix().len()..])
        })
        .collect())
}

pub(crate) fn wrong_key(sealer: &Sealer, error: RecordError) -> OpenError {
    match error {
        RecordError::Corrupt {
            damage: Damage::KeyId { found, ours },
            ..
        } => OpenError::WrongKey {
            account: sealer.account().to_string(),
            found,
            ours,
        },
        error => error.into(),
    }
}
