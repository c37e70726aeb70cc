//! Webhooks: jobs that are pushed to a receiver which fails, hangs, redirects, refuses and answers.

use serde_json::{Value, json};
use tokio::sync::watch;
use whatsapp_worker::ids::JobId;
use whatsapp_worker::rehearsal::Worker;
use whatsapp_worker::store::{Job, JobStatus};
use whatsapp_worker::webhooks::signature::{Secret, Unverified};

use super::receiver::{Receiver, Script};
use super::{Agency, Answer, text};
use crate::theatre::{Engine, PATIENCE, on_each_engine};

on_each_engine!(
    a_job_is_posted_signed_and_completed_with_the_replies_of_the_answer,
    a_receiver_that_fails_hangs_and_redirects_gets_the_job_again_until_it_is_a_dead_letter,
    a_secret_that_is_changed_signs_beside_the_one_before_it,
);

async fn add(agency: &Agency, name: &str, settings: Value) -> Secret {
    let mut body = json!({"name": name});
    let fields = settings.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(fields);
    let made = agency.post("/v1/webhooks", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    Secret::parse(made.body["secret"].as_str().expect("text")).expect("a secret")
}

/// Waits for the event that ends a job, and returns the job.
async fn ended(agency: &Agency, event: &str, id: &JobId) -> Job {
    let worker: &Worker = &agency.worker;
    worker
        .wait_for(event, PATIENCE, |line| line["jobId"] == id.as_str())
        .await
        .expect("it ends");
    let job = agency.store.job(id).await.expect("answers");
    job.expect("exists").job
}

async fn a_job_is_posted_signed_and_completed_with_the_replies_of_the_answer(engine: Engine) {
    let agency = Agency::open(engine, &[]).await;
    let replies =
        r#"{"replies": [{"content": {"type": "text", "body": "hi Alice"}}], "result": 7}"#;
    let receiver = Receiver::start([Script::Status(200, replies)]).await;
    let secret = add(&agency, "support", json!({"url": receiver.url})).await;
    let id = agency.receives(text("hello")).await;
    let post = receiver.posts(1).await.remove(0);
    assert_eq!(post.verify(&secret), Ok(()));
    assert_eq!(post.verify(&Secret::random()), Err(Unverified::Wrong));
    assert_eq!(post.header("webhook-id"), id.as_str());
    assert_eq!(post.header("content-type"), "application/json");
    let said = post.json();
    assert_eq!(said["type"], "agent.job");
    assert_eq!(
        said["data"]["job"]["content"],
        json!({"type": "text", "body": "hello"})
    );
    assert_eq!(said["data"]["attempt"], 1);

    let job = ended(&agency, "agent.job.completed", &id).await;
    assert_eq!(job.status, JobStatus::Completed);
    assert_eq!(job.processor_id.as_deref(), Some("webhook:support"));
    let sent = agency.outbox().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].job_id.as_ref(), Some(&id));
    assert_eq!(
        sent[0].content.as_ref().expect("kept")["content"]["body"],
        "hi Alice"
    );
    assert_eq!(receiver.posts(1).await.len(), 1);
}

async fn a_receiver_that_fails_hangs_and_redirects_gets_the_job_again_until_it_is_a_dead_letter(
    engine: Engine,
) {
    let agency = Agency::open(engine, &[("AGENT_MAX_RETRIES", "2")]).await;
    let elsewhere = Receiver::start([Script::Status(200, "")]).await;
    let receiver = Receiver::start([
        Script::RetryAfter(503, 0),
        Script::Hang,
        Script::Redirect(elsewhere.url.clone()),
        Script::Status(204, ""),
    ])
    .await;
    add(
        &agency,
        "support",
        json!({"url": receiver.url, "timeoutMs": 1000}),
    )
    .await;
    let id = agency.receives(text("hello")).await;
    let job = ended(&agency, "agent.job.failed", &id).await;
    assert!(job.dead);
    assert_eq!(job.error_reason.as_deref(), Some("webhook_redirected"));
    let posts = receiver.posts(3).await;
    assert_eq!(posts.len(), 3);
    let ids: Vec<&str> = posts.iter().map(|post| post.header("webhook-id")).collect();
    assert_eq!(ids, [id.as_str(); 3]);
    let attempts: Vec<Value> = posts
        .iter()
        .map(|post| post.json()["data"]["attempt"].clone())
        .collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(elsewhere.posts(0).await.len(), 0);
    // Its lane goes on when the receiver serves again.
    let next = agency.receives(text("next")).await;
    let job = ended(&agency, "agent.job.completed", &next).await;
    assert_eq!(job.attempt_count, 1);
}

#[tokio::test]
async fn a_job_that_is_refused_or_badly_answered_is_a_dead_letter_at_once() {
    let agency = Agency::open(Engine::Sqlite, &[]).await;
    let receiver = Receiver::start([
        Script::Status(422, ""),
        Script::Status(200, r#"{"replies": [{"content": {"type": "text", "body": ""}}]}"#),
        Script::Status(200, r#"{"replies": [{"content": {"type": "smoke"}}]}"#),
        Script::Status(
            200,
            r#"{"replies": [{"content": {"type": "image", "media": {"url": "http://127.0.0.1:1/x"}}}]}"#,
        ),
        Script::Status(200, "thanks"),
    ])
    .await;
    add(&agency, "support", json!({"url": receiver.url})).await;
    for (reason, message) in [
        ("webhook_refused", "answered 422"),
        ("webhook_bad_answer", "replies[0].content.body: is empty"),
        ("webhook_bad_answer", "replies[0].content"),
        ("webhook_bad_answer", "replies[0].content.media: leads to"),
    ] {
        let id = agency.receives(text("hello")).await;
        let job = ended(&agency, "agent.job.failed", &id).await;
        assert_eq!((job.attempt_count, job.dead), (1, true));
        assert_eq!(job.error_reason.as_deref(), Some(reason));
        let said = job.error_message.expect("words");
        assert!(said.contains(message), "{said}");
    }
    let id = agency.receives(text("hello")).await;
    let job = ended(&agency, "agent.job.completed", &id).await;
    assert_eq!(job.status, JobStatus::Completed);
    assert_eq!(agency.outbox().await, []);
}

#[tokio::test]
async fn a_slow_receiver_keeps_its_job_for_longer_than_a_claim_holds() {
    let agency = Agency::open(Engine::Sqlite, &[("AGENT_LOCK_MS", "1000")]).await;
    let (go, late) = watch::channel(false);
    let receiver = Receiver::start([Script::Late(late)]).await;
    add(&agency, "support", json!({"url": receiver.url})).await;
    let id = agency.receives(text("hello")).await;
    receiver.posts(1).await;
    let held = async || {
        let job = agency
            .store
            .job(&id)
            .await
            .expect("answers")
            .expect("exists");
        job.job.locked_until.expect("claimed")
    };
    let first = held().await;
    while held().await < first + 3000 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await; // justified: another process writes the store
    }
    go.send_replace(true);
    let job = ended(&agency, "agent.job.completed", &id).await;
    assert_eq!(job.attempt_count, 1);
    assert_eq!(receiver.posts(1).await.len(), 1);
}

#[tokio::test]
async fn a_worker_that_dies_while_it_posts_makes_the_job_come_again_under_the_same_id() {
    let mut agency = Agency::open(Engine::Sqlite, &[("AGENT_LOCK_MS", "1000")]).await;
    let receiver = Receiver::start([Script::Hang, Script::Status(204, "")]).await;
    add(&agency, "support", json!({"url": receiver.url})).await;
    let id = agency.receives(text("hello")).await;
    receiver.posts(1).await;
    agency.worker.kill().await.expect("ours");
    agency.worker = agency.theatre.stage.start("agent").expect("starts");
    let job = ended(&agency, "agent.job.completed", &id).await;
    assert_eq!(job.attempt_count, 2);
    let posts = receiver.posts(2).await;
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0].header("webhook-id"), posts[1].header("webhook-id"));
}

async fn a_secret_that_is_changed_signs_beside_the_one_before_it(engine: Engine) {
    let agency = Agency::open(engine, &[]).await;
    let receiver = Receiver::start([Script::Status(204, "")]).await;
    let old = add(&agency, "support", json!({"url": receiver.url})).await;
    let rotated = agency.post("/v1/webhooks/support/rotate", json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.body);
    assert!(
        rotated.body["previousSecretUntil"].is_i64(),
        "{}",
        rotated.body
    );
    let new = rotated.body["secret"].as_str().expect("text");
    let new = Secret::parse(new).expect("a secret");
    assert_ne!(old, new);
    // Which of its rounds the dispatcher is in is not known: it serves the new pair in two seconds.
    let mut both = false;
    for n in 1.. {
        agency.receives(text("hello")).await;
        let posts = receiver.posts(n).await;
        let post = &posts[n - 1];
        assert_eq!(post.verify(&old), Ok(()));
        both = post.verify(&new) == Ok(());
        if both || n == 1000 {
            break;
        }
    }
    assert!(both, "the new secret signs too");
    for path in ["/v1/webhooks", "/v1/webhooks/support"] {
        let shown = agency.get(path).await.body.to_string();
        assert!(!shown.contains("whsec_"), "{shown}");
    }
}

#[tokio::test]
async fn a_webhook_is_changed_and_removed_while_workers_run() {
    let agency = Agency::open(Engine::Sqlite, &[]).await;
    let one = Receiver::start([Script::Status(204, "")]).await;
    let two = Receiver::start([Script::Status(204, "")]).await;
    add(&agency, "support", json!({"url": one.url})).await;
    let taken = agency
        .post("/v1/webhooks", json!({"name": "support", "url": one.url}))
        .await;
    assert_eq!(taken.problem(), (409, ""));
    let first = agency.receives(text("hello")).await;
    ended(&agency, "agent.job.completed", &first).await;
    let moved = agency
        .ask(
            "PUT",
            "/v1/webhooks/support",
            json!({"url": two.url, "concurrency": 1}),
        )
        .await;
    assert_eq!(
        (moved.status, &moved.body["url"]),
        (200, &json!(two.url)),
        "{}",
        moved.body
    );
    let serving = |line: &&Value| line["message"] == "[agent] Webhook serves";
    let mut lines = agency.worker.lines();
    let again = lines.wait_for(|lines| lines.iter().filter(serving).count() == 2);
    let again = tokio::time::timeout(PATIENCE, again).await;
    drop(again.expect("in time").expect("the worker lives"));
    let second = agency.receives(text("hello")).await;
    ended(&agency, "agent.job.completed", &second).await;
    assert_eq!((one.posts(1).await.len(), two.posts(1).await.len()), (1, 1));
    let gone = agency
        .ask("DELETE", "/v1/webhooks/support", json!({}))
        .await;
    assert_eq!(gone.status, 204);
    assert_eq!(
        agency.get("/v1/webhooks/support").await.problem(),
        (404, "")
    );
    assert_eq!(
        agency
            .ask("DELETE", "/v1/webhooks/support", json!({}))
            .await
            .problem(),
        (404, "")
    );
}

#[tokio::test]
async fn a_webhook_of_the_file_serves_and_is_changed_there_alone() {
    let receiver = Receiver::start([Script::Status(204, "")]).await;
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("webhooks.toml");
    let secret = Secret::random();
    let lines = format!(
        "[[webhook]]\nname = \"support\"\nurl = \"{}\"\nsecrets = [\"{}\"]\n",
        receiver.url,
        secret.reveal()
    );
    std::fs::write(&file, lines).expect("written");
    let path = file.to_str().expect("text");
    let agency = Agency::open(Engine::Sqlite, &[("WEBHOOKS_FILE", path)]).await;
    let id = agency.receives(text("hello")).await;
    ended(&agency, "agent.job.completed", &id).await;
    assert_eq!(receiver.posts(1).await[0].verify(&secret), Ok(()));
    let shown = agency.get("/v1/webhooks").await;
    assert_eq!(
        shown.body["webhooks"][0]["source"], "file",
        "{}",
        shown.body
    );
    let url = json!({"url": receiver.url});
    let named = json!({"url": receiver.url, "name": "support"});
    for (method, path, body) in [
        ("POST", "/v1/webhooks", named),
        ("PUT", "/v1/webhooks/support", url),
        ("POST", "/v1/webhooks/support/rotate", json!({})),
        ("DELETE", "/v1/webhooks/support", json!({})),
    ] {
        let refused: Answer = agency.ask(method, path, body).await;
        assert_eq!(refused.problem(), (409, ""), "{method} {path}");
    }
}
