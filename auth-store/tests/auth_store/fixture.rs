//! An account's auth state in a temporary directory.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use auth_store::{
    AccountName, AuthStore, Batch, Credentials, Head, InboundId, InboundLedger, Inspection,
    KeyRing, LedgerError, LocalMedium, Missing, OpenError, OpenMediumError, Options, RecordError,
    RecordKey, RecordStore, Repair, Sealer, inspect,
};
use bytes::Bytes;
use tempfile::TempDir;

pub const STORE: &str = "store-a";

pub struct Account {
    root: PathBuf,
    /// Removes the directory, in the process that made it.
    _made: Option<TempDir>,
    pub name: AccountName,
    pub key: KeyRing,
    pub ledger: Arc<Ledger>,
    pub may_write: Arc<AtomicBool>,
    /// What was repaired so far.
    pub repairs: Arc<Mutex<Vec<Repair>>>,
}

impl Account {
    pub fn new() -> Self {
        let made = tempfile::tempdir().unwrap();
        let account = Self::at(made.path());
        Self {
            _made: Some(made),
            ..account
        }
    }

    /// The account under a directory that somebody else made.
    pub fn at(root: &Path) -> Self {
        let (key, _) = KeyRing::load_or_create(root).unwrap();
        Self {
            root: root.to_owned(),
            _made: None,
            name: AccountName::new("shop").unwrap(),
            key,
            ledger: Arc::default(),
            may_write: Arc::new(AtomicBool::new(true)),
            repairs: Arc::default(),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn file(&self) -> PathBuf {
        self.root.join("shop").join("auth.db")
    }

    pub fn sealer(&self) -> Sealer {
        Sealer::new(self.key.clone(), self.name.clone())
    }

    pub async fn medium(&self, epoch: i64) -> Result<LocalMedium, OpenMediumError> {
        LocalMedium::open(&self.root, &self.name, STORE, epoch).await
    }

    /// Looks at the file without touching it.
    pub async fn inspect(&self) -> Option<Inspection> {
        let medium = LocalMedium::view(&self.root, &self.name).await.unwrap()?;
        let seen = inspect(&medium, &self.sealer()).await.unwrap();
        medium.close().await;
        seen
    }

    pub async fn open(&self, epoch: i64) -> Opened {
        let medium = Arc::new(self.medium(epoch).await.unwrap());
        let auth = self.over(medium.clone()).await.unwrap();
        Opened { medium, auth }
    }

    pub async fn over(&self, medium: Arc<dyn RecordStore>) -> Result<Arc<AuthStore>, OpenError> {
        self.over_as(medium, Credentials::Current).await
    }

    pub async fn over_as(
        &self,
        medium: Arc<dyn RecordStore>,
        credentials: Credentials,
    ) -> Result<Arc<AuthStore>, OpenError> {
        let may_write = self.may_write.clone();
        let repairs = self.repairs.clone();
        let options = Options {
            credentials,
            ledger: self.ledger.clone(),
            may_write: Box::new(move || may_write.load(Ordering::SeqCst)),
            on_repair: Box::new(move |repair| repairs.lock().unwrap().push(repair.clone())),
        };
        AuthStore::open(medium, &self.sealer(), options).await
    }
}

/// A store on its medium.
pub struct Opened {
    pub medium: Arc<LocalMedium>,
    pub auth: Arc<AuthStore>,
}

impl Opened {
    pub async fn close(self) {
        self.auth.close().await.unwrap();
        self.medium.close().await;
    }

    /// Ends as a killed process does: what is only in memory is gone.
    pub async fn kill(self) {
        drop(self.auth);
        self.medium.close().await;
    }
}

/// A ledger that knows what a test tells it.
#[derive(Default)]
pub struct Ledger {
    pub committed: Mutex<HashSet<String>>,
    pub missing: Mutex<Vec<String>>,
    pub give_up: AtomicBool,
    pub broken: AtomicBool,
}

#[async_trait]
impl InboundLedger for Ledger {
    async fn committed(&self, message: InboundId<'_>) -> Result<bool, LedgerError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(LedgerError(Arc::new(std::io::Error::other("no answer"))));
        }
        Ok(self.committed.lock().unwrap().contains(message.id))
    }

    async fn missing(&self, message: InboundId<'_>) -> Result<Missing, LedgerError> {
        self.missing.lock().unwrap().push(message.id.to_owned());
        Ok(if self.give_up.load(Ordering::SeqCst) {
            Missing::GivenUp
        } else {
            Missing::Requested
        })
    }
}

/// A medium whose next writes fail, and that counts those that were tried.
pub struct Faulty {
    pub inner: LocalMedium,
    pub failures_left: AtomicUsize,
    /// Writes that still succeed, before all fail.
    pub successes_left: AtomicUsize,
    pub applied: Mutex<Vec<Batch>>,
    pub tried: AtomicUsize,
}

impl Faulty {
    pub fn new(inner: LocalMedium) -> Arc<Self> {
        Arc::new(Self {
            inner,
            failures_left: AtomicUsize::new(0),
            successes_left: AtomicUsize::new(usize::MAX),
            applied: Mutex::default(),
            tried: AtomicUsize::new(0),
        })
    }

    /// Keys of the batches applied so far, without those of opening.
    pub fn applied_keys(&self) -> Vec<Vec<String>> {
        let keys = |batch: &Batch| {
            let mut keys: Vec<_> = batch
                .puts
                .iter()
                .map(|(key, _)| key.as_str().to_owned())
                .collect();
            keys.sort();
            keys
        };
        self.applied.lock().unwrap().iter().map(keys).collect()
    }
}

#[async_trait]
impl RecordStore for Faulty {
    async fn load(&self, key: &RecordKey) -> Result<Option<Bytes>, RecordError> {
        self.inner.load(key).await
    }

    async fn load_many(&self, keys: &[RecordKey]) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.inner.load_many(keys).await
    }

    async fn load_prefix(&self, prefix: &str) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.inner.load_prefix(prefix).await
    }

    async fn keys(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> Result<Vec<RecordKey>, RecordError> {
        self.inner.keys(from, before, limit).await
    }

    async fn apply(&self, batch: &Batch) -> Result<(), RecordError> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        let take_one = |left: &AtomicUsize| {
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        };
        if take_one(&self.failures_left) || !take_one(&self.successes_left) {
            let source = std::io::Error::other("disk full");
            return Err(RecordError::Unavailable(Arc::new(source)));
        }
        self.inner.apply(batch).await?;
        self.applied.lock().unwrap().push(batch.clone());
        Ok(())
    }

    async fn page(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.inner.page(after, limit).await
    }

    async fn count(&self, prefix: &str) -> Result<u64, RecordError> {
        self.inner.count(prefix).await
    }

    async fn head(&self) -> Result<Option<Head>, RecordError> {
        self.inner.head().await
    }

    async fn stamp_verified(&self) -> Result<(), RecordError> {
        self.inner.stamp_verified().await
    }

    async fn examine(&self) -> Result<(), RecordError> {
        self.inner.examine().await
    }

    fn place(&self) -> String {
        self.inner.place()
    }

    fn checks_itself(&self) -> bool {
        self.inner.checks_itself()
    }
}

/// The record error inside a library error.
pub fn cause(error: wacore::store::error::StoreError) -> RecordError {
    match error {
        wacore::store::error::StoreError::Database(source) => {
            source.downcast_ref::<RecordError>().unwrap().clone()
        }
        other => panic!("not a record error: {other:?}"),
    }
}
