//! Messages that were not sent, or could not be read.

use serde_json::{Value, json};
use simulator::people::{Content, MessageRef};
use simulator::{Faults, Person};

use super::section::{Section, TOLD, data, run, until};
use crate::auth::sql;
use crate::theatre::{PATIENCE, Theatre};

/// Short times, so that whole rounds fit into a test.
const HASTY: [(&str, &str); 3] = [
    ("OUTBOX_ACK_TIMEOUT_MS", "500"),
    ("OUTBOX_COOLDOWN_MS", "500"),
    ("OUTBOX_LANE_BLOCK_MS", "500"),
];

/// Has a text sent, and returns the message.
async fn send(theatre: &Theatre, to: &Person, text: &str) -> String {
    let line = format!(
        "whatsapp-worker outbox send default +{} '{text}'",
        to.phone_number().trim_start_matches('+')
    );
    let sent = data(&theatre.stage, &line).await;
    sent["outboxId"].as_str().expect("an id").to_owned()
}

fn of(message: &str) -> impl Fn(&Value) -> bool {
    move |line| line["outboxId"] == message && line["willRetry"] == false
}

pub async fn messages_that_were_not_sent(section: &mut Section) {
    let theatre = Theatre::with_settings(&[&HASTY[..], &[TOLD]].concat()).await;
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    let fault = |faults: Faults| theatre.sim.set_faults(faults);
    let refusing = |code| Faults {
        refuse_messages: code,
        ..Faults::default()
    };
    let bob = theatre.sim.add_person("Bob");
    // Nobody answers: it may have arrived.
    theatre.alice.doze(true);
    fault(Faults {
        lose_acks: 1.0,
        ..Faults::default()
    });
    let uncertain = send(&theatre, &theatre.alice, "are you there?").await;
    section
        .event(&worker, "whatsapp.outbound.failed", of(&uncertain))
        .await;
    theatre.alice.doze(false);
    // WhatsApp restricts the account.
    fault(refusing(Some(463)));
    let refused = send(&theatre, &bob, "buy this").await;
    section
        .event(&worker, "whatsapp.outbound.failed", of(&refused))
        .await;
    fault(Faults::default());

    let counted = r#"wa_outbound_messages_total{account="default",result="failed"}"#;
    section.metric(&worker, counted, |v| v >= 2.0).await;
    let failed = section
        .data(stage, "outbox list --status failed", &[])
        .await;
    assert_eq!(failed[0]["outboxId"], refused.as_str());
    let listed = section
        .run(stage, "outbox list --status uncertain", &[])
        .await;
    listed.well();
    let shown = section
        .run(stage, "outbox show", &[("MESSAGE", &refused)])
        .await
        .well();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["attempts"][0]["errorCode"], "463", "{shown}");
    let paused = section.data(stage, "accounts list", &[]).await;
    assert_eq!(paused[0]["paused"], json!(true));
    assert!(
        paused[0]["pauseReason"]
            .as_str()
            .is_some_and(|why| why.contains("463")),
        "{paused}"
    );

    let waits = send(&theatre, &bob, "taken back").await;
    let retried = section
        .run(stage, "outbox retry", &[("MESSAGE", &refused)])
        .await;
    assert!(retried.well().contains("sent again"));
    let cancelled = section
        .run(stage, "outbox cancel", &[("MESSAGE", &waits)])
        .await;
    assert!(cancelled.well().contains("is not sent"));
    let resumed = section
        .run(stage, "accounts resume", &[("ACCOUNT", "default")])
        .await;
    assert!(resumed.well().contains("sends again"));
    let delivered = bob.wait_for(PATIENCE, |got| {
        got.message.text.as_deref() == Some("buy this")
    });
    delivered.await.expect("it arrives");
    let line = format!("whatsapp-worker outbox show {refused}");
    let arrived = |shown: &Value| shown["delivery"] == "device" || shown["delivery"] == "read";
    until(stage, &line, arrived).await;
    let shown = section
        .run(stage, "outbox show", &[("MESSAGE", &refused)])
        .await
        .well();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["status"], "sent", "{shown}");

    section
        .run(stage, "accounts pause", &[("ACCOUNT", "default")])
        .await
        .well();
    let kept = send(&theatre, &bob, "not yet").await;
    let kept = run(stage, &format!("whatsapp-worker outbox show {kept}"))
        .await
        .well();
    assert!(kept.contains(r#""status": "pending""#), "{kept}");
}

pub async fn jobs_that_failed(section: &mut Section) {
    let theatre = Theatre::open().await;
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    let (alice, shop) = (&theatre.alice, &theatre.shop);
    theatre.jobs_of(&[theatre.text("hello")]).await;
    let told = |id: &str| {
        let id = id.to_owned();
        move |line: &Value| line["channelMessageId"] == id.as_str()
    };
    // A reaction to nothing at all.
    let target = MessageRef {
        id: String::new(),
        from_me: false,
        author: alice.jid(),
    };
    let reaction = Content::Reaction {
        target,
        emoji: "x".to_owned(),
    };
    let malformed = alice.send(&shop.jid(), &reaction).expect("accepted");
    let queued = section
        .event(&worker, "whatsapp.inbound.queued", told(&malformed))
        .await;
    assert_eq!(queued["status"], "failed");

    // Alice's device has other keys than we, and does not answer.
    alice.doze(true);
    alice
        .spoil_session(shop, shop.companions()[0])
        .expect("there is one");
    let (late, lost) = (theatre.text("late"), theatre.text("lost"));
    for (id, age) in [
        // As if it had been asked for twice, over ten minutes.
        (&late, "due = 0, asked = 2"),
        // As if it had been asked for three times, over a day.
        (&lost, "due = 0, kind = 'lost', asked = 3"),
    ] {
        let aged = format!("UPDATE missing SET {age} WHERE message_id = '{id}'");
        let waiting = async { while sql(&theatre, &aged).await == 0 {} };
        let noted = tokio::time::timeout(PATIENCE, waiting).await;
        noted.expect("it is missed in time");
        section
            .event(&worker, "whatsapp.inbound.lost", told(id))
            .await;
    }
    let list = section.data(stage, "jobs list --status failed", &[]).await;
    let list = list.as_array().expect("rows");
    assert_eq!(list.len(), 3, "{list:?}");
    let job = |kind: &str| {
        let job = list.iter().find(|job| job["kind"] == kind);
        job.expect("it is there")["jobId"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let shown = section
        .run(stage, "jobs show", &[("JOB", &job("lost"))])
        .await
        .well();
    assert!(shown.contains("lost before it was stored"), "{shown}");
    let shown = run(
        stage,
        &format!("whatsapp-worker jobs show {}", job("message")),
    )
    .await
    .well();
    assert!(shown.contains("malformed"), "{shown}");

    // It comes after all, and is a job of its own.
    alice.doze(false);
    for id in [&late, &lost] {
        let queued = worker.wait_for("whatsapp.inbound.queued", PATIENCE, told(id));
        queued.await.expect("it comes");
    }
    let pending = section.data(stage, "jobs list --status pending", &[]).await;
    assert_eq!(pending.as_array().map(Vec::len), Some(3), "{pending}");
}
