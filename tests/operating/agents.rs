//! The agent queue, from the command line and by a process that does nothing else.

use std::time::Duration;

use serde_json::{Value, json};
use whatsapp_worker::ids::JobId;
use whatsapp_worker::inbound::disposition::dispose;
use whatsapp_worker::inbound::identity::Identity;
use whatsapp_worker::inbound::policy::Policy;
use whatsapp_worker::rehearsal::Stage;
use whatsapp_worker::store::{Accepted, Arrival, Claim, ClaimRequest, Fence};

use super::fleet::Fleet;
use crate::store::{message, pn};
use crate::theatre::{PATIENCE, binary};

impl Fleet {
    /// Commits a text of Alice's and returns its job.
    async fn receive(&self, fence: &Fence, text: &str) -> JobId {
        let inbound = message(text, pn("49151000001"), text);
        let arrival = Arrival {
            identity: Identity::of(&inbound),
            disposition: dispose(&inbound, &Policy::default()),
            summary: "text".to_owned(),
            inbound,
        };
        let accepted = self.store.accept_inbound(fence, &[arrival]).await;
        match accepted.expect("ours").pop() {
            Some(Accepted::Queued { job, .. }) => job,
            other => panic!("{other:?}"),
        }
    }

    async fn claim(&self, lock: Duration) -> Claim {
        let request = ClaimRequest {
            accounts: None,
            processor_id: "agent-1".to_owned(),
            limit: 1,
            lock,
        };
        let mut claims = self.store.claim_jobs(&request).await.expect("answers");
        claims.pop().expect("there is work")
    }

    async fn status(&self, job: &JobId) -> (Value, Value) {
        let shown = self.json(&format!("jobs show {}", job.as_str())).await;
        (shown["status"].clone(), shown["errorReason"].clone())
    }
}

#[tokio::test]
async fn an_operator_looks_at_the_queue_and_moves_jobs_on() {
    let fleet = Fleet::open().await;
    let fence = fleet.acquire(&fleet.worker("one", |_| {}).await).await;
    let mut jobs = Vec::new();
    for text in ["one", "two", "three"] {
        jobs.push(fleet.receive(&fence, text).await);
    }
    let claim = fleet.claim(Duration::from_secs(600)).await;
    assert_eq!(claim.job.job.job_id, jobs[0]);
    let queues = fleet.json("jobs queues").await;
    assert_eq!(
        (
            &queues[0]["pending"],
            &queues[0]["processing"],
            &queues[0]["dead"]
        ),
        (&json!(2), &json!(1), &json!(0))
    );
    let name = |n: usize| jobs[n].as_str();
    let say = async |line: String, part: &str| {
        let text = fleet.say(&line).await;
        assert!(text.contains(part), "{line}: {text}");
    };
    say(format!("jobs retry {}", name(0)), "waits for an agent").await;
    assert_eq!(
        fleet.status(&jobs[0]).await,
        (json!("pending"), Value::Null)
    );
    say(
        format!("jobs fail {} --message hangs", name(0)),
        "is a dead letter",
    )
    .await;
    assert_eq!(
        fleet.status(&jobs[0]).await,
        (json!("failed"), json!("manual_fail"))
    );
    say(format!("jobs cancel {} --yes", name(1)), "is cancelled").await;
    assert_eq!(
        fleet.status(&jobs[1]).await,
        (json!("failed"), json!("cancelled"))
    );
    let page = fleet.json("jobs discarded --account shop").await;
    assert_eq!(page["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(page["jobs"][0]["jobId"], name(0));
    say("jobs retry --reason nothing".to_owned(), "0 dead letters").await;
    say("jobs retry --all".to_owned(), "1 dead letters").await;
    let conversation = claim.job.job.conversation_id.as_str();
    say(format!("jobs priority {conversation} -1"), "after others").await;
    say(format!("jobs fail {}", name(0)), "is a dead letter").await;
    say(
        "jobs discard --reason manual_fail".to_owned(),
        "1 dead letters",
    )
    .await;
    fleet
        .refuse(&format!("jobs retry {}", name(0)), 1, &["is failed"])
        .await;
    fleet
        .refuse("jobs retry job_none", 1, &["there is no job"])
        .await;
    fleet.refuse("jobs retry", 2, &[]).await;
    fleet
        .refuse(&format!("jobs retry {} --all", name(0)), 2, &[])
        .await;
    fleet
        .refuse("jobs priority conv_none 1", 1, &["has had no jobs"])
        .await;
    fleet
        .refuse("jobs discarded --cursor what", 2, &["is not a cursor"])
        .await;

    say("accounts pause --all".to_owned(), "Everything is paused:").await;
    say("accounts pause --all".to_owned(), "paused already").await;
    assert!(fleet.store.outlook(None).await.expect("answers").is_empty());
    say("accounts resume --all".to_owned(), "goes on").await;
    assert_eq!(fleet.claim(Duration::ZERO).await.job.job.job_id, jobs[2]);

    let talks = fleet.json("conversations list --account shop").await;
    assert_eq!(talks[0]["conversationId"], conversation);
    assert_eq!(talks[0]["with"], "…01@s.whatsapp.net");
    assert_eq!(talks[0]["priority"], -1);
    say(format!("conversations purge {conversation}"), "3 messages").await;
    fleet
        .refuse(
            &format!("conversations purge {conversation}"),
            1,
            &["no conversation"],
        )
        .await;
    assert_eq!(fleet.json("jobs list").await, json!([]));
}

#[tokio::test]
async fn a_process_in_the_role_agent_gives_back_what_ran_out_and_holds_no_lease() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut stage = Stage::set(&binary(), dir.path(), "ws://127.0.0.1:1/ws", "").expect("writes");
    for (name, value) in [
        ("AGENT_ROLE", "agent"),
        ("AGENT_MAX_RETRIES", "0"),
        // There is no simulator.
        ("WHATSAPP_EXTRA_CA_FILE", ""),
    ] {
        stage.settings.insert(name.to_owned(), value.to_owned());
    }
    let fleet = Fleet::at(&stage.store_url()).await;
    let mut worker = stage.start("agents").expect("starts");
    let owner = fleet.worker("holder", |_| {}).await;
    let fence = fleet.acquire(&owner).await;
    let job = fleet.receive(&fence, "hello").await;
    let claim = fleet.claim(Duration::ZERO).await;
    assert_eq!(claim.job.job.job_id, job);
    let its = |line: &Value| line["jobId"] == job.as_str();
    let lost = worker.wait_for("agent.job.lease_lost", PATIENCE, its).await;
    assert_eq!(lost.expect("it is told")["processorId"], "agent-1");
    let failed = worker.wait_for("agent.job.failed", PATIENCE, its).await;
    let failed = failed.expect("it is told");
    assert_eq!(failed["errorReason"], "retries_exhausted");
    assert_eq!(
        (&failed["accountId"], &failed["attemptCount"]),
        (&json!("shop"), &json!(1))
    );
    let workers = fleet.store.workers().await.expect("answers");
    let names: Vec<&str> = workers.iter().map(|row| row.told.owner.as_str()).collect();
    assert_eq!(names, [owner.as_str()]);
    assert!(!stage.auth_dir().exists());
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
}
