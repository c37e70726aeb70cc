//! When codes are made: rounds for ten minutes, then only while somebody looks. An unattended loop of
//! unpaired connects invites the server to block the number's address.

use std::time::Duration;

use super::SessionContext;
use super::state::SessionState;
use crate::clock::Boot;
use crate::ids::Phone;
use crate::store::{LinkCode, LinkCodeKind, LinkWish, StoreError};
use crate::telemetry::event::{self, Event};

/// How long codes are made without anybody looking.
const UNATTENDED: Duration = Duration::from_mins(10);

/// How often the store is asked whether somebody looks.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// The state of linking, for one term. Told the time and what is wished for, it does no I/O.
pub(super) struct Linking {
    began: Boot,
    /// The last wish; who stops looking does not change the kind of code.
    wish: Option<LinkWish>,
    somebody_looks: bool,
    default_phone: Option<Phone>,
    /// The last phone had another number.
    turned_away: bool,
}

impl Linking {
    pub(super) fn new(default_phone: Option<Phone>, now: Boot) -> Self {
        Self {
            began: now,
            wish: None,
            somebody_looks: false,
            default_phone,
            turned_away: false,
        }
    }

    /// The ten minutes begin anew: the account was just logged out.
    pub(super) fn begin_anew(&mut self, now: Boot) {
        self.began = now;
        self.turned_away = false;
        // It was about the link that is over now; who still wants it says so again.
        if let Some(wish) = &mut self.wish {
            wish.replace_number = false;
        }
    }

    /// Reads what is wished for. `true`: another code than the one that is shown.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn look(&mut self, context: &SessionContext) -> Result<bool, StoreError> {
        Ok(self.hear(context.store.link_wish(&context.account).await?))
    }

    fn hear(&mut self, wish: Option<LinkWish>) -> bool {
        let before = self.phone().cloned();
        self.somebody_looks = wish.is_some();
        let asked_again = matches!(
            (&self.wish, &wish),
            (Some(old), Some(new)) if new.phone.is_some() && old.asked_at != new.asked_at
        );
        if wish.is_some() {
            self.wish = wish;
        }
        asked_again || before.as_ref() != self.phone()
    }

    /// The number to make a pairing code for; `None` makes QR codes.
    pub(super) fn phone(&self) -> Option<&Phone> {
        match &self.wish {
            Some(wish) => wish.phone.as_ref(),
            None => self.default_phone.as_ref(),
        }
    }

    /// Whether a phone with another number than the account's last one is welcome.
    pub(super) fn replaces_number(&self) -> bool {
        self.wish.as_ref().is_some_and(|wish| wish.replace_number)
    }

    /// A phone with another number was turned away: it is shown until another one is linked.
    pub(super) fn turn_away(&mut self) {
        self.turned_away = true;
    }

    /// What is shown while a code is.
    pub(super) const fn linking(&self) -> SessionState {
        SessionState::Linking {
            turned_away: self.turned_away,
        }
    }

    /// What is shown while nobody looks.
    pub(super) const fn needs_link(&self) -> SessionState {
        SessionState::NeedsLink {
            turned_away: self.turned_away,
        }
    }

    /// Whether another code should be made; `watched` when somebody in this process looks.
    pub(super) fn worthwhile(&self, watched: bool, now: Boot) -> bool {
        watched || self.somebody_looks || now.since(self.began) < UNATTENDED
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
    context.board.code.send_replace(Some(code.clone()));
    let published = context.store.publish_link_code(&context.fence, &code).await;
    // Whoever hears of it finds it in the store.
    event::emit(Event::QrAvailable {
        account: &context.account,
        valid,
    });
    published
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Boot = Boot::from_ms(1_000_000);

    fn after(minutes: u64) -> Boot {
        START.plus(Duration::from_mins(minutes))
    }

    fn wish(phone: Option<&str>, asked_at: i64) -> LinkWish {
        LinkWish {
            phone: phone.and_then(Phone::parse),
            replace_number: false,
            asked_at,
        }
    }

    #[test]
    fn codes_are_made_for_ten_minutes_and_then_only_while_somebody_looks() {
        let mut linking = Linking::new(None, START);
        assert!(linking.worthwhile(false, after(9)));
        assert!(!linking.worthwhile(false, after(10)));
        assert!(linking.worthwhile(true, after(10)), "a terminal looks");
        assert!(!linking.hear(Some(wish(None, 1))), "the same kind of code");
        assert!(linking.worthwhile(false, after(60)), "`link` looks");
        linking.hear(None);
        assert!(
            !linking.worthwhile(false, after(60)),
            "nobody looks any more"
        );
        linking.begin_anew(after(60));
        assert!(linking.worthwhile(false, after(69)), "logged out just now");
    }

    #[test]
    fn another_number_is_welcome_for_one_link_and_by_a_wish_alone() {
        let mut linking = Linking::new(None, START);
        assert!(!linking.replaces_number());
        let wished = LinkWish {
            replace_number: true,
            ..wish(None, 1)
        };
        linking.hear(Some(wished.clone()));
        assert!(linking.replaces_number());
        linking.hear(None);
        assert!(linking.replaces_number(), "the code is still shown");
        linking.begin_anew(after(1));
        assert!(!linking.replaces_number(), "that link is over");
        linking.hear(Some(wished));
        linking.hear(Some(wish(None, 2)));
        assert!(!linking.replaces_number(), "somebody else looks");
    }

    #[test]
    fn a_wish_for_a_pairing_code_changes_the_code_once_and_again_when_asked_again() {
        let mut linking = Linking::new(None, START);
        assert!(linking.hear(Some(wish(Some("+49 151 2345678"), 1))));
        assert!(!linking.hear(Some(wish(Some("+49 151 2345678"), 1))));
        assert!(!linking.hear(None), "who stops looking changes nothing");
        assert_eq!(linking.phone(), Phone::parse("491512345678").as_ref());
        assert!(
            linking.hear(Some(wish(Some("+49 151 2345678"), 2))),
            "asked again"
        );
        assert!(linking.hear(Some(wish(None, 3))), "back to a QR code");
    }
}
