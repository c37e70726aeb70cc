//! The lease of one account in the hands of a command: whoever writes auth state holds it.

use std::sync::Arc;
use std::time::Duration;

use auth_store::{LocalMedium, RecordStore};

use super::Desk;
use crate::cli::{CliError, chain};
use crate::ids::OwnerId;
use crate::lease::keeper::{Leases, Term};
use crate::store::{AuthMedium, Fence, RemoteMedium};

/// On top of the time that a drain and a lease may take.
const SLACK: Duration = Duration::from_secs(5);

/// The lease, until it is given back. The command's end, however it comes, ends it by its TTL.
pub(super) struct Custody {
    leases: Leases,
    term: Term,
}

impl Custody {
    /// Takes the account's lease: at once when it is free, from a living holder by asking it to drain
    /// and hand over.
    ///
    /// # Errors
    /// [`CliError::TryLater`] when the holder does not part with it in time.
    pub(super) async fn take(desk: &Desk) -> Result<Self, CliError> {
        let Desk {
            store,
            config,
            account,
            ..
        } = desk;
        let owner = OwnerId::incarnate(&config.worker_id)
            .map_err(|error| CliError::Config(format!("WORKER_ID: {error}")))?;
        let before = store.lease(account).await?;
        let holder = before.as_ref().and_then(|row| row.holder()).cloned();
        if let Some(holder) = &holder {
            eprintln!("'{holder}' is asked to hand account '{account}' over for a moment.");
        }
        let leases = Leases::start(store.clone(), owner, config.lease);
        // Of a free lease too: others then leave it to us.
        store
            .transfer_lease(account, leases.owner().as_str(), "operator")
            .await?;
        let patience = config.shutdown_grace + config.lease.ttl() + SLACK;
        // A bid that is dropped is withdrawn.
        if let Ok(term) = tokio::time::timeout(patience, leases.win(account)).await {
            return Ok(Self { leases, term });
        }
        leases.close().await;
        if let Some(holder) = &holder {
            // Nobody waits for it any more.
            store
                .transfer_lease(account, holder.as_str(), "operator")
                .await?;
        }
        Err(CliError::TryLater(format!(
            "account '{account}' was not handed over within {} s: `whatsapp-worker lease show {account}` tells who has it",
            patience.as_secs()
        )))
    }

    /// What protected writes carry.
    pub(super) fn fence(&self) -> &Arc<Fence> {
        self.term.fence()
    }

    /// Lets workers have the account again.
    pub(super) async fn give_back(self) {
        self.term.release("an auth command is done").await;
        self.leases.close().await;
    }

    /// Opens the account's medium in this term's name. Only who brings credentials may `begin` one:
    /// an empty one in the place of a lost one would hide the loss.
    pub(super) async fn open(
        &self,
        desk: &Desk,
        kind: AuthMedium,
        begin: bool,
    ) -> Result<Medium, CliError> {
        let now = desk.store.account(&desk.account).await?;
        let same = now.is_some_and(|now| {
            (now.auth_medium, &now.auth_home) == (desk.known.auth_medium, &desk.known.auth_home)
        });
        if !same {
            return Err(CliError::TryLater(format!(
                "the auth state of account '{}' was moved meanwhile: try again",
                desk.account
            )));
        }
        if !begin && !desk.has_state().await? {
            return Err(desk.nothing_here());
        }
        let auth = |error: &dyn std::error::Error| CliError::Auth(chain(error));
        Ok(match kind {
            AuthMedium::Local => {
                let epoch = self.fence().epoch().0;
                let (dir, store_id) = (&desk.home.dir, desk.store.store_id());
                let opened = LocalMedium::open(dir, &desk.name, store_id, epoch).await;
                Medium::Local(Arc::new(opened.map_err(|error| auth(&error))?))
            }
            AuthMedium::Remote => {
                let opened = RemoteMedium::open(desk.store.clone(), self.fence().clone()).await;
                Medium::Remote(Arc::new(opened?))
            }
        })
    }
}

/// An account's auth state, open to be written.
pub(super) enum Medium {
    Local(Arc<LocalMedium>),
    Remote(Arc<RemoteMedium>),
}

impl Medium {
    pub(super) fn records(&self) -> Arc<dyn RecordStore> {
        match self {
            Self::Local(medium) => medium.clone(),
            Self::Remote(medium) => medium.clone(),
        }
    }

    pub(super) async fn close(&self) {
        if let Self::Local(medium) = self {
            medium.close().await;
        }
    }
}
