//! A phone links the device, and the device logs in: whose it is, is recorded.

use tracing::info;
use wacore_binary::Jid as WireJid;

use super::Live;
use crate::ids::Jid;
use crate::session::connection::Connection;
use crate::session::life::attempts::Attempts;
use crate::session::state::SessionState;
use crate::telemetry::event::{self, Event};

impl Live<'_> {
    /// The credentials become current before the server closes the connection: it does so next. Those
    /// of a phone with another number do not.
    pub(super) async fn paired(
        &mut self,
        connection: &Connection,
        jid: &WireJid,
        lid: &WireJid,
        attempts: &mut Attempts,
    ) {
        let context = self.life.context;
        context.peers.forget();
        let (jid, lid) = (Jid::new(jid.to_string()), Jid::new(lid.to_string()));
        let kept = async {
            connection.client().persistence_manager().flush().await?;
            attempts.linking.look(context).await?;
            let welcome = self.life.is_welcome(&attempts.linking, &jid, Some(&lid));
            let welcome = welcome.await?;
            if welcome {
                self.auth.promote().await?;
            }
            anyhow::Ok(welcome)
        };
        match kept.await {
            Ok(true) => {}
            Ok(false) => {
                self.stranger = Some(jid);
                return;
            }
            Err(error) => {
                event::emit(Event::SessionError {
                    account: &context.account,
                    message: &format!("the new link could not be stored: {error:#}"),
                });
                return;
            }
        }
        self.record(&jid, &lid).await;
    }

    async fn record(&self, jid: &Jid, lid: &Jid) {
        let context = self.life.context;
        let home = self.life.auth_home(self.medium);
        let recorded = context
            .store
            .record_link(&context.fence, jid, Some(lid), home);
        self.life.told(recorded.await);
        info!(account = %context.account, number = %jid, "[whatsapp] Linked");
    }

    pub(super) async fn logged_in(&mut self, connection: &Connection, attempts: &mut Attempts) {
        let context = self.life.context;
        // A process that died after the phone's answer, or a store that was busy then, left the
        // credentials prepared or the link unrecorded.
        if let (Some(pn), Some(lid)) = (connection.client().pn(), connection.client().lid()) {
            let (jid, hidden) = (Jid::new(pn.to_string()), Jid::new(lid.to_string()));
            let recorded = match context.store.account(&context.account).await {
                Ok(Some(account)) => {
                    account.linked_at.is_some()
                        && account.linked.as_ref() == Some(&jid)
                        && account.auth_medium == Some(self.medium)
                        && account.auth_home.as_deref() == self.life.auth_home(self.medium)
                }
                Ok(None) => false,
                Err(_) => true,
            };
            match (self.auth.is_current().await, recorded) {
                (true, true) => {}
                // Whoever put them into use had the right to, whatever their number is.
                (true, false) => self.record(&jid, &hidden).await,
                (false, _) => self.paired(connection, &pn, &lid, attempts).await,
            }
        }
        context.board.code.send_replace(None);
        self.life.show(SessionState::Connected).await;
        event::emit(Event::Connected {
            account: &context.account,
        });
    }
}
