//! What the workers of a fleet tell each of their supervisors.

pub mod picture;
pub mod share;

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::ids::AccountId;
use crate::store::{Account, Store};

/// Between two looks at an account.
const LOOK: Duration = Duration::from_secs(1);

/// What a supervisor is told of its account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posting {
    /// The store's row; `None` as long as the store has not told, and when there is none.
    pub account: Option<Account>,
    /// Other live workers that would take it.
    pub standbys: usize,
}

/// Follows one account in the store, until the handle is dropped.
pub fn follow(
    store: Store,
    account: AccountId,
) -> (watch::Receiver<Posting>, AbortOnDropHandle<()>) {
    let (tell, postings) = watch::channel(Posting::default());
    let following = tokio::spawn(async move {
        loop {
            match store.account(&account).await {
                Ok(row) => {
                    tell.send_if_modified(|posting| {
                        let changed = posting.account != row;
                        posting.account = row;
                        changed
                    });
                }
                Err(error) => {
                    warn!(%account, %error, "the store does not answer, retrying...");
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    (postings, AbortOnDropHandle::new(following))
}
