//! One attempt to send one message, and what is known afterwards.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::ASK_AGAIN;
use crate::clock::Boot;
use crate::ids::{AccountId, Jid};
use crate::outbound::delivery::{Next, Outcome, Rules};
use crate::outbound::message::Draft;
use crate::outbound::pacing::Pacing;
use crate::session::SessionContext;
use crate::session::compose::Composer;
use crate::session::send::{self, Line};
use crate::session::typing;
use crate::store::{Claimed, Dispatch, Fence, Recovered, Settled, Store, StoreError};
use crate::telemetry::event::{self, Attempt, Event};
use crate::telemetry::meters;

/// What every attempt needs.
pub(super) struct Desk {
    pub(super) account: AccountId,
    pub(super) store: Store,
    pub(super) fence: Arc<Fence>,
    pub(super) rules: Rules,
    pacing: Pacing,
    composer: Composer,
    line: Line,
    /// Nothing is waited for any more that only looks nice.
    hurry: CancellationToken,
}

impl Desk {
    pub(super) fn new(context: &SessionContext, line: Line, hurry: CancellationToken) -> Self {
        Self {
            account: context.account.clone(),
            store: context.store.clone(),
            fence: context.fence.clone(),
            rules: context.outbox.rules,
            pacing: context.outbox.pacing,
            composer: context.composer.clone(),
            line,
            hurry,
        }
    }

    pub(super) async fn claim(&self, limit: usize) -> Result<Claimed, StoreError> {
        self.store
            .claim_outgoing(&self.fence, limit, &self.rules)
            .await
    }

    /// Sends the message and writes down how it went. Dropped in the middle, the message is recovered
    /// by the next connection.
    pub(super) async fn attempt(&self, dispatch: Dispatch) {
        let began = Boot::now();
        let outcome = match self.send(&dispatch).await {
            Ok(()) => Outcome::Acknowledged,
            Err(outcome) => outcome,
        };
        let took = Boot::now().since(began);
        meters::attempted(took);
        loop {
            let settled =
                self.store
                    .settle_outgoing(&self.fence, &dispatch, &outcome, took, &self.rules);
            match settled.await {
                Ok(settled) => return self.tell(&dispatch, &outcome, took, settled),
                Err(error @ StoreError::Unavailable(_)) => {
                    debug!(account = %self.account, %error, "how an attempt went could not be stored, retrying...");
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                Err(error) => {
                    warn!(account = %self.account, message_id = dispatch.message_id, %error, "how an attempt went could not be stored");
                    return;
                }
            }
        }
    }

    async fn send(&self, dispatch: &Dispatch) -> Result<(), Outcome> {
        let Some(draft) = &dispatch.draft else {
            return Err(Outcome::Impossible {
                code: "unreadable",
                error: "its content is erased, or of a kind that this version does not know"
                    .to_owned(),
            });
        };
        let address = self
            .composer
            .address(&self.line.client, &self.fence, &dispatch.chat);
        let chat = &address.await?;
        let message = self.composer.compose(
            &self.line.client,
            &dispatch.conversation,
            chat,
            draft,
            &dispatch.message_id,
        );
        let message = message.await?;
        self.type_for_a_while(chat, draft).await;
        let id = &dispatch.message_id;
        send::send(&self.line, chat, &message, id, self.rules.ack).await?;
        Ok(())
    }

    /// Shows "typing…", best effort.
    async fn type_for_a_while(&self, chat: &Jid, draft: &Draft) {
        let Some(time) = self.pacing.typing(draft) else {
            return;
        };
        let Ok(wire) = chat.as_str().parse() else {
            return;
        };
        typing::begin(&self.line.client, &wire).await;
        // Losing the race is what each of them is for.
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.hurry.cancelled() => {}
        }
    }

    fn tell(&self, dispatch: &Dispatch, outcome: &Outcome, took: Duration, settled: Settled) {
        let attempt = Attempt {
            number: dispatch.attempt,
            took,
            job: dispatch.job.as_ref(),
            outbox: &dispatch.id,
        };
        match settled {
            Settled::Now(Next::Sent) => event::emit(Event::Sent {
                account: &self.account,
                message_id: &dispatch.message_id,
                attempt: Some(attempt),
            }),
            Settled::Now(next) => {
                self.tell_failed(&dispatch.message_id, outcome, next, Some(attempt));
            }
            // Told when it was settled.
            Settled::Before(_) => {}
        }
    }

    pub(super) fn tell_recovered(&self, message: &Recovered) {
        let cut_short = Outcome::Unanswered(crate::outbound::delivery::INTERRUPTED);
        self.tell_failed(&message.message_id, &cut_short, message.next, None);
    }

    fn tell_failed(
        &self,
        message_id: &str,
        outcome: &Outcome,
        next: Next,
        attempt: Option<Attempt<'_>>,
    ) {
        let retry: Option<Duration> = match next {
            Next::Again { wait, .. } => Some(wait),
            Next::Sent | Next::Failed { .. } | Next::Uncertain => None,
        };
        event::emit(Event::SendFailed {
            account: &self.account,
            message_id,
            code: outcome.code().unwrap_or_default(),
            message: &outcome.error().unwrap_or_default(),
            retry,
            attempt,
        });
        if let Next::Failed { restricted: true } = next {
            warn!(account = %self.account, "WhatsApp restricts the account: it is paused until `accounts resume`");
        }
    }
}
