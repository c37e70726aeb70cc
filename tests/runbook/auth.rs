//! Auth states that cannot be used, are older copies, belong to another number or another machine.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::Connection;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use whatsapp_worker::ids::mask;
use whatsapp_worker::rehearsal::{Stage, Worker};

use super::section::{Section, TOLD, data, ended, in_state, run, spawn};
use crate::auth::older_copies::{Copy, both_ways};
use crate::auth::{REMOTE, elsewhere, refused, scan, sql, status, stop};
use crate::theatre::{PATIENCE, Theatre};

/// A worker that has no key for what is there ends, and so does a command.
const NO_KEY: i32 = 77;

/// A linked account whose worker is stopped, with the auth directory where the runbook has it.
async fn at_rest(settings: &[(&str, &str)]) -> Theatre {
    let mut theatre = Theatre::with_settings(settings).await;
    let dir = theatre.stage.dir.join(".whatsapp-auth");
    let dir = ("WHATSAPP_AUTH_DIR".to_owned(), dir.display().to_string());
    theatre.stage.settings.extend([dir]);
    stop(theatre.linked_worker("one").await).await;
    theatre
}

/// The same place with one more setting.
fn with(stage: &Stage, name: &str, value: &str) -> Stage {
    let mut stage = stage.clone();
    let setting = (name.to_owned(), value.to_owned());
    stage.settings.extend([setting]);
    stage
}

/// A worker of `stage` does not use the state, says the quoted words, and makes no code.
async fn unusable(section: &mut Section, stage: &Stage, says: &str) -> Worker {
    let worker = stage.start("one").expect("starts");
    let event = "whatsapp.session.error";
    section.event(&worker, event, |_| true).await;
    section.quotes(&refused(&worker).await, says);
    worker
}

fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).expect("it is where the docs say");
    bytes[4096..].fill(0x5a);
    std::fs::write(file, bytes).expect("writable");
}

/// Does something to an auth file past its worker.
async fn tamper(file: &Path, change: &'static str) {
    let url = format!("sqlite:{}", file.display());
    let connection = sqlx::SqliteConnection::connect(&url).await;
    let mut connection = connection.expect("opens");
    let done = sqlx::query(change).execute(&mut connection).await;
    assert_eq!(done.expect("writes").rows_affected(), 1);
    connection.close().await.expect("closes");
}

/// Every row of the section's table that a local state shows.
async fn refuse_what_is_on_the_disk(section: &mut Section, theatre: &Theatre, dir: &Path) {
    let stage = &theatre.stage;
    let (state, away) = (dir.join("default"), dir.join("away"));
    let file = state.join("auth.db");

    let missing = stage.dir.join("kept.key");
    std::fs::rename(dir.join("auth.key"), &missing).expect("ours");
    let begins = "the key file …";
    let command = section.run(stage, "auth status default", &[]).await;
    section.quotes(&command.ended(NO_KEY), begins);
    let worker = run(stage, "whatsapp-worker run").await;
    section.quotes(&worker.ended(NO_KEY), begins);
    std::fs::rename(&missing, dir.join("auth.key")).expect("ours");

    let key = std::fs::read(dir.join("auth.key")).expect("readable");
    std::fs::write(dir.join("auth.key"), "ab".repeat(32)).expect("writable");
    stop(unusable(section, stage, "is sealed with key").await).await;
    std::fs::write(dir.join("auth.key"), key).expect("writable");
    let mut other_store = stage.clone();
    other_store.store_url = format!("sqlite:{}", stage.dir.join("other.db").display());
    stop(unusable(section, &other_store, "belongs to store").await).await;

    std::fs::rename(&state, dir.join("second")).expect("ours");
    let worker = unusable(section, stage, "is linked, but … is not").await;
    let shown = status(theatre, |status| status.state == "failed").await;
    assert_eq!(shown.reason.as_deref(), Some("auth_missing"));
    stop(worker).await;
    let second = with(stage, "WHATSAPP_ACCOUNT_ID", "second");
    stop(unusable(section, &second, "holds account").await).await;
    std::fs::rename(dir.join("second"), &state).expect("ours");

    std::fs::create_dir(&away).expect("ours");
    std::fs::copy(&file, away.join("auth.db")).expect("readable");
    tamper(&file, "UPDATE header SET format = format + 1").await;
    stop(unusable(section, stage, "has format").await).await;
    std::fs::copy(away.join("auth.db"), &file).expect("writable");
    std::fs::remove_dir_all(&away).expect("ours");

    damage(&file);
    stop(unusable(section, stage, "is damaged").await).await;
}

/// The rows that a state in the shared store shows.
async fn refuse_what_is_in_the_store(section: &mut Section) {
    let theatre = at_rest(&[REMOTE]).await;
    let keyless = with(&theatre.stage, "WHATSAPP_AUTH_KEY", "");
    let keyless = with(&keyless, REMOTE.0, "");
    let worker = unusable(section, &keyless, "is in the shared store").await;
    let shown = status(&theatre, |status| status.state == "failed").await;
    assert_eq!(shown.reason.as_deref(), Some("auth_unusable"));
    stop(worker).await;
    for table in ["auth_records", "auth_heads"] {
        assert!(sql(&theatre, &format!("DELETE FROM {table}")).await > 0);
    }
    let begins = "is linked, but the shared store";
    let worker = unusable(section, &theatre.stage, begins).await;
    stop(worker).await;
}

pub async fn auth_state_cannot_be_used(section: &mut Section) {
    let theatre = at_rest(&[("WHATSAPP_AUTH_KEY", "")]).await;
    let stage = &theatre.stage;
    let dir = stage.dir.join(".whatsapp-auth");
    let file = dir.join("default").join("auth.db");
    refuse_what_is_on_the_disk(section, &theatre, &dir).await;
    refuse_what_is_in_the_store(section).await;

    let worker = stage.start("one").expect("starts");
    let shown = status(&theatre, |status| status.state == "failed").await;
    let why = shown.reason.as_deref();
    assert!(
        ["auth_unusable", "auth_damaged"].map(Some).contains(&why),
        "{why:?}"
    );
    section.run(stage, "auth clear default", &[]).await.well();
    scan(&theatre, &theatre.shop).await;
    theatre.connected(&worker, 1).await;
    stop(worker).await;

    // The same by hand.
    damage(&file);
    section.run(stage, "mv", &[]).await.well();
    assert!(stage.dir.join(".whatsapp-auth.damaged-default").exists());
    let link = section.start(stage, "link --account default --again", &[]);
    scan(&theatre, &theatre.shop).await;
    assert!(ended(link).await.err.contains("Linked."));
    let worker = stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    let state = section.data(stage, "auth status default", &[]).await;
    assert_eq!(state["linked"], json!(true), "{state}");
    let list = section.data(stage, "accounts list", &[]).await;
    assert_eq!(list[0]["session"], "connected", "{list}");
    theatre
        .assert_each_queued_once(&[theatre.text("again")])
        .await;
}

/// Puts the older copy in place, which is noticed.
async fn roll_back(section: &mut Section, theatre: &Theatre, older: &Copy) -> Worker {
    older.put_back(theatre).await;
    let worker = theatre.stage.start("one").expect("starts");
    let event = "whatsapp.auth.rollback_detected";
    let told = section.event(&worker, event, |_| true).await;
    let (has, known) = (told["writes"].as_u64(), told["knownWrites"].as_u64());
    assert!(has.is_some() && has < known, "{told}");
    refused(&worker).await;
    let shown = status(theatre, |status| status.state == "failed").await;
    assert_eq!(shown.reason.as_deref(), Some("auth_rolled_back"));
    worker
}

pub async fn an_older_auth_state(section: &mut Section) {
    let theatre = Theatre::with_settings(&[("SIMULATOR_REPLY", "text"), TOLD]).await;
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    both_ways(&theatre, "before the copy").await;
    stop(worker).await;
    let older = Copy::take(&theatre).await;
    let worker = stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    for n in 0..3 {
        both_ways(&theatre, &format!("after the copy {n}")).await;
    }
    stop(worker).await;
    let newer = Copy::take(&theatre).await;

    stop(roll_back(section, &theatre, &older).await).await;
    newer.put_back(&theatre).await;
    let worker = stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    both_ways(&theatre, "with the newer one").await;
    stop(worker).await;

    let worker = roll_back(section, &theatre, &older).await;
    let state = r#"wa_session_state{account="default",state="failed",reason="auth_rolled_back"}"#;
    section.metric(&worker, state, |v| v >= 1.0).await;
    let line = "auth accept-rollback default";
    section.run(stage, line, &[]).await.well();
    theatre.connected(&worker, 1).await;
    section.logs(&worker, "Connected successfully").await;
    both_ways(&theatre, "each way").await;
    both_ways(&theatre, "and once more").await;
    assert_eq!(theatre.sim.lint(), [], "no counter was used twice");
    let state = section.data(stage, "auth status default", &[]).await;
    let year_2020_ms = 1_577_836_800_000;
    assert!(state["writes"].as_i64() > Some(year_2020_ms), "{state}");

    section.run(stage, "auth clear default", &[]).await.well();
    scan(&theatre, &theatre.shop).await;
    theatre.connected(&worker, 2).await;
    both_ways(&theatre, "anew").await;
}

/// Waits until `link` shows a code: by then it has said whom it wants.
async fn shows_a_code(link: &mut Child) {
    let mut said = BufReader::new(link.stdout.take().expect("piped"));
    let looking = async {
        let mut line = String::new();
        while !line.contains("Scan this code") {
            line.clear();
            assert!(
                said.read_line(&mut line).await.expect("text") > 0,
                "it ended"
            );
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looking).await;
    seen.expect("a code in time");
    link.stdout = Some(said.into_inner());
}

/// The number that `accounts list` shows.
fn number(list: &Value) -> &str {
    list[0]["number"].as_str().expect("it is linked")
}

pub async fn another_number(section: &mut Section) {
    let theatre = Theatre::open().await;
    let stage = &theatre.stage;
    let rival = theatre.sim.add_person("Rival");
    let worker = theatre.linked_worker("one").await;
    let clear = "whatsapp-worker auth clear default";
    run(stage, clear).await.well();
    scan(&theatre, &rival).await;
    let event = "whatsapp.auth.number_refused";
    section.event(&worker, event, |_| true).await;
    section.logs(&worker, "A phone with another").await;
    let shown = status(&theatre, |status| {
        status.reason.as_deref() == Some("other_number")
    });
    assert_eq!(shown.await.state, "linking");
    assert_eq!(rival.companions(), [0_u16; 0], "its device was logged out");
    scan(&theatre, &theatre.shop).await;
    theatre.connected(&worker, 2).await;

    run(stage, clear).await.well();
    let mut link = section.start(stage, "--replace-number", &[]);
    shows_a_code(&mut link).await;
    scan(&theatre, &rival).await;
    assert!(ended(link).await.err.contains("Linked."));
    theatre.connected(&worker, 3).await;
    let second = [("ACCOUNT", "second")];
    let added = section.run(stage, "accounts add", &second).await;
    assert!(added.well().contains("was added"));
    let list = section.data(stage, "accounts list", &[]).await;
    assert_eq!(number(&list), mask(&rival.phone_number()));

    section.run(stage, "auth clear default", &[]).await.well();
    let line = "whatsapp-worker link --account default --replace-number";
    let mut link = spawn(stage, line);
    shows_a_code(&mut link).await;
    scan(&theatre, &theatre.shop).await;
    assert!(ended(link).await.err.contains("Linked."));
    let list = data(stage, "whatsapp-worker accounts list").await;
    assert_eq!(number(&list), mask(&theatre.shop.phone_number()));
    assert_eq!(worker.count(event), 1);
}

pub async fn ineligible(section: &mut Section) {
    let theatre = Theatre::open().await;
    let (here, there) = (&theatre.stage, elsewhere(&theatre, "two"));
    stop(theatre.linked_worker("one").await).await;
    let worker = there.start("two").expect("starts");
    section.logs(&worker, "ineligible:").await;
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 0);
    let migrate = "auth migrate default --to remote";
    section.run(here, migrate, &[]).await.well();
    theatre.connected(&worker, 1).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0, "the same link");
    let ids = [theatre.text("any machine may have it")];
    theatre.assert_each_queued_once(&ids).await;

    // On one disk again, with the whole directory on other hardware, and then lost.
    let back = run(here, "whatsapp-worker auth migrate default --to local");
    back.await.well();
    stop(worker).await;
    let moved = here.dir.join("other hardware");
    std::fs::rename(here.auth_dir(), &moved).expect("ours");
    let moved = with(here, "WHATSAPP_AUTH_DIR", &moved.display().to_string());
    let worker = moved.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    stop(worker).await;
    let link = section.start(&there, "link --account default --again", &[]);
    scan(&theatre, &theatre.shop).await;
    assert!(ended(link).await.err.contains("Linked."));
    let worker = there.start("two").expect("starts");
    theatre.connected(&worker, 1).await;
    let state = section.data(&there, "auth status default", &[]).await;
    assert_eq!(state["linked"], json!(true), "{state}");
    let lease = section.data(&there, "lease show default", &[]).await;
    let owner = lease["ownerId"].as_str().expect("it is held");
    assert!(owner.starts_with("two#"), "{lease}");
    let moved = moved.start("one").expect("starts");
    section.logs(&moved, "ineligible:").await;
    in_state(&there, "connected").await;
}
