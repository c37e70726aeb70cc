//! Credentials that come from elsewhere: an export, or a Baileys folder.

use std::sync::Arc;

use auth_store::{Generation, OpenError, RecordStore, Sealer, Snapshot, quarantine};

use crate::ids::{AccountId, Jid};
use crate::store::{Account, AuthOrder, Fence, Store, StoreError};

/// Makes a snapshot the linked device of an account that the caller holds.
pub struct Adoption<'a> {
    /// The shared store.
    pub store: &'a Store,
    /// The caller's hold on the account.
    pub fence: &'a Fence,
    /// Where the account's auth state is, open in the fence's name. No session may use it.
    pub medium: Arc<dyn RecordStore>,
    /// Seals the account's records.
    pub sealer: &'a Sealer,
    /// The installation whose disk the medium is on; none: it is in the shared store.
    pub auth_home: Option<&'a str>,
    /// Whether the account may change its number.
    pub replace_number: bool,
}

/// Why credentials were not adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// They were never linked.
    #[error("these credentials were never linked to a number")]
    NotLinked,
    /// The account has another number.
    #[error("the account is linked to {linked}, these credentials to {offered}")]
    OtherNumber {
        /// The account's number.
        linked: Jid,
        /// The credentials' number.
        offered: Jid,
    },
    /// Another account uses this very device.
    #[error(
        "account '{account}' of this store is this very linked device, and one device cannot connect twice: import it into that account, or link a device of its own"
    )]
    OtherAccount {
        /// The other account.
        account: AccountId,
    },
    /// The auth state does not take them. What was in use is still in use.
    #[error(transparent)]
    Auth(#[from] OpenError),
    /// The shared store did not take the link. It is written down at the next login.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Adoption<'_> {
    /// Puts `snapshot` into use. Credentials that it replaces are kept with `reason`. Cancelled, it may
    /// be called again.
    ///
    /// # Errors
    /// See [`AdoptError`].
    pub async fn adopt(&self, snapshot: &Snapshot, reason: &str) -> Result<Generation, AdoptError> {
        let offered = Jid::new(snapshot.linked_jid().ok_or(AdoptError::NotLinked)?);
        let accounts = self.store.accounts().await?;
        let (mine, others): (Vec<_>, Vec<_>) = accounts
            .into_iter()
            .partition(|account| account.id == *self.fence.account());
        let same =
            |other: &Account| other.linked_at.is_some() && other.linked == Some(offered.clone());
        if let Some(other) = others.into_iter().find(same) {
            return Err(AdoptError::OtherAccount { account: other.id });
        }
        if let Some(linked) = mine.into_iter().find_map(|account| account.linked)
            && linked.user() != offered.user()
            && !self.replace_number
        {
            return Err(AdoptError::OtherNumber { linked, offered });
        }
        // What was asked about the credentials that go is done with them, and not with the new ones.
        if let Some(asked) = self.store.auth_order(self.fence.account()).await? {
            if asked.order == AuthOrder::Clear {
                quarantine(&*self.medium, self.sealer, reason).await?;
            }
            self.store
                .auth_order_done(self.fence, asked.order, reason)
                .await?;
        }
        let medium = self.medium.clone();
        let generation = snapshot.install(medium, self.sealer, reason).await?;
        let lid = snapshot.lid().map(Jid::new);
        self.store
            .record_link(self.fence, &offered, lid.as_ref(), self.auth_home)
            .await?;
        Ok(generation)
    }
}
