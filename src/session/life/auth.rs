//! Opening, closing and retiring the auth state of a term.

use std::sync::Arc;
use std::time::Duration;

use auth_store::{
    AccountName, AuthStore, Credentials, KeyRing, LocalMedium, Options, RecordStore, Sealer,
};
use tracing::warn;

use super::failure::{
    Unopened, busy, needs_a_person, not_opened, open_failed, records_failed, shelf_failed,
    store_failed, unusable,
};
use super::mark::{MarkError, Marked};
use super::{Life, Outcome};
use crate::config::KEY_CURE;
use crate::session::missing::StoreLedger;
use crate::session::shelf::{Shelf, is_older_copy, older_copy};
use crate::session::state::SessionState;
use crate::store::{AuthMedium, AuthOrder, RemoteMedium};
use crate::telemetry::event::{self, Event};

/// How long the last mark of a term may take: the release of the lease waits for it.
const LAST_MARK: Duration = Duration::from_secs(1);

/// Where the account's auth state lies, open for this term.
pub(super) struct Medium {
    pub(super) kind: AuthMedium,
    pub(super) records: Arc<Marked>,
    local: Option<Arc<LocalMedium>>,
    /// An operator says that it is an older copy, and accepts that.
    rolled_back: bool,
}

impl Medium {
    /// Closes it. `settled`: the lease is still ours, so the mark may follow a last time.
    pub(super) async fn close(self, settled: bool) {
        if settled {
            let marked = tokio::time::timeout(LAST_MARK, self.records.mark_now()).await;
            if !matches!(marked, Ok(Ok(()))) {
                warn!("the last writes of the auth state are not in its mark");
            }
        }
        if let Some(local) = self.local {
            local.close().await;
        }
    }
}

impl Life<'_> {
    /// Opens the account's medium, unless that would be wrong: its state is missing, or an older copy.
    pub(super) async fn open_medium(&self) -> Result<Medium, Outcome> {
        let context = self.context;
        let account = context.store.account(&context.account).await;
        let account = account.map_err(|error| busy(&error))?;
        let kind = account.as_ref().and_then(|account| account.auth_medium);
        let kind = kind.unwrap_or(context.home.mode);
        let asked = match account.as_ref().and_then(|account| account.auth_asked_at) {
            Some(_) => self.asked_order().await?,
            None => None,
        };
        let order = asked.as_ref().map(|asked| asked.order);
        let medium = match asked {
            Some(asked) if asked.order == AuthOrder::Clear => {
                self.open_cleared(kind, &asked.actor).await?
            }
            _ => {
                let linked = account.is_some_and(|account| account.linked_at.is_some());
                if linked {
                    self.refuse_to_forget(kind).await?;
                }
                let mut medium = self.open(kind).await?;
                // The order tells, and not the mark: who died while the ratchets were being forgotten
                // has written enough to look newer than the mark.
                medium.rolled_back = order == Some(AuthOrder::AcceptRollback);
                if let Err(refused) = self.refuse_copy(&medium, linked).await {
                    medium.close(false).await;
                    return Err(refused);
                }
                medium
            }
        };
        event::emit(Event::AuthMode {
            account: &context.account,
            mode: kind.as_str(),
        });
        Ok(medium)
    }

    pub(super) async fn open(&self, kind: AuthMedium) -> Result<Medium, Unopened> {
        let context = self.context;
        let name = self.account_name().map_err(Unopened::Over)?;
        let (store, fence) = (context.store.clone(), context.fence.clone());
        let (records, local, shelf): (Arc<dyn RecordStore>, _, _) = match kind {
            AuthMedium::Local => {
                let store_id = context.store.store_id();
                let epoch = context.fence.epoch().0;
                let opened = LocalMedium::open(&context.home.dir, &name, store_id, epoch).await;
                let medium = Arc::new(opened.map_err(not_opened)?);
                (medium.clone(), Some(medium), Shelf::Store(store, fence))
            }
            AuthMedium::Remote => {
                self.key(kind).map_err(Unopened::Over)?;
                let opened = RemoteMedium::open(store, fence).await;
                let medium = opened.map_err(|error| Unopened::Over(store_failed(&error)))?;
                let shelf = Shelf::of_remote(&context.home.dir, &context.account);
                (Arc::new(medium), None, shelf)
            }
        };
        Ok(Medium {
            kind,
            records: Arc::new(Marked::new(records, shelf)),
            local,
            rolled_back: false,
        })
    }

    /// An account that is linked and whose auth state is not there any more has lost it: new
    /// credentials would hide that.
    async fn refuse_to_forget(&self, kind: AuthMedium) -> Result<(), Outcome> {
        let context = self.context;
        let account = &context.account;
        let missing = match kind {
            AuthMedium::Local => {
                let file = context.home.dir.join(account.as_str()).join("auth.db");
                (!file.exists()).then(|| format!("{} is not there", file.display()))
            }
            AuthMedium::Remote => {
                let head = context.store.auth_view(account).head().await;
                let head = head.map_err(|error| records_failed("auth_unusable", error))?;
                head.is_none()
                    .then(|| "the shared store has no auth state of it".to_owned())
            }
        };
        missing.map_or(Ok(()), |missing| Err(self.lost(&missing)))
    }

    fn lost(&self, missing: &str) -> Outcome {
        let account = &self.context.account;
        needs_a_person(
            "auth_missing",
            format!(
                "account '{account}' is linked, but {missing}: restore it, or give the link up with `whatsapp-worker link --account {account} --again`"
            ),
        )
    }

    /// Refuses a state of a `linked` account that holds nothing, and an older copy of one, unless that
    /// was accepted.
    async fn refuse_copy(&self, medium: &Medium, linked: bool) -> Result<(), Outcome> {
        let account = &self.context.account;
        let head = medium.records.head().await;
        let head = head.map_err(|error| records_failed("auth_unusable", error))?;
        let mark = medium.records.mark().await;
        let mark = mark.map_err(|error| shelf_failed(&error))?;
        if linked && head.as_ref().is_none_or(|head| head.keys.count() == 0) {
            let place = medium.records.place();
            return Err(self.lost(&format!("{place} holds nothing of it")));
        }
        let (Some(head), Some(mark)) = (head, mark) else {
            return Ok(());
        };
        if medium.rolled_back || !is_older_copy(&head, &mark) {
            return Ok(());
        }
        event::emit(Event::AuthRolledBack {
            account,
            writes: head.writes,
            known_writes: mark.writes,
        });
        let place = medium.records.place();
        Err(needs_a_person(
            "auth_rolled_back",
            older_copy(account, &place, &head, &mark),
        ))
    }

    pub(super) async fn open_auth(&self, medium: &mut Medium) -> Result<Arc<AuthStore>, Outcome> {
        let trust = self.context.trust.clone();
        let account = self.context.account.clone();
        let options = Options {
            credentials: Credentials::Current,
            ledger: Arc::new(StoreLedger {
                store: self.context.store.clone(),
                fence: self.context.fence.clone(),
            }),
            may_write: Box::new(move || trust.holds()),
            on_repair: Box::new(move |repair| {
                event::emit(Event::AuthRepaired {
                    account: &account,
                    name: &repair.record.to_string(),
                    reason: &repair.damage.to_string(),
                    times: repair.times,
                });
            }),
        };
        let sealer = self.sealer(medium.kind)?;
        let auth = AuthStore::open(medium.records.clone(), &sealer, options)
            .await
            .map_err(open_failed)?;
        if medium.rolled_back {
            let forgotten = auth.forget_ratchets().await;
            forgotten.map_err(|error| records_failed("auth_unusable", error))?;
        }
        let marked = medium.records.mark_now().await;
        marked.map_err(|error| match error {
            MarkError::Medium(error) => records_failed("auth_unusable", error),
            MarkError::Shelf(error) => shelf_failed(&error),
        })?;
        if std::mem::take(&mut medium.rolled_back) {
            self.rollback_accepted("the ratchets were forgotten")
                .await?;
        }
        Ok(auth)
    }

    pub(super) fn sealer(&self, kind: AuthMedium) -> Result<Sealer, Outcome> {
        Ok(Sealer::new(self.key(kind)?, self.account_name()?))
    }

    /// A key that only this machine has must not seal what all machines are to open.
    fn key(&self, kind: AuthMedium) -> Result<KeyRing, Outcome> {
        let home = &self.context.home;
        if kind == AuthMedium::Remote && home.configured.is_none() {
            return Err(needs_a_person(
                "auth_unusable",
                format!(
                    "the auth state of account '{}' is in the shared store, and this worker has no key for it: {KEY_CURE}",
                    self.context.account
                ),
            ));
        }
        home.ring()
            .map_err(|error| unusable("auth_unusable", &error))
    }

    pub(super) fn account_name(&self) -> Result<AccountName, Outcome> {
        AccountName::new(self.context.account.as_str())
            .map_err(|error| unusable("auth_unusable", &error))
    }

    pub(super) async fn close_auth(&self, auth: &AuthStore, outcome: &Outcome) {
        let closed = auth.close().await;
        // After a loss the writes belong to the next holder, and refusing ours is right.
        if let (Err(error), Outcome::Stopped) = (closed, outcome) {
            warn!(account = %self.context.account, %error, "the auth state could not be flushed");
        }
    }

    /// The server ended the link.
    pub(super) async fn retire(&self, auth: &AuthStore, reason: &str) -> Result<(), Outcome> {
        self.show(SessionState::LoggedOut {
            reason: reason.to_owned(),
        })
        .await;
        self.retire_credentials(auth, reason).await?;
        event::emit(Event::AuthReset {
            account: &self.context.account,
            reason,
        });
        self.told(
            self.context
                .store
                .record_unlink(&self.context.fence, reason)
                .await,
        );
        Ok(())
    }

    pub(super) async fn retire_credentials(
        &self,
        auth: &AuthStore,
        reason: &str,
    ) -> Result<(), Outcome> {
        let retired = auth.retire(reason).await;
        retired.map_err(|error| records_failed("auth_unusable", error))
    }
}
