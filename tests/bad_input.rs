//! What is wrong is named, with the fix, and nothing is half done.

use std::process::Output;

use crate::theatre::{PATIENCE, Theatre, binary};

async fn run(settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("temporary directory");
    tokio::process::Command::new(binary())
        .args(arguments)
        .current_dir(dir.path())
        .env_clear()
        .envs(settings.iter().copied())
        .output()
        .await
        .expect("runs")
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_wrong_setting_names_itself_its_value_and_the_fix_and_exits_78() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "WHATSAPP_LEASE_TTL_MS",
            "soon",
            "whole number of milliseconds",
        ),
        ("WHATSAPP_LEASE_TTL_MS", "10", "between 1000 and 300000"),
        (
            "WHATSAPP_HEARTBEAT_MS",
            "50000",
            "at most a third of the TTL",
        ),
        ("WHATSAPP_ACCOUNT_ID", "../etc", "1 to 64 of a-z"),
        ("WHATSAPP_AUTH_MODE", "remote", "openssl rand -hex 32"),
        ("WHATSAPP_AUTH_MODE", "convex", "openssl rand -hex 32"),
        ("WHATSAPP_AUTH_MODE", "sealed", "use local or remote"),
        ("AGENT_ROLE", "agents", "whatsapp, agent or all"),
        ("HTTP_LISTEN", "8080", "127.0.0.1:8080"),
        ("HTTP_LISTEN", "0.0.0.0:8080", "ADMIN_API_TOKEN"),
        ("HTTP_LISTEN", "[::]:8080", "AGENT_SECRET"),
        ("ADMIN_API_TOKEN", "hunter2", "at least 16 characters"),
        ("ADMIN_READ_TOKEN", "hunter2", "at least 16 characters"),
        ("AGENT_SECRET", "hunter2", "at least 16 characters"),
        ("AGENT_SECRET", "whsec_hunter2", "base64"),
        ("WEBHOOKS_FILE", "/nowhere.toml", "cannot be read"),
        ("AGENT_LOCK_MS", "10", "1000 to 86400000"),
        ("AGENT_MAX_RETRIES", "many", "from 0 to 20"),
        ("MESSAGE_RETENTION_DAYS", "0", "from 1 to 3650"),
        ("WHATSAPP_GROUPS", "some", "mention"),
        (
            "WHATSAPP_ALLOW",
            "bob",
            "neither a phone number nor an address",
        ),
        ("WHATSAPP_WS_URL", "http://example.org", "WHATSAPP_WS_URL"),
        ("WHATSAPP_WS_URL", "ws://example.org/ws", "loopback"),
        (
            "WHATSAPP_WS_URL",
            "wss://web.whatsapp.com/ws/chat",
            "simulator",
        ),
        ("WHATSAPP_PHONE", "call me", "country code"),
        ("WHATSAPP_CLIENT_VERSION", "latest", "three numbers"),
        ("STORE_URL", "postgres://localhost", "names no database"),
        ("WHATSAPP_AUTH_KEY", "abc", "64 hex digits"),
        ("WHATSAPP_EXTRA_CA_FILE", "/nowhere.pem", "cannot be read"),
        ("WORKER_ID", "a b", "1 to 64"),
        ("WORKER_CAPACITY", "0", "from 1 to 100000"),
        ("WORKER_CAPACITY", "many", "from 1 to 100000"),
    ];
    for (name, value, fix) in cases {
        let simulated = ("WHATSAPP_WS_URL", "ws://127.0.0.1:1/ws");
        let output = run(&[simulated, (name, value)], &["config", "check"]).await;
        let text = error(&output);
        assert_eq!(output.status.code(), Some(78), "{name}={value}: {text}");
        assert!(
            text.contains(name) && text.contains(fix),
            "{name}={value}: {text}"
        );
    }
}

#[tokio::test]
async fn two_listeners_have_two_addresses() {
    let both = |metrics| {
        [
            ("WHATSAPP_WS_URL", "ws://127.0.0.1:1/ws"),
            ("HTTP_LISTEN", "127.0.0.1:8080"),
            ("METRICS_LISTEN", metrics),
        ]
    };
    for same in ["127.0.0.1:8080", "0.0.0.0:8080", "[::]:8080"] {
        let output = run(&both(same), &["config", "check"]).await;
        assert_eq!(output.status.code(), Some(78), "{}", error(&output));
        let why = error(&output);
        assert!(why.contains("another port"), "{why}");
    }
    for other in ["127.0.0.1:9464", "127.0.0.2:8080"] {
        let output = run(&both(other), &["config", "check"]).await;
        assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    }
}

#[tokio::test]
async fn the_settings_are_printed_with_their_origin_and_without_secrets() {
    let settings = [
        ("WHATSAPP_WS_URL", "ws://127.0.0.1:1/ws"),
        ("WHATSAPP_AUTH_KEY", "s3cret"),
        ("WHATSAPP_LEASE_TLL_MS", "1"),
    ];
    let output = run(&settings, &["config", "print", "--output", "json"]).await;
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!text.contains("s3cret"), "{text}");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let url = rows
        .iter()
        .find(|row| row["setting"] == "WHATSAPP_WS_URL")
        .expect("listed");
    assert_eq!(url["origin"], "environment");
    let output = run(&settings[..1], &["config", "check"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let output = run(&[settings[0], settings[2]], &["config", "check"]).await;
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("WHATSAPP_LEASE_TLL_MS"), "{text}");
}

#[tokio::test]
async fn a_damaged_auth_file_is_named_kept_and_never_replaced_by_new_credentials() {
    let theatre = Theatre::open().await;
    let mut worker = theatre.linked_worker("one").await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let file = theatre.stage.auth_dir().join("default").join("auth.db");
    let mut bytes = std::fs::read(&file).expect("the file is where the docs say");
    for byte in bytes.iter_mut().skip(4096) {
        *byte ^= 0x5a;
    }
    std::fs::write(&file, &bytes).expect("writes");
    let worker = theatre.stage.start("one").expect("starts");
    let told = worker
        .wait_for("whatsapp.session.error", PATIENCE, |_| true)
        .await
        .expect("it says so");
    let message = told["message"].as_str().expect("text");
    assert!(message.contains("auth"), "{message}");
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
    assert_eq!(worker.count("whatsapp.connection.established"), 0);
}

#[tokio::test]
async fn the_auth_state_of_another_store_is_refused() {
    let mut theatre = Theatre::open().await;
    let mut worker = theatre.linked_worker("one").await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let other = format!("sqlite:{}", theatre.stage.dir.join("other.db").display());
    theatre.stage.settings.insert("STORE_URL".to_owned(), other);
    let worker = theatre.stage.start("two").expect("starts");
    let told = worker
        .wait_for("whatsapp.session.error", PATIENCE, |_| true)
        .await
        .expect("it says so");
    let message = told["message"].as_str().expect("text");
    assert!(message.contains("belongs to store"), "{message}");
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
}

#[tokio::test]
async fn a_lost_key_is_named_and_no_new_one_is_made() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_AUTH_KEY", "")]).await;
    let mut worker = theatre.linked_worker("one").await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let key = theatre.stage.auth_dir().join("auth.key");
    std::fs::remove_file(&key).expect("removes");
    let output = theatre
        .stage
        .command("one", &["run"])
        .output()
        .await
        .expect("runs");
    assert_eq!(output.status.code(), Some(77), "{}", error(&output));
    assert!(error(&output).contains("auth.key"), "{}", error(&output));
    assert!(!key.exists());
}

#[tokio::test]
async fn a_linked_account_without_its_auth_file_gets_no_new_credentials_unless_told() {
    let theatre = Theatre::open().await;
    let mut worker = theatre.linked_worker("one").await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    std::fs::remove_dir_all(theatre.stage.auth_dir().join("default")).expect("removes");
    let mut worker = theatre.stage.start("one").expect("starts");
    let told = worker
        .wait_for("whatsapp.session.error", PATIENCE, |_| true)
        .await
        .expect("it says so");
    let message = told["message"].as_str().expect("text");
    assert!(
        message.contains("auth.db is not there") && message.contains("--again"),
        "{message}"
    );
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let shown = theatre
        .stage
        .command("operator", &["link", "--again", "--raw", "--once"])
        .output()
        .await
        .expect("runs");
    assert_eq!(shown.status.code(), Some(0), "{}", error(&shown));
    theatre
        .shop
        .scan_qr(String::from_utf8_lossy(&shown.stdout).trim())
        .await
        .expect_err("`--once` ended the connection that the code was for");
}

#[tokio::test]
async fn commands_that_only_look_make_no_store_and_know_no_unknown_account() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let url = format!(
        "sqlite:{}",
        dir.path().join("none").join("store.db").display()
    );
    let settings = [
        ("WHATSAPP_WS_URL", "ws://127.0.0.1:1/ws"),
        ("STORE_URL", url.as_str()),
    ];
    for command in [
        &["jobs", "list"][..],
        &["lease", "list"],
        &["accounts", "list"],
    ] {
        let output = run(&settings, command).await;
        assert_eq!(output.status.code(), Some(78), "{command:?}");
        assert!(
            error(&output).contains("there is no store at"),
            "{}",
            error(&output)
        );
    }
    assert!(!dir.path().join("none").exists());
    let output = run(&settings, &["accounts", "add", "shop"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let output = run(&settings, &["jobs", "list", "--account", "typo"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error(&output).contains("there is no account 'typo'"),
        "{}",
        error(&output)
    );
}
