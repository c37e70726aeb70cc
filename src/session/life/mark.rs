//! Knows an auth state that was restored from an older copy: its ratchets have gone back, and sending
//! with them again would use keys twice.
//!
//! A mark says how far the state had come, and lies on a [`Shelf`]. It is set when the state is opened,
//! at most two seconds after a change, and at the end of a term. What was written after the last mark
//! and is lost again is not noticed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth_store::{Batch, Head, RecordError, RecordKey, RecordStore};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::session::shelf::{Shelf, ShelfError};
use crate::store::AuthMark;

/// How long changes are gathered before the mark follows them.
const PACE: Duration = Duration::from_secs(1);

/// A medium whose mark follows it.
pub(super) struct Marked {
    medium: Arc<dyn RecordStore>,
    shelf: Shelf,
    changed: Arc<Notify>,
    _following: AbortOnDropHandle<()>,
}

impl Marked {
    /// The mark stays as it is until `medium` changes, or [`Marked::mark_now`].
    pub(super) fn new(medium: Arc<dyn RecordStore>, shelf: Shelf) -> Self {
        let changed = Arc::new(Notify::new());
        let following = follow(medium.clone(), shelf.clone(), changed.clone());
        Self {
            medium,
            shelf,
            changed,
            _following: AbortOnDropHandle::new(tokio::spawn(following)),
        }
    }

    /// The mark as it was set last.
    pub(super) async fn mark(&self) -> Result<Option<AuthMark>, ShelfError> {
        self.shelf.read().await
    }

    /// Brings the mark to where the medium is, even if that is further back.
    pub(super) async fn mark_now(&self) -> Result<(), MarkError> {
        mark(&*self.medium, &self.shelf).await
    }
}

/// The mark could not follow.
#[derive(Debug, thiserror::Error)]
pub(super) enum MarkError {
    #[error(transparent)]
    Medium(#[from] RecordError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}

async fn mark(medium: &dyn RecordStore, shelf: &Shelf) -> Result<(), MarkError> {
    if let Some(Head {
        lineage, writes, ..
    }) = medium.head().await?
    {
        shelf.set(&AuthMark { lineage, writes }).await?;
    }
    Ok(())
}

async fn follow(medium: Arc<dyn RecordStore>, shelf: Shelf, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        tokio::time::sleep(PACE).await;
        if let Err(error) = mark(&*medium, &shelf).await {
            debug!(%error, "the mark of an auth state does not follow, trying again");
            changed.notify_one();
        }
    }
}

#[async_trait]
impl RecordStore for Marked {
    async fn load(&self, key: &RecordKey) -> Result<Option<Bytes>, RecordError> {
        self.medium.load(key).await
    }

    async fn load_many(&self, keys: &[RecordKey]) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.medium.load_many(keys).await
    }

    async fn load_prefix(&self, prefix: &str) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.medium.load_prefix(prefix).await
    }

    async fn keys(
        &self,
        from: &str,
        before: &str,
        limit: usize,
    ) -> Result<Vec<RecordKey>, RecordError> {
        self.medium.keys(from, before, limit).await
    }

    async fn page(
        &self,
        after: Option<&RecordKey>,
        limit: usize,
    ) -> Result<Vec<(RecordKey, Bytes)>, RecordError> {
        self.medium.page(after, limit).await
    }

    async fn count(&self, prefix: &str) -> Result<u64, RecordError> {
        self.medium.count(prefix).await
    }

    async fn apply(&self, batch: &Batch) -> Result<(), RecordError> {
        self.medium.apply(batch).await?;
        self.changed.notify_one();
        Ok(())
    }

    async fn head(&self) -> Result<Option<Head>, RecordError> {
        self.medium.head().await
    }

    async fn stamp_verified(&self) -> Result<(), RecordError> {
        self.medium.stamp_verified().await
    }

    async fn examine(&self) -> Result<(), RecordError> {
        self.medium.examine().await
    }

    fn place(&self) -> String {
        self.medium.place()
    }

    fn checks_itself(&self) -> bool {
        self.medium.checks_itself()
    }
}
