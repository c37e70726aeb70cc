//! Sessions that are thrown out, unanswered, refused, or connected and silent; and what came twice.

use serde_json::{Value, json};
use simulator::Faults;
use simulator::people::Content;
use whatsapp_worker::clock::Boot;
use whatsapp_worker::rehearsal::Stage;

use super::agent::Shop;
use super::section::{Section, TOLD, in_state, run, until};
use crate::auth::stop;
use crate::deaf::{PROBE, deaf_to, in_a_row, named_worker, stage_of};
use crate::theatre::{PATIENCE, Theatre};

const CONNECTED: &str = r#"wa_session_state{account="default",state="connected"}"#;

/// A machine with a copy of this one's store and auth state.
async fn copied_machine(stage: &Stage) -> Stage {
    let dir = stage.dir.join("copy");
    std::fs::create_dir(&dir).expect("writable");
    run(stage, "cp -a auth store.db* copy").await.well();
    Stage {
        store_url: format!("sqlite:{}", dir.join("store.db").display()),
        dir,
        ..stage.clone()
    }
}

pub async fn conflict(section: &mut Section) {
    let theatre = Theatre::with_settings(&[TOLD]).await;
    let stage = &theatre.stage;
    stop(theatre.linked_worker("one").await).await;
    let copy = copied_machine(stage).await;
    let worker = stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    let mut rival = copy.start("rival").expect("starts");
    let event = "whatsapp.connection.conflict";
    section.event(&worker, event, in_a_row(3)).await;
    section.logs(&worker, "was connected from elsewhere").await;
    in_state(stage, "conflict").await;
    let counted = r#"wa_session_conflicts_total{account="default"}"#;
    section.metric(&worker, counted, |v| v >= 3.0).await;
    // It leaves the field to the other one until it is told to try.
    theatre.connected(&rival, 3).await;
    assert!(rival.count(event) >= 2, "each threw the other out");
    rival.kill().await.expect("ours");
    let (connected, conflicts) = (
        worker.count("whatsapp.connection.established"),
        worker.count(event),
    );
    let resume = "accounts resume default";
    section.run(stage, resume, &[]).await.well();
    theatre.connected(&worker, connected + 1).await;
    in_state(stage, "connected").await;
    assert_eq!(worker.count(event), conflicts, "nobody is there any more");
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
}

pub async fn deaf_session(section: &mut Section) {
    let settings = [PROBE, ("WHATSAPP_LEASE_TTL_MS", "5000"), TOLD];
    let theatre = Theatre::with_settings(&settings).await;
    let worker = named_worker(&theatre, "one").await;
    theatre.sim.set_faults(deaf_to("one"));
    let event = "whatsapp.session.deaf";
    section.event(&worker, event, in_a_row(1)).await;
    section.logs(&worker, "The server does not answer").await;
    theatre.sim.set_faults(Faults::default());
    section.logs(&worker, "the server answers again").await;
    let mut ids = vec![theatre.text("it happened once")];
    theatre.jobs_of(&ids).await;

    theatre.sim.set_faults(deaf_to("one"));
    ids.push(theatre.text("into deaf ears"));
    section.event(&worker, event, in_a_row(2)).await;
    let counted = r#"wa_session_deaf_total{account="default"}"#;
    section.metric(&worker, counted, |v| v >= 2.0).await;
    let doctor = section.run(&theatre.stage, "doctor", &[]).await.well();
    assert!(doctor.contains("websocket"), "{doctor}");
    let standby = stage_of(&theatre, "two").start("two").expect("starts");
    section.event(&worker, event, in_a_row(3)).await;
    theatre.connected(&standby, 1).await;
    section.logs(&standby, "Connected successfully").await;
    ids.push(theatre.text("heard by the standby"));
    theatre.assert_each_queued_once(&ids).await;
}

fn refuse(theatre: &Theatre, code: Option<u16>) {
    theatre.sim.set_faults(Faults {
        refuse_logins: code,
        ..Faults::default()
    });
}

fn with_code(code: u16) -> impl Fn(&Value) -> bool {
    move |line| line["statusCode"] == code
}

pub async fn ban(section: &mut Section) {
    let theatre = Theatre::with_settings(&[TOLD]).await;
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    let standby = stage.start("two").expect("starts");
    let contended = "whatsapp.lease.acquire.contended";
    let stands_by = standby.wait_for(contended, PATIENCE, |_| true).await;
    stands_by.expect("it stands by");
    let began = Boot::now();
    refuse(&theatre, Some(402));
    theatre.sim.disconnect(&theatre.shop);
    let closed = "whatsapp.connection.closed";
    section.event(&worker, closed, with_code(402)).await;
    let list = section.command("accounts list", &[]);
    let list = until(stage, &list, |list| list[0]["session"] == "banned").await;
    let detail = list[0]["detail"].as_str().expect("text");
    assert!(detail.contains("more minutes"), "how long: {detail}");
    let state = r#"wa_session_state{account="default",state="banned"}"#;
    section.metric(&worker, state, |v| v >= 1.0).await;
    refuse(&theatre, None);
    theatre.connected(&worker, 2).await;
    section.logs(&worker, "Connected successfully").await;
    let lines = worker.lines();
    let bans = lines
        .borrow()
        .iter()
        .filter(|line| with_code(402)(line))
        .count();
    let bans = u32::try_from(bans).expect("a few");
    let lasted = Boot::now().since(began);
    assert!(
        lasted >= Faults::BAN * bans,
        "it tries when the time is over"
    );
    assert_eq!(standby.count("whatsapp.lease.acquire.success"), 0);
    assert_eq!(worker.count("whatsapp.qr.available"), 1, "the link stayed");
    let ids = [theatre.text("after it")];
    theatre.assert_each_queued_once(&ids).await;
}

pub async fn outdated_client(section: &mut Section) {
    let mut theatre = Theatre::with_settings(&[TOLD]).await;
    let worker = theatre.linked_worker("one").await;
    refuse(&theatre, Some(405));
    theatre.sim.disconnect(&theatre.shop);
    let closed = "whatsapp.connection.closed";
    section.event(&worker, closed, with_code(405)).await;
    let shown = in_state(&theatre.stage, "outdated_client").await;
    let detail = shown["detail"].as_str().expect("text");
    assert!(detail.contains("WHATSAPP_CLIENT_VERSION"), "{detail}");
    let state = r#"wa_session_state{account="default",state="outdated_client"}"#;
    section.metric(&worker, state, |v| v >= 1.0).await;
    let doctor = section.run(&theatre.stage, "doctor", &[]).await.well();
    for part in ["websocket", "client version", "2.3000.1026131876"] {
        assert!(doctor.contains(part), "{doctor}");
    }
    stop(worker).await;
    // One that is known to work.
    refuse(&theatre, None);
    let works = ("WHATSAPP_CLIENT_VERSION", "2.3000.1030000000");
    let works = [(works.0.to_owned(), works.1.to_owned())];
    theatre.stage.settings.extend(works);
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    section.logs(&worker, "Connected successfully").await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0, "the same link");
}

/// Fits the lines that tell of a message.
fn of(message: &str) -> impl Fn(&Value) -> bool {
    move |line| line["channelMessageId"] == message
}

pub async fn not_connected(section: &mut Section) {
    let theatre = Theatre::with_settings(&[TOLD]).await;
    let stage = &theatre.stage;
    let worker = theatre.linked_worker("one").await;
    section.metric(&worker, CONNECTED, |v| v >= 1.0).await;
    refuse(&theatre, Some(503));
    theatre.sim.disconnect(&theatre.shop);
    let closed = "whatsapp.connection.closed";
    section.event(&worker, closed, with_code(503)).await;
    let state = r#"wa_session_state{account="default",state="reconnecting"}"#;
    section.metric(&worker, state, |v| v >= 1.0).await;
    let list = section.command("accounts list", &[]);
    until(stage, &list, |list| list[0]["session"] == "reconnecting").await;
    let doctor = section.run(stage, "doctor", &[]).await.well();
    assert!(doctor.contains("websocket"), "{doctor}");
    let ids = [theatre.text("it waits with WhatsApp")];
    refuse(&theatre, None);
    theatre.connected(&worker, 2).await;
    section.logs(&worker, "Connected successfully").await;
    section.metric(&worker, CONNECTED, |v| v >= 1.0).await;
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 1, "the link stayed");
}

pub async fn connected_and_silent(section: &mut Section) {
    let mut theatre = Theatre::open().await;
    let denied = ("WHATSAPP_DENY".to_owned(), theatre.alice.phone_number());
    let groups = ("WHATSAPP_GROUPS".to_owned(), "off".to_owned());
    theatre.stage.settings.extend([denied, groups]);
    let worker = theatre.linked_worker("one").await;
    let (sim, shop) = (&theatre.sim, &theatre.shop);
    let bob = sim.add_person("Bob");
    let addressing = simulator::GroupAddressing::Lid;
    let group = sim.create_group("Team", &bob, &[shop], addressing);
    let by_bob = |to, text: &str| {
        let sent = bob.send(to, &Content::Text(text.to_owned()));
        sent.expect("accepted")
    };
    let ignored = "whatsapp.inbound.ignored_not_allowed";
    for (id, reason) in [
        (theatre.text("hello?"), "denied"),
        (by_bob(&group, "hello, all"), "groups_off"),
    ] {
        let told = section.event(&worker, ignored, of(&id)).await;
        assert_eq!(told["reason"], reason);
    }
    let own = Content::Text("from the phone itself".to_owned());
    let own = shop.send(&bob.jid(), &own).expect("accepted");
    let recorded = "whatsapp.inbound.recorded";
    section.event(&worker, recorded, of(&own)).await;
    // A connection that swallows what comes.
    sim.set_faults(Faults {
        drop: 1.0,
        ..Faults::default()
    });
    let swallowed = by_bob(&shop.jid(), "is anybody there?");
    let jobs = section.data(&theatre.stage, "jobs list", &[]).await;
    assert_eq!(jobs, json!([]));
    let list = section.data(&theatre.stage, "accounts list", &[]).await;
    let number = whatsapp_worker::ids::mask(&shop.phone_number());
    assert_eq!(list[0]["number"], number);
    assert_eq!(list[0]["session"], "connected");
    sim.set_faults(Faults::default());
    stop(worker).await;

    for setting in ["WHATSAPP_DENY", "WHATSAPP_GROUPS"] {
        theatre.stage.settings.remove(setting);
    }
    let worker = theatre.stage.start("one").expect("starts");
    let queued = "whatsapp.inbound.queued";
    section.event(&worker, queued, of(&swallowed)).await;
    let new = theatre.text("and now?");
    section.event(&worker, queued, of(&new)).await;
    // What was ignored stays so.
    theatre.assert_each_queued_once(&[swallowed, new]).await;
}

pub async fn duplicates(section: &mut Section) {
    let shop = Shop::open(&[]).await;
    let (theatre, worker, agent) = (&shop.theatre, &shop.worker, &shop.agent);
    let (stage, alice) = (&theatre.stage, &theatre.alice);
    let hello = json!({"type": "text", "body": "hello"});
    // One job, answered twice.
    let first = theatre.text("hello");
    let answered = shop.job_of(&first).await;
    let claim = agent.work().await;
    assert_eq!(claim.job, answered);
    let to = format!("+{}", alice.phone_number().trim_start_matches('+'));
    let message = json!({"accountId": "default", "to": to, "content": hello});
    for _ in 0..2 {
        let said = agent.post("/v1/messages", message.clone()).await;
        assert_eq!(said.status, 202, "{}", said.body);
    }
    let reply = json!({"claimToken": claim.token, "replies": [{"content": hello}]});
    for _ in 0..2 {
        let path = format!("/v1/jobs/{answered}/complete");
        let said = agent.post(&path, reply.clone()).await;
        assert_eq!(said.status, 200, "{}", said.body);
    }
    let outbox = super::section::data(stage, "whatsapp-worker outbox list").await;
    let queued = outbox.as_array().expect("rows").len();
    assert_eq!(
        queued, 3,
        "two requests, and one reply although it was handed in twice"
    );

    // Another message with the same words, another delivery, another person with the same id.
    let second = theatre.text("hello");
    let bob = theatre.sim.add_person("Bob");
    let text = Content::Text("hello too".to_owned());
    let same = bob.send_with_id(&first, &theatre.shop.jid(), &text);
    assert_eq!(same.expect("accepted"), first);
    alice.resend(&first).expect("accepted");
    let skipped = "whatsapp.inbound.dedupe_skipped";
    section.event(worker, skipped, of(&first)).await;
    theatre.jobs_of(std::slice::from_ref(&second)).await;
    let three = |jobs: &Value| jobs.as_array().is_some_and(|jobs| jobs.len() == 3);
    let list = section.command("jobs list --output json", &[]);
    let jobs = until(stage, &list, three).await;
    let mut ids: Vec<&str> = jobs
        .as_array()
        .expect("rows")
        .iter()
        .map(|job| job["channelMessageId"].as_str().expect("an id"))
        .collect();
    ids.sort_unstable();
    let mut expected = [first.as_str(), &first, &second];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    let by_bob = |job: &&Value| job["channelMessageId"] == first && job["jobId"] != answered;
    let twin = jobs.as_array().expect("rows").iter().find(by_bob);
    let twin = twin.expect("it has one")["jobId"].as_str().expect("an id");
    let shown = section.run(stage, "jobs show", &[("JOB", twin)]).await;
    assert!(shown.well().contains("hello too"), "it is another message");
}
