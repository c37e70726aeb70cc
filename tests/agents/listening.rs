//! Where a worker listens, and what it answers there.

use serde_json::json;

use super::{Agency, listening};
use crate::theatre::Engine;

#[tokio::test]
async fn a_worker_waits_for_the_port_that_its_predecessor_has() {
    let mut agency = Agency::open(Engine::Sqlite, &[]).await;
    let address = agency.base.trim_start_matches("http://").to_owned();
    let settings = &mut agency.theatre.stage.settings;
    settings.insert("HTTP_LISTEN".to_owned(), address);
    let successor = agency.theatre.stage.start("successor").expect("starts");
    agency
        .theatre
        .says(&successor, "[http] Another process listens here")
        .await;
    assert_eq!(agency.worker.terminate().await.expect("ours"), Some(0));
    assert_eq!(listening(&successor).await, agency.base);
    let answer = agency.post("/v1/jobs/claim", json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn an_address_that_this_machine_does_not_have_ends_the_start_with_its_name() {
    let agency = Agency::open(Engine::Sqlite, &[]).await;
    let mut stage = agency.theatre.stage.clone();
    // Of the block that is kept for documentation.
    let address = "192.0.2.1:8080".to_owned();
    stage.settings.insert("HTTP_LISTEN".to_owned(), address);
    let output = stage.command("other", &["run"]).output().await;
    let output = output.expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("HTTP_LISTEN is 192.0.2.1:8080"), "{said}");
}

#[tokio::test]
async fn a_process_that_only_operates_accounts_answers_probes_alone() {
    let agency = Agency::open(Engine::Sqlite, &[("AGENT_ROLE", "whatsapp")]).await;
    assert_eq!(agency.get("/readyz").await.status, 200);
    let answer = agency.post("/v1/jobs/claim", json!({})).await;
    assert_eq!(answer.problem(), (404, ""));
}
