//! Knows an auth state that was restored from an older copy: its ratchets have gone back, and sending
//! with them again would use keys twice.
//!
//! A mark says how far the state had come. It lies in the other place: that of a local state in the
//! shared store, that of a remote one in a file of this machine, so that a restored copy does not bring
//! its own mark along. It is set when the state is opened, at most two seconds after a change, and at
//! the end of a term. What was written after the last mark and is lost again is not noticed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth_store::{Batch, Head, RecordError, RecordKey, RecordStore};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use crate::store::{AuthMark, Fence, Store, StoreError};

/// How long changes are gathered before the mark follows them.
const PACE: Duration = Duration::from_secs(1);

/// Where the mark of one auth state is kept.
#[derive(Clone)]
pub(super) enum Shelf {
    /// Of a local one.
    Store(Store, Arc<Fence>),
    /// Of a remote one.
    File(PathBuf),
}

/// The mark could not be read or set.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShelfError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: {source}", file.display())]
    File {
        file: PathBuf,
        source: std::io::Error,
    },
}

impl Shelf {
    pub(super) async fn read(&self) -> Result<Option<AuthMark>, ShelfError> {
        match self {
            Self::Store(store, fence) => Ok(store.auth_mark(fence.account()).await?),
            Self::File(file) => match tokio::fs::read_to_string(file).await {
                Ok(text) => Ok(parse(&text).or_else(|| {
                    // It is made anew; refusing the state would lock out who has nothing to mend.
                    warn!(file = %file.display(), "this mark of an auth state cannot be read");
                    None
                })),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(self.file_error(source)),
            },
        }
    }

    pub(super) async fn set(&self, mark: &AuthMark) -> Result<(), ShelfError> {
        match self {
            Self::Store(store, fence) => Ok(store.set_auth_mark(fence, mark).await?),
            Self::File(file) => {
                let written = async {
                    if let Some(dir) = file.parent() {
                        tokio::fs::DirBuilder::new()
                            .recursive(true)
                            .mode(0o700)
                            .create(dir)
                            .await?;
                    }
                    // Not synced: the mark that a power cut leaves is an older one, which accuses nobody.
                    let fresh = file.with_extension("mark.new");
                    tokio::fs::write(&fresh, format!("{} {}\n", mark.lineage, mark.writes)).await?;
                    tokio::fs::rename(&fresh, file).await
                };
                written.await.map_err(|source| self.file_error(source))
            }
        }
    }

    fn file_error(&self, source: std::io::Error) -> ShelfError {
        let file = match self {
            Self::File(file) => file.clone(),
            Self::Store(..) => PathBuf::new(),
        };
        ShelfError::File { file, source }
    }
}

fn parse(text: &str) -> Option<AuthMark> {
    let (lineage, writes) = text.trim().split_once(' ')?;
    Some(AuthMark {
        lineage: lineage.to_owned(),
        writes: writes.parse().ok()?,
    })
}

/// What a mark says of a state with this head.
pub(super) fn is_older_copy(head: &Head, mark: &AuthMark) -> bool {
    head.lineage == mark.lineage && head.writes < mark.writes
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lineage: &str, writes: u64) -> Head {
        Head {
            lineage: lineage.to_owned(),
            writes,
            ..Head::begin(1).expect("randomness")
        }
    }

    fn at(lineage: &str, writes: u64) -> AuthMark {
        AuthMark {
            lineage: lineage.to_owned(),
            writes,
        }
    }

    #[test]
    fn fewer_writes_than_the_mark_of_the_same_lineage_are_an_older_copy() {
        assert!(is_older_copy(&head("a", 6), &at("a", 7)));
        assert!(!is_older_copy(&head("a", 7), &at("a", 7)));
        assert!(!is_older_copy(&head("a", 8), &at("a", 7)));
        assert!(!is_older_copy(&head("b", 6), &at("a", 7)), "another state");
    }

    #[tokio::test]
    async fn a_mark_is_read_from_its_file_and_one_that_is_no_mark_is_none() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("shop").join("remote.mark");
        let shelf = Shelf::File(file.clone());
        assert_eq!(shelf.read().await.expect("none yet"), None);
        for mark in [at("a", 7), at("a", 3)] {
            shelf.set(&mark).await.expect("writes");
            assert_eq!(shelf.read().await.expect("reads"), Some(mark));
        }
        std::fs::write(&file, "half a li").expect("writes");
        assert_eq!(shelf.read().await.expect("reads"), None);
    }
}
