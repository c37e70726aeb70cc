//! Opening, closing and retiring the auth state of a term.

use std::sync::Arc;
use std::time::Duration;

use auth_store::{AuthStore, Credentials, LocalMedium, OpenError, Options, Sealer};
use tracing::warn;

use super::{Life, Outcome};
use crate::lease::keeper::Loss;
use crate::session::missing::StoreLedger;
use crate::session::state::SessionState;
use crate::telemetry::event::{self, Event};

/// Between two tries to use an auth state that a person must mend, and one that is merely busy.
pub(super) const UNUSABLE: Duration = Duration::from_mins(1);
const BUSY: Duration = Duration::from_secs(1);

impl Life<'_> {
    pub(super) async fn open_medium(&self) -> Result<Arc<LocalMedium>, Outcome> {
        let home = &self.context.home;
        let name = self.account_name()?;
        self.refuse_to_forget().await?;
        let opened = LocalMedium::open(
            &home.dir,
            &name,
            self.context.store.store_id(),
            self.context.fence.epoch().0,
        );
        match opened.await {
            Ok(medium) => Ok(Arc::new(medium)),
            Err(auth_store::OpenMediumError::Fenced { .. }) => Err(Outcome::Lost(Loss::Refused)),
            Err(auth_store::OpenMediumError::Records(error)) if error.is_transient() => {
                Err(busy(&error))
            }
            Err(error) => Err(unusable("auth_unusable", &error)),
        }
    }

    /// An account that was linked here and has no auth file any more has lost it: new credentials
    /// would hide that.
    async fn refuse_to_forget(&self) -> Result<(), Outcome> {
        let context = self.context;
        let account = match context.store.account(&context.account).await {
            Ok(account) => account,
            Err(error) => return Err(busy(&error)),
        };
        let linked = account.is_some_and(|account| account.linked_at.is_some());
        let file = context
            .home
            .dir
            .join(context.account.as_str())
            .join("auth.db");
        if linked && !file.exists() {
            return Err(Outcome::Unusable {
                code: "auth_missing",
                detail: format!(
                    "account '{account}' is linked, but {file} is not there: restore it, or give the link up with `whatsapp-worker link --account {account} --again`",
                    account = context.account,
                    file = file.display()
                ),
                retry: UNUSABLE,
            });
        }
        Ok(())
    }

    fn account_name(&self) -> Result<auth_store::AccountName, Outcome> {
        auth_store::AccountName::new(self.context.account.as_str())
            .map_err(|error| unusable("auth_unusable", &error))
    }

    pub(super) async fn open_auth(
        &self,
        medium: &Arc<LocalMedium>,
    ) -> Result<Arc<AuthStore>, Outcome> {
        let sealer = Sealer::new(self.context.home.key.clone(), self.account_name()?);
        let trust = self.context.trust.clone();
        let options = Options {
            credentials: Credentials::Current,
            ledger: Arc::new(StoreLedger {
                store: self.context.store.clone(),
                fence: self.context.fence.clone(),
            }),
            may_write: Box::new(move || trust.holds()),
            // Each is logged where it happens; nobody counts them yet.
            on_repair: Box::new(|_| {}),
        };
        AuthStore::open(medium.clone(), &sealer, options)
            .await
            .map_err(|error| match error {
                OpenError::Records(auth_store::RecordError::Fenced { .. }) => {
                    Outcome::Lost(Loss::Refused)
                }
                OpenError::Records(error) if error.is_transient() => busy(&error),
                error => unusable("auth_damaged", &error),
            })
    }

    pub(super) async fn close_auth(&self, auth: &AuthStore, outcome: &Outcome) {
        let closed = auth.close().await;
        // After a loss the writes belong to the next holder, and refusing ours is right.
        if let (Err(error), Outcome::Stopped) = (closed, outcome) {
            warn!(account = %self.context.account, %error, "the auth state could not be flushed");
        }
    }

    pub(super) async fn retire(&self, auth: &AuthStore, reason: &str) -> Result<(), Outcome> {
        self.show(SessionState::LoggedOut {
            reason: reason.to_owned(),
        })
        .await;
        auth.retire(reason)
            .await
            .map_err(|error| unusable("auth_unusable", &error))?;
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
}

/// Somebody else has the file or the store for the moment: perhaps a frozen process in the middle of a
/// transaction.
fn busy(error: &dyn std::error::Error) -> Outcome {
    Outcome::Unusable {
        code: "store_busy",
        detail: format!("the store is busy: {error}"),
        retry: BUSY,
    }
}

fn unusable(code: &'static str, error: &dyn std::error::Error) -> Outcome {
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    Outcome::Unusable {
        code,
        detail,
        retry: UNUSABLE,
    }
}
