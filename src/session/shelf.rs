//! How far an auth state had come, kept in the other place: that of a local state in the shared store,
//! that of a remote one in a file of this machine, so that a restored copy does not bring its own mark
//! along.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use auth_store::Head;
use tracing::warn;

use crate::ids::AccountId;
use crate::store::{AuthMark, Fence, Store, StoreError};

/// Where the mark of one auth state is kept.
#[derive(Clone, Debug)]
pub enum Shelf {
    /// Of a local one.
    Store(Store, Arc<Fence>),
    /// Of a remote one.
    File(PathBuf),
}

/// The mark could not be read or set.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The shared store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("{}: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Shelf {
    /// Of a remote state, among the local states of the directory `auth_root`.
    pub fn of_remote(auth_root: &Path, account: &AccountId) -> Self {
        Self::File(auth_root.join(account.as_str()).join("remote.mark"))
    }

    /// The mark as it was set last.
    ///
    /// # Errors
    /// It is not known whether there is one.
    pub async fn read(&self) -> Result<Option<AuthMark>, ShelfError> {
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

    /// Sets it, even to where it was before.
    ///
    /// # Errors
    /// It is perhaps not set.
    pub async fn set(&self, mark: &AuthMark) -> Result<(), ShelfError> {
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
pub fn is_older_copy(head: &Head, mark: &AuthMark) -> bool {
    head.lineage == mark.lineage && head.writes < mark.writes
}

/// What an older copy is refused with: what is wrong, where, and the ways out.
pub fn older_copy(account: &AccountId, place: &str, head: &Head, mark: &AuthMark) -> String {
    format!(
        "the auth state of account '{account}' in {place} is an older copy: it has {has} writes, and {known} were known. Put the newer one back; or go on with this one by `whatsapp-worker auth accept-rollback {account}`; or link anew by `whatsapp-worker auth clear {account}`",
        has = head.writes,
        known = mark.writes,
    )
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
