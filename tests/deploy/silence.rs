use serde_json::Value;

use crate::theatre::{PATIENCE, Theatre};

/// The protocol library prints numbers, names and codes in its own lines, the more the lower the level.
#[tokio::test]
async fn however_much_is_logged_no_number_name_text_or_code_is_in_it() {
    const SECRET: &str = "xylophones at midnight";
    let theatre =
        Theatre::with_settings(&[("RUST_LOG", "trace"), ("SIMULATOR_REPLY", "text")]).await;
    let mut worker = theatre.stage.start("one").expect("starts");
    worker
        .wait_for("whatsapp.qr.available", PATIENCE, |_| true)
        .await
        .expect("a QR code");
    let code = theatre.published_code().await.code;
    theatre.scan().await;
    theatre.connected(&worker, 1).await;
    theatre.jobs_of(&[theatre.text(SECRET)]).await;
    worker
        .wait_for("whatsapp.outbound.sent", PATIENCE, |_| true)
        .await
        .expect("it answers");
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    let mut lines = worker.lines();
    // The last lines are read after the process is gone.
    while lines.changed().await.is_ok() {}
    let lines = lines.borrow();
    let of = |target: &str| {
        let of_it = |line: &&Value| line["target"].as_str().is_some_and(|t| t.contains(target));
        lines.iter().filter(of_it).count()
    };
    // Otherwise the test would be content with silence.
    let talkative = lines.iter().filter(|line| line["event"].is_null()).count();
    assert!(talkative > 100, "{talkative} lines, {}", of("wacore"));
    let mut secrets = vec![SECRET.to_owned()];
    for person in [&theatre.alice, &theatre.shop] {
        secrets.push(person.name().to_owned());
        for address in [person.jid(), person.lid()] {
            let address = address.to_string();
            secrets.push(address.split('@').next().expect("a part").to_owned());
        }
    }
    secrets.extend(
        code.split(',')
            .filter(|part| part.len() > 20)
            .map(str::to_owned),
    );
    assert!(secrets.len() > 5, "{} parts", secrets.len());
    for line in lines.iter().map(Value::to_string) {
        let told = secrets.iter().find(|secret| line.contains(*secret));
        assert_eq!(told, None, "{line}");
    }
}
