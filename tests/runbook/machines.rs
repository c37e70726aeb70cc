//! Stores that do not answer or are not fit, workers that are replaced, and what was restored.

use std::path::{Path, PathBuf};

use serde_json::json;
use sqlx::Connection;
use whatsapp_worker::rehearsal::Stage;
use whatsapp_worker::rehearsal::proxy::Weather;

use super::section::{Section, TOLD, data, run};
use crate::auth::{sql, stop};
use crate::metrics::place;
use crate::stopping::locked_store;
use crate::theatre::{Engine, PATIENCE, Theatre};

/// The exit codes for a store that may answer later, and for what a person must change.
const LATER: i32 = 69;
const CHANGE: i32 = 78;

/// A store of SQLite is these files, as long as a process has it open.
fn files(store: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", store.display())))
}

/// Moves a store, and whoever has it open goes on with the files that went.
fn move_store(from: &Path, to: &Path) {
    for (from, to) in files(from).iter().zip(files(to)) {
        if from.exists() {
            std::fs::rename(from, to).expect("ours");
        }
    }
}

pub async fn no_worker_runs(section: &mut Section) {
    let mut theatre = Theatre::with_settings(&[TOLD]).await;
    let worker = theatre.linked_worker("one").await;
    let metrics = place(&worker).await;
    section.metric(&worker, "wa_store_up", |v| v >= 1.0).await;
    stop(worker).await;
    let ids = [theatre.text("it waits with WhatsApp")];
    let setting = "WHATSAPP_GROUPS";
    let wrong = (setting.to_owned(), "sometimes".to_owned());
    theatre.stage.settings.extend([wrong]);
    let refused = run(&theatre.stage, "whatsapp-worker run").await;
    assert!(refused.ended(CHANGE).contains(setting));
    assert!(reqwest::get(&metrics).await.is_err(), "nobody tells");
    let living = section.command("workers list", &[]);
    let why = section.run(&theatre.stage, "config check", &[]).await;
    let why = why.ended(CHANGE);
    assert!(why.contains(setting), "{why}");
    let doctor = section.run(&theatre.stage, "doctor --offline", &[]).await;
    let found = format!("{}{}", doctor.out, doctor.err);
    assert!(found.contains(setting), "{found}");
    theatre.stage.settings.remove(setting);
    let stage = &theatre.stage;
    let nobody = run(stage, &living).await.well();
    assert!(!nobody.contains("one#"), "{nobody}");
    let worker = stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    let again = section.run(stage, "workers list", &[]).await.well();
    assert!(again.contains("one#"), "{again}");
    section.metric(&worker, "wa_store_up", |v| v >= 1.0).await;
    theatre.assert_each_queued_once(&ids).await;
}

pub async fn store_busy_or_unreachable(section: &mut Section) {
    a_writer_that_does_not_end(section).await;
    let theatre = Theatre::open_on(Engine::Postgres, &[("WHATSAPP_LEASE_TTL_MS", "4000")]).await;
    a_server_that_cannot_be_reached(section, &theatre).await;
    what_a_person_must_change(section, &theatre).await;
    files_that_are_gone_or_no_store(section).await;
}

async fn a_writer_that_does_not_end(section: &Section) {
    let theatre = Theatre::with_settings(&[("WHATSAPP_LEASE_TTL_MS", "20000")]).await;
    let worker = theatre.linked_worker("one").await;
    let lock = locked_store(&theatre).await;
    let mut ids = vec![theatre.text("it waits with WhatsApp")];
    let busy = run(&theatre.stage, "whatsapp-worker accounts pause default").await;
    let why = busy.ended(LATER);
    section.quotes(&why, "the store is not available");
    section.quotes(&why, "database is locked");
    let failed = worker.wait_for("whatsapp.lease.heartbeat.error", PATIENCE, |_| true);
    failed.await.expect("it says so");
    lock.close().await.expect("unlocks");
    theatre.jobs_of(&ids).await;
    ids.push(theatre.text("and goes on"));
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.count("whatsapp.connection.closed"), 0);
}

async fn a_server_that_cannot_be_reached(section: &mut Section, theatre: &Theatre) {
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    theatre.road().set(Weather::Refusing);
    theatre.road().cut();
    section.logs(&worker, "The store does not answer").await;
    let lost = worker.wait_for("whatsapp.lease.heartbeat.lost", PATIENCE, |_| true);
    lost.await.expect("it stops in time");
    let id = theatre.text("it waits with WhatsApp");
    let why = run(stage, "whatsapp-worker jobs list").await.ended(LATER);
    section.quotes(&why, "the store is not available");
    let doctor = section.run(stage, "doctor --offline", &[]).await;
    assert_eq!(doctor.code, Some(1), "{}", doctor.out);
    assert!(doctor.out.contains("FAILED"), "{}", doctor.out);
    theatre.road().set(Weather::Fair);
    theatre.connected(&worker, 2).await;
    theatre.assert_each_queued_once(&[id]).await;
    let doctor = section.data(stage, "doctor --offline", &[]).await;
    let findings = doctor.as_array().expect("rows");
    for check in ["store", "schema", "disk of auth state"] {
        let found = findings.iter().find(|finding| finding["check"] == check);
        assert_eq!(found.expect("looked at")["verdict"], "ok", "{doctor}");
    }
    let lease = section.data(stage, "lease show default", &[]).await;
    assert!(lease["beatAgeMs"].as_i64() < Some(4000), "{lease}");
    stop(worker).await;
}

/// Starts a worker that ends with the words that the section quotes.
async fn must_change(section: &Section, stage: &Stage, begins: &str) {
    let said = run(stage, "whatsapp-worker run").await;
    section.quotes(&said.ended(CHANGE), begins);
}

fn at(stage: &Stage, store_url: String) -> Stage {
    Stage {
        store_url,
        ..stage.clone()
    }
}

async fn what_a_person_must_change(section: &Section, theatre: &Theatre) {
    let stage = &theatre.stage;
    let url = stage.store_url.clone();
    let (server, database) = url.rsplit_once('/').expect("it ends with a database");
    let wrong = at(stage, url.replace("rehearsal", "rehearsal-not"));
    must_change(section, &wrong, "does not let us in").await;
    let missing = at(stage, format!("{server}/nothing"));
    must_change(section, &missing, "does not let us in").await;
    let latin =
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
    sql(theatre, latin).await;
    let latin = at(stage, format!("{server}/latin"));
    must_change(section, &latin, "has the encoding").await;
    let later = "UPDATE schema_meta SET version = version + 1, min_compatible = version + 1";
    sql(theatre, later).await;
    must_change(section, stage, "needs a binary that knows").await;
    let loses = format!("ALTER DATABASE \"{database}\" SET synchronous_commit = off");
    sql(theatre, &loses).await;
    must_change(section, stage, "runs with").await;

    let occupied = stage.dir.join("occupied.db");
    let occupied = format!("sqlite:{}", occupied.display());
    let create = sqlx::SqliteConnection::connect(&format!("{occupied}?mode=rwc")).await;
    let mut create = create.expect("opens");
    let jobs = sqlx::query("CREATE TABLE jobs(of_somebody_else TEXT)");
    jobs.execute(&mut create).await.expect("writes");
    create.close().await.expect("closes");
    must_change(section, &at(stage, occupied), "cannot be migrated").await;
}

async fn files_that_are_gone_or_no_store(section: &Section) {
    let theatre = Theatre::with_settings(&[("WHATSAPP_LEASE_TTL_MS", "3000")]).await;
    let (store, kept) = (
        theatre.stage.dir.join("store.db"),
        theatre.stage.dir.join("kept.db"),
    );
    let mut worker = theatre.linked_worker("one").await;
    move_store(&store, &kept);
    let ids = [theatre.text("into the void")];
    let failed = worker.wait_for("whatsapp.lease.heartbeat.error", PATIENCE, |_| true);
    let failed = failed.await.expect("it says so");
    let why = failed["message"].as_str().expect("text").to_owned();
    section.quotes(&why, "… was deleted or replaced");
    let lost = worker.wait_for("whatsapp.lease.heartbeat.lost", PATIENCE, |_| true);
    lost.await.expect("its lease runs out");
    assert_eq!(worker.count("whatsapp.inbound.queued"), 0);
    worker.kill().await.expect("ours");
    for file in files(&store) {
        let made_anew = std::fs::remove_file(&file);
        assert!(made_anew.is_ok() || !file.exists());
    }
    std::fs::write(&store, "this is no database, and long enough to look at").expect("writable");
    must_change(section, &theatre.stage, "… is not a usable SQLite file").await;
    std::fs::remove_file(&store).expect("ours");
    move_store(&kept, &store);
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    theatre.assert_each_queued_once(&ids).await;
}

pub async fn replacing_the_worker(section: &mut Section) {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let stage = &theatre.stage;
    let mut worker = theatre.linked_worker("old").await;
    let mut ids = vec![theatre.text("to the old one")];
    // There, and back.
    for (name, shown) in [("new", true), ("old", false)] {
        let next = stage.start(name).expect("starts");
        let contended = next.wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true);
        contended.await.expect("it stands by");
        assert_eq!(worker.terminate().await.expect("ours"), Some(0));
        section.logs(&worker, "Lease released").await;
        theatre.connected(&next, 1).await;
        assert_eq!(next.count("whatsapp.qr.available"), 0);
        let lease = match shown {
            true => section.data(stage, "lease show default", &[]).await,
            false => data(stage, "whatsapp-worker lease show default").await,
        };
        let owner = lease["ownerId"].as_str().expect("it is held");
        assert!(owner.starts_with(&format!("{name}#")), "{lease}");
        ids.push(theatre.text(name));
        theatre.jobs_of(&ids).await;
        worker = next;
    }
    theatre.assert_each_queued_once(&ids).await;
    let later = "UPDATE schema_meta SET version = version + 1, min_compatible = version + 1";
    sql(&theatre, later).await;
    let refused = run(stage, "whatsapp-worker run").await;
    assert!(refused.ended(CHANGE).contains("Use the newer binary"));
}

pub async fn backups(section: &mut Section) {
    let theatre = Theatre::with_settings(&[("WHATSAPP_LEASE_TTL_MS", "2000")]).await;
    let stage = &theatre.stage;
    let (store, auth) = (stage.dir.join("store.db"), stage.auth_dir());
    let worker = theatre.linked_worker("one").await;
    let kept = theatre.text("before the copy");
    theatre.jobs_of(std::slice::from_ref(&kept)).await;
    stop(worker).await;
    std::fs::create_dir(stage.dir.join("copy")).expect("writable");
    run(stage, "cp -a auth store.db* copy").await.well();
    let before = section.data(stage, "auth status default", &[]).await;

    // The machine is lost, and its copy was not used since.
    std::fs::remove_dir_all(&auth).expect("ours");
    let restore = async || {
        for file in files(&store) {
            let gone = std::fs::remove_file(&file);
            assert!(gone.is_ok() || !file.exists());
        }
        run(stage, "cp -a copy/store.db* .").await.well();
    };
    restore().await;
    run(stage, "cp -a copy/auth .").await.well();
    let line = "whatsapp-worker auth status default";
    assert_eq!(data(stage, line).await, before);

    // The store alone is lost, some terms later.
    for text in ["after the copy", "and after another restart"] {
        let worker = stage.start("one").expect("starts");
        theatre.connected(&worker, 1).await;
        assert_eq!(worker.count("whatsapp.qr.available"), 0);
        theatre.jobs_of(&[theatre.text(text)]).await;
        stop(worker).await;
    }
    let ahead = data(stage, line).await;
    assert!(
        ahead["epoch"].as_i64() > before["epoch"].as_i64(),
        "{ahead}"
    );
    restore().await;
    let list = data(stage, "whatsapp-worker lease list").await;
    assert!(
        list[0]["epoch"].as_i64() < ahead["epoch"].as_i64(),
        "{list}"
    );
    let worker = stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    assert_eq!(worker.count("whatsapp.auth.reset"), 0);
    let opened = worker.wait_for("whatsapp.connection.established", PATIENCE, |_| true);
    opened.await.expect("it is open now");
    let now = data(stage, line).await;
    assert!(now["epoch"].as_i64() >= ahead["epoch"].as_i64(), "{now}");
    assert_eq!(now["linked"], json!(true));
    let new = theatre.text("after it was restored");
    theatre.assert_each_queued_once(&[kept, new]).await;
}
