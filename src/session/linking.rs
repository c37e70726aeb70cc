//! When codes are made: rounds for ten minutes, then only while somebody looks. An unattended loop of
//! unpaired connects invites the server to block the number's address.

use std::time::Duration;

use super::SessionContext;
use crate::clock::Boot;
use crate::ids::Phone;
use crate::store::{LinkCode, LinkCodeKind, LinkWish, StoreError};
use crate::telemetry::event::{self, Event};

/// How long codes are made without anybody looking.
const UNATTENDED: Duration = Duration::from_mins(10);

/// How often the store is asked whether somebody looks.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// The state of linking, for one term.
pub(super) struct Linking {
    began: Boot,
    wish: Option<LinkWish>,
    default_phone: Option<Phone>,
}

impl Linking {
    pub(super) fn new(default_phone: Option<Phone>) -> Self {
        Self {
            began: Boot::now(),
            wish: None,
            default_phone,
        }
    }

    /// The ten minutes begin anew: the account was just logged out.
    pub(super) fn begin_anew(&mut self) {
        self.began = Boot::now();
    }

    /// Reads what is wished for. `true`: another kind of code than before.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn look(&mut self, context: &SessionContext) -> Result<bool, StoreError> {
        let wish = context.store.link_wish(&context.account).await?;
        let before = self.phone().cloned();
        let asked_again = matches!(
            (&self.wish, &wish),
            (Some(old), Some(new)) if new.phone.is_some() && old.asked_at != new.asked_at
        );
        if wish.is_some() {
            self.wish = wish;
        } else if let Some(old) = &mut self.wish {
            // Who stops looking does not change the kind of code.
            old.asked_at = 0;
        }
        Ok(asked_again || before.as_ref() != self.phone())
    }

    /// The number to make a pairing code for; `None` makes QR codes.
    pub(super) fn phone(&self) -> Option<&Phone> {
        match &self.wish {
            Some(wish) if wish.asked_at != 0 => wish.phone.as_ref(),
            _ => self.default_phone.as_ref(),
        }
    }

    /// Whether another code should be made.
    pub(super) fn worthwhile(&self, context: &SessionContext) -> bool {
        *context.board.watched.borrow()
            || self.wish.as_ref().is_some_and(|wish| wish.asked_at != 0)
            || Boot::now().since(self.began) < UNATTENDED
    }
}

/// Shows a code to this process and, through the store, to others.
///
/// # Errors
/// The store's; other processes then do not see it.
pub(super) async fn show(
    context: &SessionContext,
    kind: LinkCodeKind,
    code: String,
    valid: Duration,
) -> Result<(), StoreError> {
    let code = LinkCode {
        kind,
        code,
        remaining: valid,
    };
    event::emit(Event::QrAvailable {
        account: &context.account,
        valid,
    });
    context.board.code.send_replace(Some(code.clone()));
    context.store.publish_link_code(&context.fence, &code).await
}
