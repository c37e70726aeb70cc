//! What is put in, taken, and known afterwards of outgoing messages.

use std::time::Duration;

use whatsapp_worker::ids::{ConversationId, Jid, OutboxId};
use whatsapp_worker::inbound::message::Party;
use whatsapp_worker::outbound::delivery::{Evidence, Next, Outcome, Rules, Status};
use whatsapp_worker::outbound::message::{Draft, Recipient};
use whatsapp_worker::store::{
    Accepted, Cancelled, Dispatch, Enqueued, Fence, Origin, OutboxDetail, OutboxFilter, OutboxRow,
    Proof, Proven, Request, Retried, Settled, StoreError, Talk,
};

use super::{Bench, message, pn};

mod evidence;
mod lanes;
mod people;

const ALICE: &str = "+49151000001";
const BOB: &str = "+49151000002";

/// Waits of no length, so that nobody has to wait.
fn hasty() -> Rules {
    Rules {
        ack: Duration::ZERO,
        cooldown: Duration::ZERO,
        lane_block: Duration::ZERO,
        chat_pace: Duration::ZERO,
    }
}

fn silent() -> Outcome {
    Outcome::Unanswered("ack_timeout")
}

fn proof(message: &OutboxRow, evidence: Evidence) -> Proof {
    Proof {
        message_id: message.channel_message_id.clone(),
        evidence,
    }
}

fn draft(to: &str, body: &str) -> Draft {
    Draft {
        to: Some(to.parse().expect("a recipient")),
        ..Draft::text(body)
    }
}

fn body(dispatch: &Dispatch) -> String {
    let draft = dispatch.draft.as_ref().expect("readable");
    draft.content.words().expect("a text").to_owned()
}

impl Bench {
    async fn send(&self, to: &str, text: &str) -> OutboxRow {
        self.store
            .add_account(&self.account, "test")
            .await
            .expect("answers");
        let origin = Origin::Api { request: None };
        let enqueued = self
            .store
            .enqueue_message(&self.account, &draft(to, text), origin)
            .await;
        match enqueued.expect("answers") {
            Enqueued::New(row) => row,
            other => panic!("{other:?}"),
        }
    }

    async fn claim(&self, fence: &Fence) -> Vec<Dispatch> {
        let claimed = self.store.claim_outgoing(fence, 100, &hasty()).await;
        claimed.expect("ours").messages
    }

    /// The only message whose turn it is.
    async fn claim_one(&self, fence: &Fence) -> Dispatch {
        let mut claimed = self.claim(fence).await;
        assert_eq!(claimed.len(), 1);
        claimed.remove(0)
    }

    async fn settle(&self, fence: &Fence, dispatch: &Dispatch, outcome: &Outcome) -> Settled {
        self.settle_by(fence, dispatch, outcome, &hasty()).await
    }

    async fn settle_by(
        &self,
        fence: &Fence,
        dispatch: &Dispatch,
        outcome: &Outcome,
        rules: &Rules,
    ) -> Settled {
        let took = Duration::from_millis(7);
        let settled = self
            .store
            .settle_outgoing(fence, dispatch, outcome, took, rules);
        settled.await.expect("ours")
    }

    async fn message(&self, id: &OutboxId) -> OutboxDetail {
        let row = self.store.outbox_row(id).await.expect("answers");
        row.expect("a row")
    }

    async fn status(&self, id: &OutboxId) -> Status {
        self.message(id).await.row.status
    }

    /// Lets the waits of messages that were tried pass.
    async fn hurry(&self) {
        let due = "UPDATE outbox SET next_attempt_at = created_at WHERE status = 'pending'";
        self.sql(due).await.expect("writes");
        let open = "UPDATE outbox_lanes SET ready_at = 0, blocked_until = 0, paced_until = 0 WHERE state = 'ready'";
        self.sql(open).await.expect("writes");
    }
}
