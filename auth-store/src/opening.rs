//! Opening an auth state: what must be right before anything connects.

use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell, watch};
use tokio::task::JoinSet;
use wacore::store::Device;

use crate::cache::Cache;
use crate::gate::SignalGate;
use crate::generation::Generation;
use crate::ledger::InboundLedger;
use crate::pending_rows::PendingRows;
use crate::record::{Damage, RecordError, RecordStore, after_prefix};
use crate::record_name::{Family, RecordName};
use crate::repair::Repair;
use crate::root::Root;
use crate::sealer::Sealer;
use crate::snapshot::{no_randomness, sweep};
use crate::store::Updates;
use crate::writer::{Changes, Shared, Writer};
use crate::{AuthStore, key_check};

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
    /// Told of each damaged record that was dropped. Must not block.
    pub on_repair: Box<dyn Fn(&Repair) + Send + Sync>,
}

/// Why an auth state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is sealed with none of the configured keys.
    #[error(
        "the auth state of account {account} is sealed with key {found}, configured is {ours}: \
         configure the key it was sealed with, after the one that is to seal"
    )]
    WrongKey {
        /// The account.
        account: String,
        /// Id of the key that seals it.
        found: String,
        /// Ids of the configured keys, with commas between them.
        ours: String,
    },
    /// It is damaged, fenced or does not answer.
    #[error(transparent)]
    Records(#[from] RecordError),
}

impl AuthStore {
    /// Opens the account's auth state on `medium`.
    ///
    /// The device and its signed pre-keys are read at once, so that a damaged
    /// identity is refused before anything connects. A root record that is
    /// sealed under another key than the first of the ring is sealed anew.
    ///
    /// # Errors
    /// Everything but an account that has no records at all: a state that
    /// cannot be read is never taken for an absent one.
    pub async fn open(
        medium: Arc<dyn RecordStore>,
        sealer: &Sealer,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        let root = Root::load(&*medium, sealer).await?.unwrap_or_default();
        let stale = root.is_stale(sealer);
        let mut log = root.into_log();
        let root_sealer = sealer.root();
        sweep(&*medium, &root_sealer, &mut log).await?;
        let before = log.clone();
        let generation = match (options.credentials, log.current) {
            (Credentials::Current, Some(current)) => current,
            _ => log.prepare().map_err(no_randomness)?,
        };
        let shared = Arc::new(Shared {
            rows: PendingRows::new(rows_left_behind(&*medium, generation).await?),
            sealer: sealer.generation(generation, log.data_key(generation)),
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
            on_repair: options.on_repair,
            medium_is_sound: OnceCell::new(),
            log: Mutex::new(log.clone()),
            checking: Mutex::default(),
        });
        store
            .check_identity(log.current == Some(generation))
            .await?;
        if stale || log != before {
            store.write(Changes::default().with_log(log)).await?;
        }
        if !store.shared.medium.checks_itself() {
            let mut checking = JoinSet::new();
            checking.spawn(key_check::watch_over(store.shared.clone()));
            *store.checking.lock().await = checking;
        }
        Ok(store)
    }

    /// Credentials in use have a device; without one, the library would begin with new ones.
    async fn check_identity(&self, in_use: bool) -> Result<(), RecordError> {
        let name = Family::Device.record([]);
        let device = self.read_json::<Device>(&name).await?;
        if in_use && device.is_none() {
            return Err(RecordError::Corrupt {
                key: self.key(&name),
                damage: Damage::Gone,
            });
        }
        self.all_signed_pre_keys().await?;
        Ok(())
    }
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
