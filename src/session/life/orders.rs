//! What an operator asks of whoever holds the auth state, carried out in whatever state the session is.
//!
//! An order is done when its row is gone, and its row goes after its effect is durable: a process that
//! dies in between does it again, which changes nothing any more.

use std::time::Duration;

use auth_store::{AuthStore, LocalMedium, quarantine};
use tracing::warn;

use super::attempts::Next;
use super::auth::Medium;
use super::failure::{Unopened, busy, open_failed, store_failed};
use super::{Life, Outcome};
use crate::session::state::SessionState;
use crate::store::{AskedOrder, AuthMedium, AuthOrder};
use crate::telemetry::event::{self, Event};

/// Before the store is asked again what is wanted.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Life<'_> {
    /// Resolves when an operator asks for something that ends what goes on. Cancel safe.
    pub(super) async fn asked(&self) -> Next {
        loop {
            let call = self.reins.called_to_door().await;
            match self.attend().await {
                Ok(next) => {
                    call.answered();
                    if let Some(next) = next {
                        return next;
                    }
                }
                Err(error) => {
                    self.told(Err(error));
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
        }
    }

    async fn attend(&self) -> Result<Option<Next>, crate::store::StoreError> {
        let (store, fence) = (&self.context.store, &self.context.fence);
        let Some(asked) = store.auth_order(&self.context.account).await? else {
            return Ok(None);
        };
        match asked.order {
            AuthOrder::Clear => Ok(Some(Next::Clear { by: asked.actor })),
            // It is in use: an older copy would have been refused.
            AuthOrder::AcceptRollback => {
                let nothing = store.auth_order_done(fence, asked.order, "there was none");
                nothing.await.map(|()| None)
            }
        }
    }

    pub(super) async fn asked_order(&self) -> Result<Option<AskedOrder>, Outcome> {
        let asked = self.context.store.auth_order(&self.context.account).await;
        asked.map_err(|error| store_failed(&error))
    }

    /// Clears credentials that are in use or being prepared.
    pub(super) async fn clear(&self, auth: &AuthStore, by: &str) -> Result<(), Outcome> {
        let reason = reason(by);
        self.show(SessionState::LoggedOut {
            reason: reason.clone(),
        })
        .await;
        // The order stays until it is done, and it is tried again soon.
        auth.retire(&reason).await.map_err(|error| busy(&error))?;
        self.cleared(&reason).await
    }

    /// Opens the medium with what it holds taken out of use, whatever its state: what cannot be
    /// quarantined in its place is put aside as a whole.
    pub(super) async fn open_cleared(&self, kind: AuthMedium, by: &str) -> Result<Medium, Outcome> {
        let reason = reason(by);
        let sealer = self.sealer(kind)?;
        let medium = match self.open(kind).await {
            Ok(medium) => match quarantine(&*medium.records, &sealer, &reason).await {
                Ok(()) => medium,
                Err(error) => {
                    let outcome = open_failed(error);
                    medium.close(false).await;
                    // Whoever is busy or overtaken knows nothing of damage.
                    let Outcome::Unusable {
                        code: "auth_damaged",
                        detail,
                        ..
                    } = outcome
                    else {
                        return Err(outcome);
                    };
                    self.put_aside(kind, &detail).await?
                }
            },
            Err(Unopened::Damaged(error)) => self.put_aside(kind, &error.to_string()).await?,
            Err(Unopened::Over(outcome)) => return Err(outcome),
        };
        self.cleared(&reason).await?;
        Ok(medium)
    }

    async fn put_aside(&self, kind: AuthMedium, damage: &str) -> Result<Medium, Outcome> {
        let context = self.context;
        let place = match kind {
            AuthMedium::Local => {
                let aside = LocalMedium::set_aside(&context.home.dir, &self.account_name()?).await;
                let aside = aside.map_err(|error| busy(&error))?;
                aside.map_or_else(String::new, |file| file.display().to_string())
            }
            AuthMedium::Remote => {
                let aside = context.store.set_auth_aside(&context.fence).await;
                aside.map_err(|error| store_failed(&error))?
            }
        };
        warn!(account = %context.account, place, damage, "the damaged auth state is kept aside");
        Ok(self.open(kind).await?)
    }

    async fn cleared(&self, reason: &str) -> Result<(), Outcome> {
        let context = self.context;
        let done = context
            .store
            .auth_order_done(&context.fence, AuthOrder::Clear, reason);
        done.await.map_err(|error| store_failed(&error))?;
        event::emit(Event::AuthReset {
            account: &context.account,
            reason,
        });
        Ok(())
    }

    pub(super) async fn rollback_accepted(&self, outcome: &str) -> Result<(), Outcome> {
        let (store, fence) = (&self.context.store, &self.context.fence);
        let done = store.auth_order_done(fence, AuthOrder::AcceptRollback, outcome);
        done.await.map_err(|error| store_failed(&error))
    }
}

fn reason(by: &str) -> String {
    format!("cleared by {by}")
}
