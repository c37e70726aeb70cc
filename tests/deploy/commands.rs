use std::process::Stdio;

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{bare, free_address, run, text};
use crate::theatre::{PATIENCE, Theatre};

#[tokio::test]
async fn all_that_is_wrong_with_the_settings_is_told_at_once_for_people_and_for_programs() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut stage = bare(dir.path());
    for (name, value) in [
        ("WORKER_CAPACITY", "none"),
        ("WHATSAPP_LEASE_TTL_MS", "soon"),
        ("OUTBOX_TYPING", "perhaps"),
        ("AGENT_SECRET_FILE", "/nowhere/secret"),
    ] {
        stage.settings.insert(name.to_owned(), value.to_owned());
    }
    let output = run(&stage, &["config", "check", "--output", "json"]).await;
    assert_eq!(output.status.code(), Some(78));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["right"], false);
    assert_eq!(told["problems"].as_array().expect("a list").len(), 4);
    // A worker that does not start says as much.
    for command in [&["config", "check"][..], &["run"], &["jobs", "list"]] {
        let output = run(&stage, command).await;
        assert_eq!(output.status.code(), Some(78), "{command:?}");
        let error = text(&output.stderr);
        for name in [
            "WORKER_CAPACITY is \"none\"",
            "WHATSAPP_LEASE_TTL_MS is \"soon\"",
            "OUTBOX_TYPING is \"perhaps\"",
            "AGENT_SECRET_FILE is \"/nowhere/secret\"",
        ] {
            assert!(error.contains(name), "{command:?}: {error}");
        }
        assert!(!error.contains("AGENT_ROLE"), "{error}");
    }
    stage.settings.clear();
    let unset = ("WHATSAPP_EXTRA_CA_FILE".to_owned(), String::new());
    stage.settings.extend([unset]);
    let output = run(&stage, &["config", "check", "--output", "json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["right"], true);
}

#[tokio::test]
async fn no_setting_that_is_a_secret_is_printed_by_any_way_of_showing_settings() {
    const SECRET: &str = "whsec_bm9ib2R5IHNoYWxsIHNlZSB0aGlzIQ";
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut stage = bare(dir.path());
    let output = run(&stage, &["config", "print", "--markdown"]).await;
    let table = text(&output.stdout);
    let secrets: Vec<&str> = table
        .lines()
        .filter_map(|line| Some((line, line.split('`').nth(1)?)))
        .filter(|(line, name)| line.contains(&format!("`{name}_FILE`")))
        .map(|(_, name)| name)
        .collect();
    for name in ["WHATSAPP_AUTH_KEY", "STORE_URL", "WHATSAPP_PROXY"] {
        assert!(secrets.contains(&name), "{name}: {secrets:?}");
    }
    for name in secrets {
        let value = match name {
            "STORE_URL" => format!("postgres://worker:{SECRET}@127.0.0.1:1/whatsapp"),
            "WHATSAPP_PROXY" | "OTEL_EXPORTER_OTLP_ENDPOINT" => {
                format!("http://worker:{SECRET}@127.0.0.1:1")
            }
            _ => SECRET.to_owned(),
        };
        stage.settings.insert(name.to_owned(), value);
    }
    for command in [
        &["config", "print"][..],
        &["config", "print", "--output", "json"],
        &["config", "check"],
        &["config", "check", "--output", "json"],
        &["doctor", "--offline"],
        &["jobs", "list"],
        &["run"],
    ] {
        let output = run(&stage, command).await;
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.is_empty(), "{command:?}");
        assert!(!all.contains(SECRET), "{command:?}: {all}");
    }
}

#[tokio::test]
async fn a_healthcheck_tells_a_worker_that_serves_from_one_that_does_not() {
    let everywhere = free_address().replace("127.0.0.1", "0.0.0.0");
    let theatre = Theatre::with_settings(&[
        ("HTTP_LISTEN", &everywhere),
        ("AGENT_SECRET", "0123456789abcdef0123456789abcdef"),
    ])
    .await;
    let stage = &theatre.stage;
    let nobody = run(stage, &["healthcheck"]).await;
    assert_eq!(nobody.status.code(), Some(69));
    assert!(text(&nobody.stderr).contains("does not answer"));
    let mut worker = stage.start("one").expect("starts");
    worker
        .wait_for("whatsapp.qr.available", PATIENCE, |_| true)
        .await
        .expect("it serves");
    for arguments in [&["healthcheck"][..], &["healthcheck", "--ready"]] {
        let output = run(stage, arguments).await;
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    }
    let output = run(stage, &["healthcheck", "--output", "json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["status"], 200);
    worker.terminate().await.expect("ours");
    let gone = run(stage, &["healthcheck", "--ready"]).await;
    assert_eq!(gone.status.code(), Some(69));
    let dir = tempfile::tempdir().expect("temporary directory");
    let deaf = run(&bare(dir.path()), &["healthcheck"]).await;
    assert_eq!(deaf.status.code(), Some(78));
    assert!(text(&deaf.stderr).contains("HTTP_LISTEN"));
}

#[tokio::test]
async fn completions_and_manual_pages_tell_every_command_and_need_no_settings() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut stage = bare(dir.path());
    let wrong = ("WORKER_CAPACITY".to_owned(), "none".to_owned());
    stage.settings.extend([wrong]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&stage, &["completions", shell]).await;
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = text(&output.stdout);
        assert!(
            script.contains("healthcheck") && script.contains("accept-rollback"),
            "{shell}: {script}"
        );
    }
    let script = dir.path().join("completions.bash");
    std::fs::write(&script, run(&stage, &["completions", "bash"]).await.stdout).expect("written");
    let parsed = tokio::process::Command::new("bash")
        .arg("-n")
        .arg(&script)
        .stdin(Stdio::null())
        .status()
        .await
        .expect("bash is there");
    assert!(parsed.success());
    assert_eq!(
        run(&stage, &["completions", "tcl"]).await.status.code(),
        Some(2)
    );
    let pages = dir.path().join("man").join("man1");
    let output = run(&stage, &["man", pages.to_str().expect("text")]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for (page, example) in [
        ("whatsapp-worker.1", "doctor"),
        ("whatsapp-worker-jobs-retry.1", "webhook_refused"),
        ("whatsapp-worker-auth-keys-rotate.1", "drop"),
    ] {
        let page = pages.join(page);
        let page = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{}", page.display()));
        assert!(page.contains(".TH") && page.contains(example), "{page}");
    }
    let output = run(&stage, &["man", "/proc/nowhere"]).await;
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn each_kind_of_failure_has_its_exit_code() {
    let theatre = Theatre::open().await;
    let mut worker = theatre.linked_worker("one").await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let stage = &theatre.stage;
    let code = async |arguments: &[&str]| run(stage, arguments).await.status.code();
    assert_eq!(code(&["accounts", "list"]).await, Some(0));
    assert_eq!(code(&["jobs", "show", "none"]).await, Some(1));
    assert_eq!(code(&["jobs", "show"]).await, Some(2));
    assert_eq!(code(&["jobs", "lists"]).await, Some(2));
    let mut other = stage.clone();
    other.store_url = "postgres://worker@127.0.0.1:1/whatsapp".to_owned();
    let output = run(&other, &["jobs", "list"]).await;
    assert_eq!(output.status.code(), Some(69), "{}", text(&output.stderr));
    other.store_url = "mysql://127.0.0.1/whatsapp".to_owned();
    let output = run(&other, &["jobs", "list"]).await;
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    // The auth state was sealed with a key that is not there any more.
    let mut other = stage.clone();
    let no_key = ("WHATSAPP_AUTH_KEY".to_owned(), String::new());
    other.settings.extend([no_key]);
    let output = run(&other, &["run"]).await;
    assert_eq!(output.status.code(), Some(77), "{}", text(&output.stderr));
}

#[tokio::test]
async fn who_stops_before_it_is_done_may_try_later() {
    let theatre = Theatre::open().await;
    let mut linking = theatre
        .stage
        .command("operator", &["link", "--raw"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let output = linking.stdout.take().expect("piped");
    let mut codes = BufReader::new(output).lines();
    let code = tokio::time::timeout(PATIENCE, codes.next_line()).await;
    assert!(code.expect("in time").expect("a line").is_some());
    let pid = linking.id().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(Pid::from_raw).expect("it runs");
    rustix::process::kill_process(pid, Signal::TERM).expect("ours");
    let ended = linking.wait().await.expect("ours");
    assert_eq!(ended.code(), Some(75));
}
