use serde_json::Value;
use tokio::io::AsyncReadExt;
use whatsapp_worker::rehearsal::Stage;

use super::{bare, run, text};
use crate::theatre::Theatre;

/// What doctor says under `stage`, and its exit code.
async fn examine(stage: &Stage) -> (Vec<Value>, Option<i32>) {
    let output = run(stage, &["doctor", "--output", "json"]).await;
    let findings = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (findings, output.status.code())
}

fn verdict<'a>(findings: &'a [Value], check: &str) -> &'a str {
    let finding = findings.iter().find(|finding| finding["check"] == check);
    finding.unwrap_or_else(|| panic!("{check}: {findings:?}"))["verdict"]
        .as_str()
        .expect("text")
}

/// What failed, and what it says to do.
fn failures(findings: &[Value]) -> Vec<(&str, &str)> {
    findings
        .iter()
        .filter(|finding| finding["verdict"] == "FAILED")
        .map(|finding| {
            let cure = finding["whatToDo"].as_str().expect("a cure");
            (finding["check"].as_str().expect("text"), cure)
        })
        .collect()
}

#[tokio::test]
async fn everything_that_a_worker_needs_is_looked_at_one_by_one() {
    let theatre = Theatre::open().await;
    let (findings, code) = examine(&theatre.stage).await;
    assert_eq!(code, Some(0), "{findings:?}");
    // Looking makes no store.
    assert_eq!(verdict(&findings, "store"), "-");
    assert!(!theatre.stage.dir.join("store.db").exists());
    let output = run(&theatre.stage, &["accounts", "add", "shop"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (findings, code) = examine(&theatre.stage).await;
    assert_eq!(code, Some(0), "{findings:?}");
    for check in [
        "settings",
        "auth key",
        "disk of auth state",
        "store",
        "schema",
        "clock",
        "disk of the store",
        "dns",
        "tcp",
        "websocket",
        "client version",
    ] {
        assert_eq!(verdict(&findings, check), "ok", "{check}");
    }
}

#[tokio::test]
async fn each_stage_of_the_way_to_whatsapp_fails_by_itself_with_a_cure() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut stage = bare(dir.path());
    let (findings, code) = examine(&stage).await;
    assert_eq!(code, Some(1));
    let failed = failures(&findings);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].0 == "tcp" && failed[0].1.contains("WHATSAPP_PROXY"));
    assert_eq!(verdict(&findings, "websocket"), "-");

    stage.ws_url = "wss://nowhere.invalid/ws".to_owned();
    let (findings, _) = examine(&stage).await;
    let failed = failures(&findings);
    assert!(
        failed[0].0 == "dns" && failed[0].1.contains("resolv.conf"),
        "{failed:?}"
    );

    // Whatever it is told, it says the same, which is neither TLS nor a proxy's answer.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback has free ports");
    let address = listener.local_addr().expect("bound");
    let parrot = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 64];
            let _ = stream.read(&mut bytes).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 hello\r\n").await;
        }
    });
    stage.ws_url = format!("wss://{address}/ws");
    let (findings, _) = examine(&stage).await;
    assert_eq!(verdict(&findings, "tcp"), "ok");
    assert_eq!(verdict(&findings, "tls"), "FAILED", "{findings:?}");
    stage.ws_url = format!("ws://{address}/ws");
    let (findings, _) = examine(&stage).await;
    assert_eq!(verdict(&findings, "tcp"), "ok");
    assert_eq!(verdict(&findings, "websocket"), "FAILED", "{findings:?}");
    let proxy = ("WHATSAPP_PROXY".to_owned(), format!("http://{address}"));
    stage.settings.extend([proxy]);
    let (findings, _) = examine(&stage).await;
    let failed = failures(&findings);
    assert!(
        failed[0].0 == "proxy" && failed[0].1.contains("WHATSAPP_PROXY"),
        "{failed:?}"
    );
    parrot.abort();
}

#[tokio::test]
async fn a_store_that_does_not_answer_and_a_key_that_is_gone_are_named_with_a_cure() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut stage = bare(dir.path());
    stage.store_url = "postgres://worker:hidden@127.0.0.1:1/whatsapp".to_owned();
    let (findings, code) = examine(&stage).await;
    assert_eq!(code, Some(1));
    let failed = failures(&findings);
    assert!(
        failed[0].0 == "store" && failed[0].1.contains("STORE_URL"),
        "{failed:?}"
    );
    assert!(!format!("{findings:?}").contains("hidden"));

    // Nothing but settings is looked at before they are right, all of them.
    for (name, value) in [("WORKER_CAPACITY", "0"), ("AGENT_ROLE", "none")] {
        stage.settings.insert(name.to_owned(), value.to_owned());
    }
    let (findings, code) = examine(&stage).await;
    assert_eq!(code, Some(1));
    assert_eq!(failures(&findings).len(), 2, "{findings:?}");
    assert_eq!(findings.len(), 2, "{findings:?}");
}
