//! Carries out the failure answers: asks the store where it must, decides by [`super::attempts`],
//! tells and shows.

use std::time::Duration;

use auth_store::Poison;
use rand::RngExt;
use tracing::debug;

use super::attempts::{Answer, Attempts, Facts, Holder, Next, Told, must_confirm};
use super::{Life, Outcome};
use crate::clock::Boot;
use crate::lease::keeper::Loss;
use crate::session::connection::End;
use crate::telemetry::event::{self, Event};

/// Before an auth store that takes no more writes is opened again.
const POISONED: Duration = Duration::from_secs(5);
/// Before a store that could not tell who holds the lease is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Life<'_> {
    /// The auth store takes no more writes.
    pub(super) fn poisoned(&self, why: &Poison) -> Next {
        if let Poison::Fenced { .. } = why {
            return Next::Finish(Outcome::Lost(Loss::Refused));
        }
        event::emit(Event::SessionError {
            account: &self.context.account,
            message: &why.to_string(),
        });
        Next::Pause(POISONED)
    }

    /// The failure answers.
    pub(super) async fn after(&self, end: End, linked: bool, attempts: &mut Attempts) -> Next {
        debug!(account = %self.context.account, ?end, "connection ended");
        self.context.board.code.send_replace(None);
        let holder = if must_confirm(&end) {
            match self.holder().await {
                Ok(holder) => holder,
                Err(halted) => return halted,
            }
        } else {
            Holder::Us
        };
        let version_refreshed =
            end == End::Outdated && self.context.version.refresh(&self.context.http).await;
        let facts = Facts {
            now: Boot::now(),
            linked,
            holder,
            intake_closed: self.context.intake.is_closed(),
            version_refreshed,
            jitter: rand::rng().random_range(0.8..1.2),
        };
        let answer = attempts.answer(end, &facts);
        self.reins.tell_deaf(attempts.deaf());
        self.carry_out(answer).await
    }

    async fn carry_out(&self, answer: Answer) -> Next {
        let account = &self.context.account;
        match &answer.told {
            Some(Told::Closed {
                code,
                should_reconnect,
                reason,
            }) => event::emit(Event::Closed {
                account,
                status_code: *code,
                should_reconnect: *should_reconnect,
                reason,
            }),
            Some(Told::Conflict { in_a_row }) => event::emit(Event::Conflict {
                account,
                in_a_row: *in_a_row,
            }),
            Some(Told::Deaf { in_a_row }) => event::emit(Event::Deaf {
                account,
                in_a_row: *in_a_row,
            }),
            None => {}
        }
        if let Some(state) = answer.show {
            self.show(state).await;
        }
        answer.next
    }

    /// Asks the store who holds the lease, until it says so: nothing is connected before. `Err`: the
    /// session was told to end meanwhile.
    async fn holder(&self) -> Result<Holder, Next> {
        loop {
            match self.term.confirm().await {
                Ok(()) => return Ok(Holder::Us),
                Err(Some(loss)) => return Ok(Holder::Lost(loss)),
                Err(None) => {}
            }
            if let Some(halted) = self.pause(ASK_AGAIN).await {
                return Err(halted);
            }
        }
    }
}
