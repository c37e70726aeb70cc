//! `outbox` at the command line.

use serde_json::Value;

use super::*;

async fn run(theatre: &Theatre, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = theatre.stage.command("cli", arguments).output().await;
    let output = output.expect("it runs");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

async fn json(theatre: &Theatre, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    let (code, out, err) = run(theatre, &arguments).await;
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).expect("JSON")
}

#[tokio::test]
async fn operators_send_look_take_back_and_try_anew() {
    let theatre = Theatre::open().await;
    let counter = Counter::of(&theatre).await;
    counter
        .store
        .add_account(&theatre.account, "test")
        .await
        .expect("answers");
    let to = theatre.alice.phone_number();
    let send = ["outbox", "send", "default", &to, "hello", "--key", "k1"];
    let first = json(&theatre, &send).await;
    assert_eq!(first["status"], "pending");
    assert_eq!(json(&theatre, &send).await["outboxId"], first["outboxId"]);
    let other = ["outbox", "send", "default", &to, "bye", "--key", "k1"];
    let (code, _, err) = run(&theatre, &other).await;
    assert!(code == Some(1) && err.contains("key"), "{err}");
    let id = first["outboxId"].as_str().expect("an id");
    let (code, out, _) = run(&theatre, &["outbox", "cancel", id]).await;
    assert!(code == Some(0) && out.contains("is not sent"), "{out}");
    let (code, _, err) = run(&theatre, &["outbox", "cancel", id]).await;
    assert!(code == Some(1) && err.contains("is cancelled"), "{err}");
    let place = r#"{"type":"location","latitude":52.5,"longitude":13.4}"#;
    let second = ["outbox", "send", "default", &to, "--content", place];
    let second = json(&theatre, &second).await;
    let listed = json(&theatre, &["outbox", "list"]).await;
    let ids: Vec<_> = listed
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["outboxId"])
        .collect();
    assert_eq!(ids, [&second["outboxId"], &first["outboxId"]]);
    let listed = json(&theatre, &["outbox", "list", "--status", "cancelled"]).await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let _worker = theatre.linked_worker("one").await;
    let second = OutboxId(second["outboxId"].as_str().expect("an id").to_owned());
    counter.status(&second, Status::Sent).await;
    let (code, out, _) = run(&theatre, &["outbox", "retry", id]).await;
    assert!(code == Some(0) && out.contains("sent again"), "{out}");
    counter.status(&OutboxId(id.to_owned()), Status::Sent).await;
    let (_, out, _) = run(&theatre, &["outbox", "show", id]).await;
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&shown["attemptCount"], &shown["attempts"][0]["attempt"]),
        (&1.into(), &1.into())
    );
    let audit = counter
        .store
        .audit(&theatre.account, 50)
        .await
        .expect("answers");
    let told: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
    for (action, times) in [
        ("outbox.queued", 2),
        ("outbox.cancelled", 1),
        ("outbox.retried", 1),
    ] {
        let count = told.iter().filter(|told| **told == action).count();
        assert_eq!(count, times, "{action} in {told:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_its_reason() {
    let theatre = Theatre::open().await;
    let counter = Counter::of(&theatre).await;
    let to = theatre.alice.phone_number();
    for (arguments, said) in [
        (vec!["send", "default", &to, "hello"], "no account"),
        (vec!["send", "default", &to, ""], "empty"),
        (vec!["send", "default", "Alice", "hello"], "not a recipient"),
        (vec!["send", "default", &to, "--content", "{}"], "type"),
        (vec!["show", "out_0"], "no message"),
        (vec!["retry", "out_0"], "no message"),
        (vec!["cancel", "out_0"], "no message"),
        (vec!["list", "--status", "gone"], "not one of"),
    ] {
        let arguments = [vec!["outbox"], arguments].concat();
        let (code, _, err) = run(&theatre, &arguments).await;
        assert!(
            code != Some(0) && err.contains(said),
            "{arguments:?}: {err}"
        );
    }
    assert_eq!(counter.all().await, []);
}
