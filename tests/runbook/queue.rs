//! Jobs that hang, that were given up, that must not be worked on, that failed on arrival.

use serde_json::{Value, json};

use super::agent::{Shop, of_job};
use super::section::{Section, TOLD, data, run};

const HOUR_MS: u64 = 3_600_000;

/// What `jobs show` tells.
async fn shown(section: &mut Section, shop: &Shop, job: &str) -> Value {
    let words = [("JOB", job)];
    let said = section.run(&shop.theatre.stage, "jobs show", &words).await;
    serde_json::from_str(&said.well()).expect("JSON")
}

pub async fn stuck_jobs(section: &mut Section) {
    let shop = Shop::open(&[TOLD]).await;
    let (stage, worker, agent) = (&shop.theatre.stage, &shop.worker, &shop.agent);
    // An agent that died with a short claim: its job comes back by itself.
    let short = shop.asks("Bob").await;
    agent.claim(1000).await.expect("there is work");
    section
        .event(worker, "agent.job.lease_lost", of_job(&short))
        .await;
    section
        .event(worker, "agent.job.retried", of_job(&short))
        .await;
    assert_eq!(agent.work().await.job, short);

    // One that died with a long claim.
    let stuck = shop.asks("Carol").await;
    let dead = agent.work().await;
    section
        .event(worker, "agent.job.claimed", of_job(&stuck))
        .await;
    section.no_event(worker, "agent.job.completed", of_job(&stuck));
    section.no_event(worker, "agent.job.failed", of_job(&stuck));
    let listed = section
        .data(stage, "jobs list --status processing", &[])
        .await;
    assert_eq!(listed[0]["jobId"], stuck.as_str());
    let before = shown(section, &shop, &stuck).await;
    assert!(
        before["lockedUntil"].as_i64() > before["startedAt"].as_i64(),
        "{before}"
    );
    let queues = section.data(stage, "jobs queues", &[]).await;
    assert_eq!(queues[0]["processing"], 2);
    assert!(queues[0]["oldestAgeMs"].as_i64() > Some(0), "{queues}");
    let oldest = r#"wa_job_oldest_seconds{account="default"}"#;
    section.metric(worker, oldest, |v| v >= 0.01).await;

    let retry = section.run(stage, "jobs retry", &[("JOB", &stuck)]).await;
    assert!(retry.well().contains("waits for an agent"));
    assert_eq!(agent.complete(&dead).await, 409, "the old agent is refused");
    let claim = agent.work().await;
    assert_eq!((&claim.job, agent.complete(&claim).await), (&stuck, 200));

    // Jobs that nobody shall work on: the conversation behind them goes on.
    for (begin, dead) in [("jobs fail", true), ("jobs cancel", false)] {
        let person = shop.theatre.sim.add_person(begin);
        let poison = shop.job_of(&shop.write(&person, "first")).await;
        assert_eq!(
            agent.claim(HOUR_MS).await.expect("there is work").job,
            poison
        );
        let behind = shop.job_of(&shop.write(&person, "second")).await;
        assert!(
            agent.claim(HOUR_MS).await.is_none(),
            "its conversation waits"
        );
        section.run(stage, begin, &[("JOB", &poison)]).await.well();
        let next = agent.work().await;
        assert_eq!((&next.job, agent.complete(&next).await), (&behind, 200));
        let listed = run(stage, "whatsapp-worker jobs discarded").await.well();
        assert_eq!(listed.contains(&poison), dead, "{listed}");
    }

    // Nothing is claimed at all.
    let waits = shop.asks("Dora").await;
    for pause in ["default", "--all"] {
        run(stage, &format!("whatsapp-worker accounts pause {pause}"))
            .await
            .well();
    }
    assert!(agent.claim(HOUR_MS).await.is_none());
    let list = section.run(stage, "accounts list", &[]).await;
    assert!(list.err.contains("Everything is paused"), "{}", list.err);
    let paused = data(stage, "whatsapp-worker accounts list").await;
    assert_eq!(paused[0]["paused"], json!(true));
    section
        .run(stage, "accounts resume default", &[])
        .await
        .well();
    assert!(
        agent.claim(HOUR_MS).await.is_none(),
        "everything is still paused"
    );
    section
        .run(stage, "accounts resume --all", &[])
        .await
        .well();
    assert_eq!(agent.work().await.job, waits);

    section
        .event(worker, "agent.job.completed", of_job(&stuck))
        .await;
    assert_eq!(shown(section, &shop, &stuck).await["status"], "completed");
}

pub async fn dead_letters(section: &mut Section) {
    let shop = Shop::open(&[TOLD]).await;
    let (stage, worker, agent) = (&shop.theatre.stage, &shop.worker, &shop.agent);
    let mut dead = Vec::new();
    for (name, reason) in [
        ("Bob", "agent_error"),
        ("Carol", "rate_limit"),
        ("Dora", "server_error"),
        ("Emil", "authentication"),
        ("Fred", "authentication"),
    ] {
        let job = shop.asks(name).await;
        agent.fail(&agent.work().await, reason).await;
        let failed = section
            .event(worker, "agent.job.failed", of_job(&job))
            .await;
        assert_eq!(failed["errorReason"], reason);
        dead.push(job);
    }
    let counted = r#"wa_jobs{account="default",status="dead"}"#;
    section.metric(worker, counted, |v| v >= 1.0).await;
    let listed = section.run(stage, "jobs discarded", &[]).await.well();
    assert!(
        listed.contains("rate_limit") && listed.contains("no idea"),
        "{listed}"
    );

    let replayed = async |said: String, jobs: &[String]| {
        assert!(
            said.contains("waits") || said.starts_with(&jobs.len().to_string()),
            "{said}"
        );
        let mut done = Vec::new();
        for _ in jobs {
            let claim = agent.work().await;
            assert_eq!(agent.complete(&claim).await, 200);
            done.push(claim.job);
        }
        done.sort();
        assert_eq!(done, jobs);
    };
    let said = section
        .run(stage, "jobs retry JOB", &[("JOB", &dead[0])])
        .await;
    replayed(said.well(), &dead[..1]).await;
    let said = section
        .run(stage, "jobs retry --reason rate_limit", &[])
        .await;
    replayed(said.well(), &dead[1..2]).await;
    // One is taken out before the rest is replayed.
    let said = section
        .run(stage, "jobs discard JOB", &[("JOB", &dead[2])])
        .await;
    assert!(said.well().contains("is discarded"));
    let said = section.run(stage, "jobs retry --all", &[]).await;
    assert!(said.well().starts_with("2 dead letters"));

    let claim = agent.work().await;
    agent.fail(&claim, "authentication").await;
    let said = section.run(stage, "jobs discard --all", &[]).await;
    assert!(said.well().starts_with("1 dead letters"));
    let listed = section.data(stage, "jobs discarded", &[]).await;
    assert_eq!(listed["jobs"], json!([]));
    section
        .event(worker, "agent.job.completed", of_job(&dead[1]))
        .await;

    let other = dead[3..]
        .iter()
        .find(|job| **job != claim.job)
        .expect("it waits");
    let said = section.run(stage, "jobs cancel", &[("JOB", other)]).await;
    assert!(said.well().contains("is cancelled"));
    assert!(agent.claim(HOUR_MS).await.is_none());
    let gone = shown(section, &shop, &dead[2]).await;
    assert_eq!(
        (&gone["status"], &gone["content"]["body"]),
        (&json!("failed"), &json!("hello"))
    );
}

pub async fn stopping_everything(section: &mut Section) {
    let shop = Shop::open(&[]).await;
    let (stage, worker, agent) = (&shop.theatre.stage, &shop.worker, &shop.agent);
    shop.asks("Bob").await;
    let claim = agent.work().await;
    run(stage, "whatsapp-worker accounts add second")
        .await
        .well();
    run(stage, "whatsapp-worker accounts pause second")
        .await
        .well();
    section.run(stage, "accounts pause --all", &[]).await.well();
    // Receiving goes on, what is claimed may be completed, and nothing leaves.
    let waits = shop.asks("Carol").await;
    let reply = json!({"claimToken": claim.token, "replies":
        [{"content": {"type": "text", "body": "nonsense"}}]});
    let done = agent
        .post(&format!("/v1/jobs/{}/complete", claim.job), reply)
        .await;
    assert_eq!(done.status, 200, "{}", done.body);
    let list = section.run(stage, "accounts list", &[]).await;
    assert!(list.err.contains("Everything is paused"), "{}", list.err);
    assert!(agent.claim(HOUR_MS).await.is_none());
    section.no_event(worker, "agent.job.claimed", of_job(&waits));
    assert_eq!(worker.count("whatsapp.outbound.sent"), 0);

    section
        .run(stage, "accounts resume --all", &[])
        .await
        .well();
    assert_eq!(agent.work().await.job, waits);
    let sent = worker.wait_for("whatsapp.outbound.sent", crate::theatre::PATIENCE, |_| true);
    sent.await.expect("the reply leaves now");
    let list = data(stage, "whatsapp-worker accounts list").await;
    let paused: Vec<(&Value, &Value)> = list
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (&row["accountId"], &row["paused"]))
        .collect();
    let (first, second) = (json!("default"), json!("second"));
    assert_eq!(paused, [(&first, &json!(false)), (&second, &json!(true))]);
}
