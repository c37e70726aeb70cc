//! What there is of everything, for graphs and pages: read while somebody looks, never by a claim.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Account, LeaseRow, OutboxDepth, QueueDepth, Result, SessionStatus, Store};
use crate::clock::Boot;
use crate::ids::AccountId;

/// How old what a [`Lookout`] tells may be.
const FRESH: Duration = Duration::from_secs(1);

/// The store, seen at once; not in one transaction.
#[derive(Clone, Debug)]
pub struct Census {
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Who holds them.
    pub leases: Vec<LeaseRow>,
    /// What their sessions do.
    pub sessions: HashMap<AccountId, SessionStatus>,
    /// Work for agents.
    pub queues: Vec<QueueDepth>,
    /// Messages to be sent.
    pub outboxes: Vec<OutboxDepth>,
}

impl Store {
    /// Counts.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn census(&self) -> Result<Census> {
        Ok(Census {
            accounts: self.accounts().await?,
            leases: self.leases().await?,
            sessions: self.session_statuses().await?,
            queues: self.queue_depths().await?,
            outboxes: self.outbox_depths().await?,
        })
    }
}

/// A census, and when it was taken.
type Seen = (Boot, Arc<Census>);

/// The census for all who look: the store counts at most once in a second, however many they are. Clones
/// share it.
#[derive(Clone, Debug)]
pub struct Lookout {
    store: Store,
    last: Arc<Mutex<Option<Seen>>>,
}

impl Lookout {
    /// Over `store`.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            last: Arc::default(),
        }
    }

    /// What there is, or was a second ago. Cancel safe.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn census(&self) -> Result<Arc<Census>> {
        // Held while the store is asked: who comes meanwhile waits for the same answer.
        let mut last = self.last.lock().await;
        let fresh = last
            .as_ref()
            .filter(|(at, _)| Boot::now().since(*at) < FRESH);
        if let Some((_, census)) = fresh {
            return Ok(census.clone());
        }
        let census = Arc::new(self.store.census().await?);
        *last = Some((Boot::now(), census.clone()));
        Ok(census)
    }
}
