//! A message that came and cannot be read yet keeps its place in its lane.

use std::sync::Arc;
use std::time::Duration;

use whatsapp_worker::ids::ConversationId;
use whatsapp_worker::inbound::disposition::{Awaited, Disposition};
use whatsapp_worker::inbound::identity::Identity;
use whatsapp_worker::inbound::message::{Malformed, Party};
use whatsapp_worker::store::{
    Accepted, Arrival, Claim, ClaimRequest, Completion, Failed, Failure, Fence, Retries,
};

use super::{Bench, message, pn, queued};

on_every_engine!(
    what_came_after_an_awaited_message_waits_for_it_and_what_came_before_does_not,
    a_message_that_comes_too_late_is_the_last_and_nobody_waited_longer,
    a_lane_that_waits_is_found_at_its_time,
    an_awaited_message_that_is_no_work_lets_its_lane_go_on,
    a_job_that_waits_to_be_tried_again_still_does_when_an_awaited_message_comes,
    a_place_is_kept_when_two_conversations_become_one,
    a_purge_forgets_what_was_awaited,
);

const HOLD: Duration = Duration::from_secs(60);
const ALICE: &str = "49151000001";

impl Bench {
    /// Something of `who` came and could not be read.
    async fn await_message(&self, fence: &Fence, id: &str, who: Party, hold: Duration) {
        let mut inbound = message(id, who, "");
        inbound.content = Err(Malformed {
            reason: "not decrypted".to_owned(),
        });
        let arrival = Arrival {
            identity: Identity::of(&inbound),
            disposition: Disposition::Awaited(Awaited {
                chat: format!("{ALICE}@s.whatsapp.net"),
                sender: format!("{ALICE}:3@s.whatsapp.net"),
                ask_in: Duration::ZERO,
                hold,
            }),
            summary: "text".to_owned(),
            inbound,
        };
        let accepted = self.store.accept_inbound(fence, &[arrival]).await;
        assert_eq!(accepted.expect("ours"), [Accepted::Awaited]);
    }

    /// The account, and the right to write for it.
    async fn known(&self) -> Arc<Fence> {
        let added = self.store.add_account(&self.account, "o").await;
        added.expect("answers");
        self.fence().await
    }

    async fn come(&self, fence: &Fence, id: &str, who: Party) {
        let accepted = self.accept(fence, vec![message(id, who, id)]).await;
        assert!(accepted.expect("ours").iter().all(queued), "{id}");
    }

    async fn next_job(&self) -> Option<Claim> {
        let request = ClaimRequest {
            accounts: None,
            processor_id: "agent-1".to_owned(),
            limit: 1,
            lock: Duration::from_secs(60),
        };
        let claims = self.store.claim_jobs(&request).await;
        claims.expect("answers").pop()
    }

    /// Does the next job and says which it was.
    async fn work(&self) -> Option<String> {
        let claim = self.next_job().await?;
        let completion = Completion {
            result: None,
            replies: Vec::new(),
        };
        let id = &claim.job.job.job_id;
        let done = self.store.complete_job(id, &claim.claim_token, &completion);
        done.await.expect("answers");
        Some(claim.job.job.channel_message_id)
    }

    async fn conversation(&self) -> ConversationId {
        let jobs = self.jobs().await;
        jobs.first().expect("a job").conversation_id.clone()
    }
}

async fn what_came_after_an_awaited_message_waits_for_it_and_what_came_before_does_not(
    bench: &Bench,
) {
    let fence = bench.known().await;
    let alice = || pn(ALICE);
    bench.come(&fence, "before", alice()).await;
    bench.await_message(&fence, "first", alice(), HOLD).await;
    bench.come(&fence, "after", alice()).await;
    bench.await_message(&fence, "second", alice(), HOLD).await;
    bench.come(&fence, "last", alice()).await;
    bench.come(&fence, "other", pn("49151000002")).await;
    let mut done = [bench.work().await, bench.work().await];
    done.sort();
    assert_eq!(done, [Some("before".to_owned()), Some("other".to_owned())]);
    assert_eq!(bench.work().await, None);

    bench.come(&fence, "second", alice()).await;
    assert_eq!(bench.work().await, None, "the first is awaited still");
    bench.come(&fence, "first", alice()).await;
    for expected in ["first", "after", "second", "last"] {
        assert_eq!(bench.work().await.as_deref(), Some(expected));
    }
    assert_eq!(bench.work().await, None);
    let due = bench.store.due_missing(&bench.account, 10).await;
    assert_eq!(due.expect("answers"), [], "nothing is missing");
}

async fn a_message_that_comes_too_late_is_the_last_and_nobody_waited_longer(bench: &Bench) {
    let fence = bench.known().await;
    bench
        .await_message(&fence, "late", pn(ALICE), Duration::ZERO)
        .await;
    bench.come(&fence, "one", pn(ALICE)).await;
    bench.come(&fence, "two", pn(ALICE)).await;
    assert_eq!(bench.work().await.as_deref(), Some("one"));
    let due = bench.store.due_missing(&bench.account, 10).await;
    let due = due.expect("answers");
    assert_eq!(due[0].message_id, "late");
    assert_eq!(due[0].sender, format!("{ALICE}:3@s.whatsapp.net"));
    bench.come(&fence, "late", pn(ALICE)).await;
    assert_eq!(bench.work().await.as_deref(), Some("two"));
    assert_eq!(bench.work().await.as_deref(), Some("late"));
}

async fn a_lane_that_waits_is_found_at_its_time(bench: &Bench) {
    let fence = bench.known().await;
    bench
        .await_message(&fence, "awaited", pn(ALICE), HOLD)
        .await;
    bench.come(&fence, "after", pn(ALICE)).await;
    let outlook = bench.store.outlook(None).await.expect("answers");
    assert!(outlook.is_empty());
    let next = outlook.next_in.expect("a time");
    assert!(next > HOLD / 2 && next <= HOLD, "{next:?}");
    // A second word of the same message moves nothing.
    bench
        .await_message(&fence, "awaited", pn(ALICE), HOLD * 10)
        .await;
    bench.come(&fence, "more", pn(ALICE)).await;
    let again = bench.store.outlook(None).await.expect("answers");
    assert!(again.next_in.expect("a time") <= next);
}

async fn an_awaited_message_that_is_no_work_lets_its_lane_go_on(bench: &Bench) {
    let fence = bench.known().await;
    bench.await_message(&fence, "notice", pn(ALICE), HOLD).await;
    bench.come(&fence, "after", pn(ALICE)).await;
    assert_eq!(bench.work().await, None);
    let mut notice = message("notice", pn(ALICE), "");
    notice.content = Ok(whatsapp_worker::inbound::message::Content::Control {
        kind: "EPHEMERAL_SETTING".to_owned(),
    });
    let accepted = bench.accept(&fence, vec![notice]).await;
    assert_eq!(accepted.expect("ours"), [Accepted::Recorded]);
    assert_eq!(bench.work().await.as_deref(), Some("after"));
}

async fn a_job_that_waits_to_be_tried_again_still_does_when_an_awaited_message_comes(
    bench: &Bench,
) {
    let fence = bench.known().await;
    bench.come(&fence, "failing", pn(ALICE)).await;
    let claim = bench.next_job().await.expect("work");
    let failure = Failure {
        reason: "agent_error".to_owned(),
        message: None,
        retryable: true,
        retry_after: Some(HOLD),
    };
    let retries = Retries { max: 3 };
    let id = &claim.job.job.job_id;
    let failed = bench
        .store
        .fail_job(id, &claim.claim_token, &failure, retries);
    let failed = failed.await.expect("answers");
    assert!(matches!(failed, Failed::Retried { .. }), "{failed:?}");
    bench
        .await_message(&fence, "awaited", pn(ALICE), HOLD * 2)
        .await;
    bench.come(&fence, "awaited", pn(ALICE)).await;
    assert_eq!(bench.work().await, None);
}

async fn a_place_is_kept_when_two_conversations_become_one(bench: &Bench) {
    let fence = bench.known().await;
    let lid = Party {
        pn: None,
        lid: Some(whatsapp_worker::ids::Jid::new("1000001@lid")),
    };
    let both = Party {
        lid: lid.lid.clone(),
        ..pn(ALICE)
    };
    bench.come(&fence, "by number", pn(ALICE)).await;
    bench
        .await_message(&fence, "awaited", lid.clone(), HOLD)
        .await;
    bench.come(&fence, "by hidden id", lid).await;
    bench.come(&fence, "by both", both.clone()).await;
    assert_eq!(bench.work().await.as_deref(), Some("by number"));
    assert_eq!(bench.work().await, None);
    bench.come(&fence, "awaited", both).await;
    for expected in ["awaited", "by hidden id", "by both"] {
        assert_eq!(bench.work().await.as_deref(), Some(expected));
    }
}

async fn a_purge_forgets_what_was_awaited(bench: &Bench) {
    let fence = bench.known().await;
    bench.come(&fence, "before", pn(ALICE)).await;
    bench
        .await_message(&fence, "awaited", pn(ALICE), HOLD)
        .await;
    let conversation = bench.conversation().await;
    let purged = bench.store.purge_conversation(&conversation, "o").await;
    assert_eq!(purged.expect("answers"), Some(1));
    assert_eq!(bench.texts("SELECT message_id FROM missing").await, [""; 0]);
    bench.come(&fence, "after", pn(ALICE)).await;
    assert_eq!(bench.work().await.as_deref(), Some("after"));
}
