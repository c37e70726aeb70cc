//! The auth commands as an operator uses them, beside real workers.

use std::path::Path;

use auth_store::{AccountName, LocalMedium, RecordStore};
use serde_json::Value;
use whatsapp_worker::rehearsal::Stage;
use whatsapp_worker::store::{Engine, Store, StoreOptions};

use super::{LOCAL, elsewhere, event, scan, stop};
use crate::theatre::{Theatre, on_each_engine};

const PASSPHRASE: &str = "a long enough passphrase\n";

/// What a command said: its exit code, its data, its chatter.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn say(stage: &Stage, arguments: &[&str]) -> Said {
    let said = stage.command("operator", arguments).output();
    let said = said.await.expect("runs");
    Said {
        code: said.status.code(),
        out: String::from_utf8_lossy(&said.stdout).into_owned(),
        err: String::from_utf8_lossy(&said.stderr).into_owned(),
    }
}

async fn done(stage: &Stage, arguments: &[&str]) -> String {
    let said = say(stage, arguments).await;
    assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
    said.out
}

async fn refuse(stage: &Stage, arguments: &[&str], code: i32, part: &str) {
    let said = say(stage, arguments).await;
    assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
    assert!(
        said.err.contains(part),
        "{arguments:?}: no {part:?} in {}",
        said.err
    );
}

async fn json(stage: &Stage, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    serde_json::from_str(&done(stage, &arguments).await).expect("JSON")
}

fn written(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("writable");
    path.display().to_string()
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test]
async fn an_exported_account_goes_on_elsewhere_without_a_new_link() {
    let theatre = Theatre::open().await;
    let here = &theatre.stage;
    let passphrase = written(&here.dir, "passphrase", PASSPHRASE);
    let wrong = written(&here.dir, "wrong", "another long passphrase\n");
    let bundle = here.dir.join("shop.bundle");
    let export = [
        "auth",
        "export",
        "--out",
        shown(&bundle),
        "--passphrase-file",
    ];
    let export = [&export[..], &[&passphrase]].concat();

    let worker = theatre.linked_worker("one").await;
    theatre.jobs_of(&[theatre.text("here")]).await;
    stop(worker).await;
    done(here, &["accounts", "disable", "default"]).await;
    done(here, &export).await;
    refuse(here, &export, 1, "exists already").await;
    let sealed = std::fs::read(&bundle).expect("written");
    let number = theatre.shop.jid().user.to_string();
    let holds = |text: &str| {
        sealed
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(!holds(&number) && !holds("session"), "it is sealed whole");

    let there = elsewhere(&theatre, "there");
    let store = theatre.stage.dir.join("there.db");
    let there = Stage {
        store_url: format!("sqlite:{}", store.display()),
        ..there
    };
    let import = |passphrase: &str, more: &[&str]| {
        let given = [
            "auth",
            "import",
            shown(&bundle),
            "--passphrase-file",
            passphrase,
        ];
        [&given[..], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = async |line: Vec<String>| {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        say(&there, &line).await
    };
    let said = run(import(&wrong, &[])).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("the passphrase is wrong"), "{}", said.err);
    let said = run(import(&passphrase, &[])).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let worker = there.start("two").expect("starts");
    theatre.connected(&worker, 1).await;
    theatre.text("there");
    event(&worker, "whatsapp.inbound.queued").await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
    stop(worker).await;

    // It was used since, and nothing here can compare: the same bundle may be an older copy.
    let said = run(import(&passphrase, &["--yes"])).await;
    assert_eq!(said.code, Some(77), "{}", said.err);
    assert!(said.err.contains("this very device"), "{}", said.err);
    let said = run(import(&passphrase, &["--account", "second"])).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("account 'default'"), "{}", said.err);
    // What was asked about the credentials before is not done to these.
    done(&there, &["auth", "clear", "--yes"]).await;
    let said = run(import(&passphrase, &["--yes", "--accept-rollback"])).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let worker = there.start("two").expect("starts");
    theatre.connected(&worker, 1).await;
    theatre.text("there again");
    event(&worker, "whatsapp.inbound.queued").await;
    assert_eq!(worker.count("whatsapp.auth.reset"), 0);
    stop(worker).await;
    assert_eq!(theatre.sim.lint(), [], "no counter was used twice");

    let here_again = [
        "auth",
        "import",
        shown(&bundle),
        "--passphrase-file",
        &passphrase,
        "--yes",
    ];
    done(here, &["accounts", "enable", "default"]).await;
    let store = Store::open(theatre.store_url(), StoreOptions::default()).await;
    let known = store.expect("opens").account(&theatre.account).await;
    assert!(known.expect("answers").expect("there").linked_at.is_some());
    done(here, &here_again).await;
    let kept = json(here, &["auth", "quarantine", "list", "default"]).await;
    assert_eq!(kept[0]["reason"], "replaced by an import");
    refuse(here, &here_again, 77, "--accept-rollback").await;
    done(here, &[&here_again[..], &["--accept-rollback"]].concat()).await;
}

on_each_engine!(an_auth_state_moves_to_the_shared_store_and_back_without_a_new_link);

async fn an_auth_state_moves_to_the_shared_store_and_back_without_a_new_link(engine: Engine) {
    let theatre = Theatre::open_on(engine, &[LOCAL]).await;
    theatre.check_receipts().await;
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    let mut ids = vec![theatre.text("on the disk")];
    theatre.jobs_of(&ids).await;
    let before = json(stage, &["auth", "status"]).await;
    for (n, (to, place)) in [("remote", "remote: the shared store"), ("local", "local: ")]
        .into_iter()
        .enumerate()
    {
        done(stage, &["auth", "migrate", "--to", to]).await;
        theatre.connected(&worker, n + 2).await;
        ids.push(theatre.text(to));
        theatre.jobs_of(&ids).await;
        let status = json(stage, &["auth", "status"]).await;
        let medium = status["medium"].as_str().expect("text");
        assert!(medium.starts_with(place), "{medium}");
        for same in ["number", "generation", "keyId", "since"] {
            assert_eq!(status[same], before[same], "{same}");
        }
        assert!(status["writes"].as_u64() >= before["writes"].as_u64());
        let file = stage.auth_dir().join("default").join("auth.db");
        if to == "remote" {
            assert!(!file.exists(), "it went");
            // As a move that was cut short leaves it.
            let kept = std::fs::read_dir(file.parent().expect("a directory")).expect("there");
            let kept = kept
                .map(|entry| entry.expect("readable").path())
                .find(|path| path.display().to_string().contains("auth.db."))
                .expect("it is kept");
            std::fs::copy(kept, &file).expect("writable");
        }
        let again = done(stage, &["auth", "migrate", "--to", to]).await;
        assert!(again.contains("already"), "{again}");
        assert_eq!(again.contains("is kept as"), to == "remote", "{again}");
        assert_eq!(file.exists(), to == "local");
    }
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 1, "that of the link");
    let verified = json(stage, &["auth", "keys", "verify"]).await;
    assert_eq!(verified[0]["outcome"], "whole");
    assert!(json(stage, &["auth", "status"]).await["lastVerified"].is_string());
}

#[tokio::test]
async fn a_key_is_rotated_under_a_running_worker() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_AUTH_KEY", "")]).await;
    let stage = &theatre.stage;
    let mut worker = theatre.linked_worker("one").await;
    let before = json(stage, &["auth", "keys", "list"]).await;
    assert_eq!(before[0]["key"], before[0]["newest"]);
    done(stage, &["auth", "keys", "rotate", "--drop-old"]).await;
    theatre.connected(&worker, 2).await;
    let after = json(stage, &["auth", "keys", "list"]).await;
    assert_eq!(after[0]["key"], after[0]["newest"]);
    assert_ne!(after[0]["key"], before[0]["key"]);
    let file = stage.auth_dir().join("auth.key");
    let keys = std::fs::read_to_string(&file).expect("there");
    assert_eq!(keys.lines().count(), 1, "the old key is gone");
    // A state that is away for the moment may need any key.
    let (state, away) = (
        stage.auth_dir().join("default"),
        stage.auth_dir().join("away"),
    );
    worker.kill().await.expect("ours");
    std::fs::rename(&state, &away).expect("moves");
    let said = say(stage, &["auth", "keys", "rotate", "--drop-old"]).await;
    assert!(said.err.contains("No key is dropped"), "{}", said.err);
    std::fs::rename(&away, &state).expect("moves");
    let keys = std::fs::read_to_string(&file).expect("there");
    assert_eq!(keys.lines().count(), 2, "the old key is kept");
    let worker = stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    theatre.jobs_of(&[theatre.text("under the new key")]).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
    stop(worker).await;

    std::fs::write(&file, format!("{}\n", "ab".repeat(32))).expect("writable");
    refuse(stage, &["auth", "status"], 77, "is sealed with key").await;
    refuse(
        stage,
        &["auth", "keys", "verify"],
        77,
        "could not be verified",
    )
    .await;
    std::fs::write(&file, keys).expect("writable");
    done(stage, &["auth", "keys", "verify"]).await;
}

#[tokio::test]
async fn cleared_credentials_are_kept_until_they_are_pruned() {
    let theatre = Theatre::open().await;
    let stage = &theatre.stage;
    refuse(stage, &["auth", "status"], 78, "there is no store").await;
    let worker = theatre.linked_worker("one").await;
    done(stage, &["auth", "clear", "--yes"]).await;
    let kept = json(stage, &["auth", "quarantine", "list"]).await;
    assert_eq!(kept[0]["reason"], "cleared by operator");
    scan(&theatre, &theatre.shop).await;
    theatre.connected(&worker, 2).await;
    theatre.jobs_of(&[theatre.text("linked again")]).await;
    let name = AccountName::new(theatre.account.as_str()).expect("valid");
    let first = async || {
        let seen = LocalMedium::view(&stage.auth_dir(), &name).await;
        let seen = seen.expect("readable").expect("there");
        seen.count("g1/").await.expect("answers")
    };
    assert!(first().await > 0, "the first link's records are kept");
    done(stage, &["auth", "quarantine", "prune", "--yes"]).await;
    let kept = json(stage, &["auth", "quarantine", "list"]).await;
    assert_eq!(kept.as_array().map(Vec::len), Some(1), "it is not old yet");
    theatre.connected(&worker, 3).await;
    let prune = [
        "auth",
        "quarantine",
        "prune",
        "--yes",
        "--older-than-days",
        "0",
    ];
    done(stage, &prune).await;
    let kept = json(stage, &["auth", "quarantine", "list"]).await;
    assert_eq!(kept.as_array().map(Vec::len), Some(0));
    assert_eq!(first().await, 0, "nothing of it is left");
    let seen = json(stage, &["auth", "keys", "verify"]).await;
    assert_eq!(seen[0]["outcome"], "whole");
    theatre.connected(&worker, 4).await;
    theatre.jobs_of(&[theatre.text("after the pruning")]).await;
}

#[tokio::test]
async fn what_cannot_be_imported_is_refused_and_changes_nothing() {
    let theatre = Theatre::open().await;
    let stage = &theatre.stage;
    let passphrase = written(&stage.dir, "passphrase", PASSPHRASE);
    let short = written(&stage.dir, "short", "short\n");
    let garbage = written(&stage.dir, "garbage", "this is no bundle");
    let worker = theatre.linked_worker("one").await;
    let before = json(stage, &["auth", "status"]).await;
    for (line, code, part) in [
        (
            vec![
                "auth",
                "import",
                "nowhere",
                "--passphrase-file",
                &passphrase,
            ],
            1,
            "nowhere",
        ),
        (
            vec!["auth", "import", &garbage, "--passphrase-file", &short],
            1,
            "too short",
        ),
        (
            vec!["auth", "import", &garbage, "--passphrase-file", &passphrase],
            1,
            "no auth bundle",
        ),
        (vec!["auth", "import", &garbage], 1, "--passphrase-file"),
        (
            vec!["auth", "import", "--baileys", "nowhere"],
            1,
            "--baileys nowhere: the folder: No such file",
        ),
        (vec!["auth", "import"], 2, "--baileys"),
        (vec!["auth", "status", "nobody"], 1, "there is no account"),
        (vec!["auth", "migrate", "--to", "elsewhere"], 2, "remote"),
    ] {
        refuse(stage, &line, code, part).await;
    }
    let after = json(stage, &["auth", "status"]).await;
    assert_eq!(after["generation"], before["generation"]);
    assert_eq!(worker.count("whatsapp.connection.established"), 1);
}
