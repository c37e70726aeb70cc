//! Which phone may be linked: the one with the account's number, unless an operator wants another.
//!
//! A phone that is turned away has linked its device before we learn its number. That device logs in
//! once more, to log itself out; nothing it receives is taken in, and its credentials never come into
//! use.

use std::sync::Arc;
use std::time::Duration;

use auth_store::AuthStore;
use tracing::debug;
use wacore::store::traits::DeviceStore;

use super::attempts::{Attempts, Next};
use super::failure::unreadable;
use super::{Life, Outcome};
use crate::clock::Boot;
use crate::ids::{Jid, mask};
use crate::session::connection::{Connection, Errand};
use crate::session::linking::Linking;
use crate::session::observer::Signal;
use crate::store::{Account, AuthMedium, StoreError};
use crate::telemetry::event::{self, Event};

/// How long the device of a phone that is turned away may take to log in, and to log out.
const LOGIN: Duration = Duration::from_secs(10);
/// Before the store is asked again which number the account has.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Life<'_> {
    /// Whether a phone with this address may be linked.
    pub(super) async fn is_welcome(
        &self,
        linking: &Linking,
        pn: &Jid,
        lid: Option<&Jid>,
    ) -> Result<bool, StoreError> {
        let account = self.context.store.account(&self.context.account).await?;
        Ok(
            linking.replaces_number()
                || account.is_none_or(|account| has_number(&account, pn, lid)),
        )
    }

    /// Looks at credentials that are linked and not yet in use: a process may have died in between.
    /// Nothing is connected with them before it is known whose they are, and before the store knows of
    /// the link: what is committed from now on came by it.
    pub(super) async fn look_at_stranger(
        &self,
        auth: &AuthStore,
        kind: AuthMedium,
        attempts: &mut Attempts,
    ) -> Option<Next> {
        let device = match auth.load().await {
            Ok(device) => device?,
            Err(error) => {
                return Some(Next::Finish(unreadable(&error.into())));
            }
        };
        let pn = Jid::new(device.pn?.to_string());
        let lid = device.lid.map(|lid| Jid::new(lid.to_string()));
        self.told(attempts.linking.look(self.context).await.map(drop));
        let known = async {
            let welcome = self.is_welcome(&attempts.linking, &pn, lid.as_ref());
            if !welcome.await? {
                return Ok(false);
            }
            let (store, fence) = (&self.context.store, &self.context.fence);
            let home = self.auth_home(kind);
            store.record_link(fence, &pn, lid.as_ref(), home).await?;
            Ok(true)
        };
        match known.await {
            Ok(true) => None,
            Ok(false) => Some(Next::TurnAway { number: pn }),
            Err(error) => {
                self.told(Err(error));
                Some(Next::Pause(ASK_AGAIN))
            }
        }
    }

    /// The installation that has the auth state, when it is a local one.
    pub(super) fn auth_home(&self, kind: AuthMedium) -> Option<&str> {
        match kind {
            AuthMedium::Local => Some(&self.context.home.installation),
            AuthMedium::Remote => None,
        }
    }

    /// Sends the phone with `number` away: its device is logged out as far as that works, its
    /// credentials are kept as every retired ones are, and codes are made again.
    pub(super) async fn turn_away(
        &self,
        auth: &Arc<AuthStore>,
        number: &Jid,
        attempts: &mut Attempts,
    ) -> Result<(), Outcome> {
        event::emit(Event::NumberRefused {
            account: &self.context.account,
            number: &mask(number.user()),
        });
        tokio::select! {
            biased;
            // What is not logged out stays on the phone's list, where a person can remove it.
            _ = self.reins.halted() => {}
            () = self.log_out(auth) => {}
        }
        let reason = format!("it was linked to another number, {number}");
        self.retire_credentials(auth, &reason).await?;
        attempts.begin_anew(Boot::now());
        attempts.linking.turn_away();
        Ok(())
    }

    async fn log_out(&self, auth: &Arc<AuthStore>) {
        let opened = Connection::open(self.context, auth, Errand::Farewell).await;
        let (mut connection, mut signals) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                debug!(account = %self.context.account, %error, "no connection to log out with");
                return;
            }
        };
        let logged_in = async {
            loop {
                // Whatever loses is asked again: signals stay queued.
                tokio::select! {
                    _ = connection.ended() => return false,
                    signal = signals.recv() => match signal {
                        Some(Signal::Connected) => return true,
                        Some(_) => {}
                        None => return false,
                    }
                }
            }
        };
        if tokio::time::timeout(LOGIN, logged_in).await == Ok(true) {
            connection.log_out().await;
        }
        connection.cut().await;
    }
}

/// Whether `pn` or `lid` is the number that the account was linked to last; any is, if it never was.
/// Device parts and older spellings do not count.
fn has_number(account: &Account, pn: &Jid, lid: Option<&Jid>) -> bool {
    let known: Vec<_> = [&account.linked, &account.linked_lid]
        .into_iter()
        .flatten()
        .map(person)
        .collect();
    let given = [Some(pn), lid].into_iter().flatten();
    known.is_empty() || given.map(person).any(|person| known.contains(&person))
}

/// User, and whether the address is a hidden one.
fn person(jid: &Jid) -> (&str, bool) {
    (jid.user(), matches!(jid.server(), "lid" | "hosted.lid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(pn: Option<&str>, lid: Option<&str>) -> Account {
        Account {
            linked: pn.map(Jid::new),
            linked_lid: lid.map(Jid::new),
            ..Account::fresh("shop")
        }
    }

    #[test]
    fn another_spelling_is_the_same_number_and_another_number_is_not() {
        let before = account(Some("49151000001:3@s.whatsapp.net"), Some("77:3@lid"));
        for (pn, lid, same) in [
            ("49151000001:9@s.whatsapp.net", Some("77:9@lid"), true),
            ("49151000001@c.us", None, true),
            ("49151000002:1@s.whatsapp.net", Some("77:1@lid"), true),
            ("49151000002:1@s.whatsapp.net", Some("78:1@lid"), false),
            ("49151000002:1@s.whatsapp.net", None, false),
            ("77@s.whatsapp.net", None, false),
        ] {
            let lid = lid.map(Jid::new);
            let found = has_number(&before, &Jid::new(pn), lid.as_ref());
            assert_eq!(found, same, "{pn}");
        }
        let never = account(None, None);
        assert!(has_number(&never, &Jid::new("1@s.whatsapp.net"), None));
    }
}
