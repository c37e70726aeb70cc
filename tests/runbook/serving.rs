//! Agents that do not get their jobs.

use serde_json::{Value, json};

use super::agent::{Shop, of_job};
use super::section::{Section, run};
use crate::agents::receiver::{Receiver, Script};
use crate::agents::{Answer, SECRET, listening};

const HERE: &str = "http://127.0.0.1:8080";

pub async fn webhook_failing(section: &mut Section) {
    let shop = Shop::open(&[]).await;
    let (stage, worker, agent) = (&shop.theatre.stage, &shop.worker, &shop.agent);
    let receiver = Receiver::start([
        Script::RetryAfter(503, 0),
        Script::Status(422, ""),
        Script::Status(204, ""),
    ])
    .await;
    let hook = json!({"name": "support", "url": receiver.url});
    assert_eq!(agent.post("/v1/webhooks", hook).await.status, 201);
    let job = shop.asks("Bob").await;
    let retried = section
        .event(worker, "agent.job.retried", of_job(&job))
        .await;
    assert_eq!(retried["errorReason"], "webhook_failed");
    let failed = section
        .event(worker, "agent.job.failed", of_job(&job))
        .await;
    assert_eq!(failed["errorReason"], "webhook_refused");
    let shown = section
        .run(stage, "jobs show", &[("JOB", &job)])
        .await
        .well();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["errorReason"], "webhook_refused");
    assert!(
        shown["errorMessage"]
            .as_str()
            .is_some_and(|said| said.contains("422")),
        "{shown}"
    );

    let words = [
        (HERE, agent.base.as_str()),
        ("NAME", "support"),
        ("URL", receiver.url.as_str()),
    ];
    let off = section
        .run(stage, r#""enabled": false"#, &words)
        .await
        .well();
    assert_eq!(answer(&off)["enabled"], json!(false));
    let posted = receiver.posts(0).await.len();
    let waits = shop.asks("Carol").await;
    let rotated = section.run(stage, "/rotate", &words[..2]).await.well();
    let rotated = answer(&rotated);
    assert!(rotated["previousSecretUntil"].is_i64() && rotated["secret"].is_string());
    assert_eq!(receiver.posts(0).await.len(), posted, "nothing is posted");
    let on = section
        .run(stage, r#""enabled": true"#, &words)
        .await
        .well();
    assert_eq!(answer(&on)["enabled"], json!(true));
    let replayed = section
        .run(stage, "jobs retry --reason webhook_refused", &[])
        .await;
    assert!(replayed.well().starts_with("1 dead letters"));
    for job in [&job, &waits] {
        section
            .event(worker, "agent.job.completed", of_job(job))
            .await;
    }
}

fn answer(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub async fn agents_are_refused(section: &mut Section) {
    let mut shop = Shop::open(&[]).await;
    let job = shop.asks("Bob").await;
    let base = shop.agent.base.clone();
    let client = reqwest::Client::new();
    let request = client.post(format!("{base}/v1/jobs/claim")).body("{}");
    let refused = Answer::of(
        request
            .bearer_auth("another")
            .send()
            .await
            .expect("an answer"),
    );
    let refused = refused.await;
    assert_eq!(refused.status, 401);
    assert!(refused.body["detail"].is_string(), "{}", refused.body);

    // Another process has the port, and the secret is changed without a gap.
    let address = base.trim_start_matches("http://").to_owned();
    let secrets = format!("a-new-secret-that-is-long-enough {SECRET}");
    let settings = &mut shop.theatre.stage.settings;
    settings.insert("HTTP_LISTEN".to_owned(), address);
    settings.insert("AGENT_SECRET".to_owned(), secrets);
    let successor = shop.theatre.stage.start("two").expect("starts");
    section.logs(&successor, "[http] Another").await;
    assert_eq!(shop.worker.terminate().await.expect("ours"), Some(0));
    assert_eq!(listening(&successor).await, base);

    let stage = &mut shop.theatre.stage;
    let ready = section.run(stage, "readyz", &[(HERE, &base)]).await.well();
    assert!(ready.contains("ready"), "{ready}");
    // An agent with the old secret, then one with the new one.
    stage
        .settings
        .insert("AGENT_SECRET".to_owned(), SECRET.to_owned());
    let claimed = section
        .run(stage, "jobs/claim", &[(HERE, &base)])
        .await
        .well();
    assert_eq!(answer(&claimed)["jobs"][0]["job"]["jobId"], job.as_str());
    let new = "a-new-secret-that-is-long-enough".to_owned();
    stage.settings.insert("AGENT_SECRET".to_owned(), new);
    let line = format!(
        r#"curl -sf -H "Authorization: Bearer $AGENT_SECRET" {base}/v1/jobs/claim --json '{{}}'"#
    );
    assert_eq!(answer(&run(stage, &line).await.well()), json!({"jobs": []}));
}
