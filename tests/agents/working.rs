//! Claiming, keeping, completing and giving back.

use std::time::Duration;

use serde_json::{Value, json};
use whatsapp_worker::ids::JobId;
use whatsapp_worker::store::JobStatus;

use super::{Agency, text};
use crate::theatre::{Engine, on_each_engine};

on_each_engine!(
    a_job_is_claimed_kept_and_completed_with_its_replies_once,
    a_job_that_is_given_back_comes_again_and_then_is_a_dead_letter,
    a_claim_that_was_lost_changes_nothing,
    who_waits_for_work_gets_it_when_it_comes,
    a_conversation_is_read_both_ways_page_by_page,
);

fn path(claim: &Value, verb: &str) -> String {
    let job = claim["job"]["jobId"].as_str().expect("an id");
    format!("/v1/jobs/{job}/{verb}")
}

async fn claim(agency: &Agency) -> Value {
    let answer = agency
        .post("/v1/jobs/claim", json!({"processorId": "tester"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let jobs = answer.body["jobs"].as_array().expect("a list");
    assert_eq!(jobs.len(), 1, "{}", answer.body);
    jobs[0].clone()
}

async fn none(agency: &Agency) {
    let answer = agency.post("/v1/jobs/claim", json!({})).await;
    assert_eq!((answer.status, answer.body), (200, json!({"jobs": []})));
}

async fn a_job_is_claimed_kept_and_completed_with_its_replies_once(engine: Engine) {
    let agency = Agency::open(engine, &[]).await;
    let id = agency.receives(text("hello")).await;
    let claimed = claim(&agency).await;
    assert_eq!(claimed["job"]["jobId"], id.as_str());
    assert_eq!(
        claimed["job"]["content"],
        json!({"type": "text", "body": "hello"})
    );
    assert_eq!(claimed["job"]["pushName"], "Alice");
    assert_eq!(claimed["attempt"], 1);
    none(&agency).await;

    let token = &claimed["claimToken"];
    let kept = agency
        .post(
            &path(&claimed, "heartbeat"),
            json!({"claimToken": token, "lockMs": 3_600_000}),
        )
        .await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    assert!(kept.body["lockedUntil"].as_i64() > claimed["lockedUntil"].as_i64());

    let replies = json!([
        {"content": {"type": "text", "body": "one"}},
        {"content": {"type": "text", "body": "two"}, "to": "+49151000002"},
    ]);
    let complete = json!({"claimToken": token, "result": {"score": 1}, "replies": replies});
    let done = agency
        .post(&path(&claimed, "complete"), complete.clone())
        .await;
    assert_eq!(
        (done.status, &done.body["again"]),
        (200, &json!(false)),
        "{}",
        done.body
    );
    let again = agency.post(&path(&claimed, "complete"), complete).await;
    assert_eq!(
        (again.status, &again.body["again"]),
        (200, &json!(true)),
        "{}",
        again.body
    );
    assert_eq!(again.body["messageIds"], done.body["messageIds"]);

    let job = agency
        .store
        .job(&id)
        .await
        .expect("answers")
        .expect("exists");
    assert_eq!(job.job.status, JobStatus::Completed);
    assert_eq!(job.result, Some(json!({"score": 1})));
    assert_eq!(agency.outbox().await.len(), 2);
    let first = done.body["messageIds"][0].as_str().expect("an id");
    let first = agency.get(&format!("/v1/messages/{first}")).await;
    assert_eq!(first.body["status"], "pending");
    assert_eq!(
        first.body["conversationId"],
        claimed["job"]["conversationId"]
    );
    assert_eq!(first.body["content"]["content"]["body"], "one");
}

async fn a_job_that_is_given_back_comes_again_and_then_is_a_dead_letter(engine: Engine) {
    let agency = Agency::open(engine, &[("AGENT_MAX_RETRIES", "1")]).await;
    let id = agency.receives(text("hello")).await;
    for (attempt, status) in [(1, "pending"), (2, "failed")] {
        let claimed = claim(&agency).await;
        assert_eq!(claimed["attempt"], attempt);
        let failure = json!({"claimToken": claimed["claimToken"], "errorReason": "agent_error",
            "errorMessage": "no idea", "retryAfterMs": 0});
        let failed = agency.post(&path(&claimed, "fail"), failure).await;
        assert_eq!(
            (failed.status, &failed.body["status"]),
            (200, &json!(status)),
            "{}",
            failed.body
        );
    }
    none(&agency).await;
    let job = agency
        .store
        .job(&id)
        .await
        .expect("answers")
        .expect("exists");
    assert!(job.job.dead);
    assert_eq!(job.job.error_reason.as_deref(), Some("agent_error"));
    let next = agency.receives(text("next")).await;
    let claimed = claim(&agency).await;
    assert_eq!(claimed["job"]["jobId"], next.as_str());
    let never = json!({"claimToken": claimed["claimToken"], "errorReason": "not_for_me", "retryable": false});
    let failed = agency.post(&path(&claimed, "fail"), never).await;
    assert_eq!(failed.body, json!({"status": "failed", "attempt": 1}));
}

async fn a_claim_that_was_lost_changes_nothing(engine: Engine) {
    let agency = Agency::open(engine, &[]).await;
    let id = agency.receives(text("hello")).await;
    let lost = claim(&agency).await;
    let given = json!({"claimToken": lost["claimToken"], "errorReason": "x", "retryAfterMs": 0});
    assert_eq!(
        agency
            .post(&path(&lost, "fail"), given.clone())
            .await
            .status,
        200
    );
    let held = claim(&agency).await;
    let reply = json!([{"content": {"type": "text", "body": "late"}}]);
    for (verb, body) in [
        ("heartbeat", json!({"claimToken": lost["claimToken"]})),
        (
            "complete",
            json!({"claimToken": lost["claimToken"], "replies": reply}),
        ),
        ("fail", given),
    ] {
        let refused = agency.post(&path(&lost, verb), body).await;
        assert_eq!(refused.problem(), (409, ""), "{verb}");
        assert_eq!(refused.body["type"], "urn:whatsapp-worker:stale-claim");
    }
    let bad = json!([{"content": {"type": "text", "body": "fine"}}, {"content": {"type": "text", "body": " "}}]);
    let refused = agency
        .post(
            &path(&held, "complete"),
            json!({"claimToken": held["claimToken"], "replies": bad}),
        )
        .await;
    assert_eq!(refused.problem(), (422, "replies[1].content.body"));
    assert_eq!(agency.outbox().await, []);
    let good = agency
        .post(
            &path(&held, "complete"),
            json!({"claimToken": held["claimToken"]}),
        )
        .await;
    assert_eq!(good.status, 200, "{}", good.body);
    let job = agency
        .store
        .job(&id)
        .await
        .expect("answers")
        .expect("exists");
    assert_eq!(job.job.status, JobStatus::Completed);
}

async fn who_waits_for_work_gets_it_when_it_comes(engine: Engine) {
    let agency = Agency::open(engine, &[]).await;
    let waiting = agency.post("/v1/jobs/claim", json!({"waitMs": 50_000, "limit": 10}));
    let coming = async {
        // justified: the request must be waiting already; if it is not, the test is weaker, not wrong.
        tokio::time::sleep(Duration::from_millis(300)).await;
        agency.receives(text("hello")).await
    };
    let (answer, id): (_, JobId) = tokio::join!(waiting, coming);
    assert_eq!(
        answer.body["jobs"][0]["job"]["jobId"],
        id.as_str(),
        "{}",
        answer.body
    );
    let mut worker = agency.worker;
    let waiting = agency
        .client
        .post(format!("{}/v1/jobs/claim", agency.base))
        .bearer_auth(super::SECRET)
        .body(json!({"waitMs": 50_000}).to_string())
        .send();
    let stopping = async {
        // justified: as above.
        tokio::time::sleep(Duration::from_millis(300)).await;
        worker.terminate().await
    };
    let (answer, ended) = tokio::join!(waiting, stopping);
    let answer = answer.expect("an answer, although the worker stops");
    assert_eq!(answer.text().await.expect("whole"), r#"{"jobs":[]}"#);
    assert_eq!(ended.expect("ours"), Some(0));
}

async fn a_conversation_is_read_both_ways_page_by_page(engine: Engine) {
    let agency = Agency::open(engine, &[]).await;
    for body in ["one", "two"] {
        agency.receives(text(body)).await;
        let claimed = claim(&agency).await;
        let reply = json!([{"content": {"type": "text", "body": format!("{body} yourself")}}]);
        let complete = json!({"claimToken": claimed["claimToken"], "replies": reply});
        assert_eq!(
            agency
                .post(&path(&claimed, "complete"), complete)
                .await
                .status,
            200
        );
    }
    let id = agency.receives(text("three")).await;
    let job = agency
        .store
        .job(&id)
        .await
        .expect("answers")
        .expect("exists");
    let conv = job.job.conversation_id.as_str().to_owned();
    let mut said = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = agency
            .get(&format!("/v1/conversations/{conv}/messages{query}"))
            .await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(
            page.body["conversation"]["pn"],
            "49151000001@s.whatsapp.net"
        );
        for turn in page.body["messages"].as_array().expect("a list") {
            let content = &turn["content"];
            let content = if turn["direction"] == "out" {
                &content["content"]
            } else {
                content
            };
            said.push(content["body"].as_str().expect("text").to_owned());
        }
        match page.body["before"].as_str() {
            Some(before) => query = format!("?limit=2&before={before}"),
            None => break,
        }
    }
    assert_eq!(
        said,
        ["three", "two yourself", "two", "one yourself", "one"]
    );
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("before=x", "before"),
        ("befor=1.1.x", "befor"),
    ] {
        let refused = agency
            .get(&format!("/v1/conversations/{conv}/messages?{query}"))
            .await;
        assert_eq!(refused.problem(), (422, field), "{}", refused.body);
    }
}
