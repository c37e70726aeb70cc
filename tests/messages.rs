//! From the simulated phone to the agent queue, through a real worker process.

use serde_json::{Value, json};
use simulator::GroupAddressing;
use simulator::people::{Attachment, Content, MediaKind, MessageRef};
use whatsapp_worker::store::{Job, JobStatus};

use crate::theatre::{PATIENCE, Theatre};

async fn content(theatre: &Theatre, job: &Job) -> Value {
    let detail = theatre
        .store()
        .await
        .job(&job.job_id)
        .await
        .expect("answers");
    detail.expect("it exists").content
}

fn image(bytes: &[u8]) -> Content {
    Content::Media(Attachment {
        kind: MediaKind::Image,
        bytes: bytes.to_vec(),
        mime_type: "image/png".to_owned(),
        caption: Some("the red one".to_owned()),
        file_name: None,
    })
}

#[tokio::test]
async fn a_linked_worker_queues_texts_images_and_group_messages_once() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let worker = theatre.linked_worker("one").await;
    let (alice, shop) = (&theatre.alice, &theatre.shop);
    let bob = theatre.sim.add_person("Bob");
    let group = theatre
        .sim
        .create_group("Team", alice, &[&bob, shop], GroupAddressing::Lid);
    let bytes = vec![7; 70_000];
    let text = theatre.text("hello");
    let ids = vec![
        text.clone(),
        alice.send(&shop.jid(), &image(&bytes)).expect("accepted"),
        bob.send(&group, &Content::Text("in the group".to_owned()))
            .expect("accepted"),
        bob.send(&shop.lid(), &Content::Text("by hidden id".to_owned()))
            .expect("accepted"),
    ];
    alice.resend(&text).expect("accepted");
    worker
        .wait_for("whatsapp.inbound.dedupe_skipped", PATIENCE, |line| {
            line["channelMessageId"] == text.as_str()
        })
        .await
        .expect("the second copy is skipped");
    theatre.assert_each_queued_once(&ids).await;

    let jobs = theatre.jobs_of(&ids).await;
    let by_id = |id: &str| {
        jobs.iter()
            .find(|job| job.channel_message_id == id)
            .expect("queued")
    };
    assert_eq!(
        content(&theatre, by_id(&ids[0])).await,
        json!({"type": "text", "body": "hello"})
    );
    assert_eq!(
        content(&theatre, by_id(&ids[2])).await,
        json!({"type": "text", "body": "in the group"})
    );
    let out = theatre.stage.dir.join("image.png");
    let got = theatre
        .stage
        .command(
            "operator",
            &[
                "media",
                "get",
                by_id(&ids[1]).job_id.as_str(),
                "--out",
                out.to_str().expect("text"),
            ],
        )
        .output()
        .await
        .expect("runs");
    assert_eq!(
        got.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&got.stderr)
    );
    assert_eq!(std::fs::read(&out).expect("reads"), bytes);
}

#[tokio::test]
async fn every_kind_of_content_reaches_the_queue_as_what_it_is() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let _worker = theatre.linked_worker("one").await;
    let (alice, shop) = (&theatre.alice, theatre.shop.jid());
    let first = theatre.text("hello");
    let target = MessageRef {
        id: first.clone(),
        from_me: true,
        author: alice.jid(),
    };
    let media = |kind, mime_type: &str| {
        Content::Media(Attachment {
            kind,
            bytes: vec![1, 2, 3],
            mime_type: mime_type.to_owned(),
            caption: None,
            file_name: None,
        })
    };
    let kinds = vec![
        (media(MediaKind::Video, "video/mp4"), "video"),
        (media(MediaKind::Audio, "audio/mp4"), "audio"),
        (media(MediaKind::Voice, "audio/ogg"), "audio"),
        (media(MediaKind::Document, "application/pdf"), "document"),
        (media(MediaKind::Sticker, "image/webp"), "sticker"),
        (
            Content::Location {
                latitude: 52.5,
                longitude: 13.4,
                name: None,
            },
            "location",
        ),
        (
            Content::Contact {
                name: "Bob".to_owned(),
                vcard: "BEGIN:VCARD\nEND:VCARD".to_owned(),
            },
            "contacts",
        ),
        (
            Content::Poll {
                question: "When?".to_owned(),
                options: vec!["now".to_owned(), "later".to_owned()],
            },
            "poll",
        ),
        (
            Content::ButtonReply {
                id: "b1".to_owned(),
                text: "Yes".to_owned(),
            },
            "buttonReply",
        ),
        (
            Content::ListReply {
                row_id: "r1".to_owned(),
                title: "First".to_owned(),
            },
            "listReply",
        ),
        (
            Content::Reaction {
                target: target.clone(),
                emoji: "👍".to_owned(),
            },
            "reaction",
        ),
        (
            Content::Edit {
                target: first.clone(),
                text: "hello!".to_owned(),
            },
            "edit",
        ),
        (
            Content::SealedEdit {
                target: first.clone(),
                text: "hello!!".to_owned(),
            },
            "edit",
        ),
        (
            Content::Revoke {
                target: first.clone(),
            },
            "revoke",
        ),
        (Content::ViewOnce(Box::new(image(&[9; 10]))), "image"),
        (
            Content::ExtendedText {
                text: "as I said".to_owned(),
                quote: Some((target, "hello".to_owned())),
                mentions: vec![],
            },
            "text",
        ),
    ];
    let mut ids = vec![first];
    let mut wanted = vec!["text"];
    for (content, kind) in &kinds {
        ids.push(alice.send(&shop, content).expect("accepted"));
        wanted.push(kind);
    }
    theatre.assert_each_queued_once(&ids).await;
    let mut seen = Vec::new();
    let jobs = theatre.jobs_of(&ids).await;
    for id in &ids {
        let job = jobs
            .iter()
            .find(|job| job.channel_message_id == *id)
            .expect("queued");
        assert_eq!(
            job.status,
            JobStatus::Pending,
            "{}: {:?}",
            job.summary,
            job.error_message
        );
        seen.push(
            content(&theatre, job).await["type"]
                .as_str()
                .expect("a type")
                .to_owned(),
        );
    }
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn own_messages_are_recorded_and_what_the_policy_refuses_leaves_an_event() {
    let theatre = Theatre::with_settings(&[("WHATSAPP_GROUPS", "off")]).await;
    let worker = theatre.linked_worker("one").await;
    let group = theatre.sim.create_group(
        "Team",
        &theatre.alice,
        &[&theatre.shop],
        GroupAddressing::Lid,
    );
    let own = theatre
        .shop
        .send(
            &theatre.alice.jid(),
            &Content::Text("from the phone".to_owned()),
        )
        .expect("accepted");
    worker
        .wait_for("whatsapp.inbound.recorded", PATIENCE, |line| {
            line["channelMessageId"] == own.as_str()
        })
        .await
        .expect("recorded");
    let refused = theatre
        .alice
        .send(&group, &Content::Text("in the group".to_owned()))
        .expect("accepted");
    let event = worker
        .wait_for("whatsapp.inbound.ignored_not_allowed", PATIENCE, |line| {
            line["channelMessageId"] == refused.as_str()
        })
        .await
        .expect("ignored");
    assert_eq!(event["reason"], "groups_off");
    let text = theatre.text("to the shop");
    theatre.assert_each_queued_once(&[text]).await;
}

#[tokio::test]
async fn one_message_under_the_phone_number_and_then_under_the_hidden_id_is_one_job() {
    let theatre = Theatre::open().await;
    let worker = theatre.linked_worker("one").await;
    let (alice, shop) = (&theatre.alice, &theatre.shop);
    let flipped = Content::Text("who am I?".to_owned());
    alice
        .send_with_id("3EB0F11FF11FF11FF11F", &shop.jid(), &flipped)
        .expect("accepted");
    theatre.jobs_of(&["3EB0F11FF11FF11FF11F".to_owned()]).await;
    alice
        .send_with_id("3EB0F11FF11FF11FF11F", &shop.lid(), &flipped)
        .expect("accepted");
    worker
        .wait_for("whatsapp.inbound.dedupe_skipped", PATIENCE, |line| {
            line["channelMessageId"] == "3EB0F11FF11FF11FF11F"
        })
        .await
        .expect("the second delivery is skipped");
    let ids = ["3EB0F11FF11FF11FF11F".to_owned(), theatre.text("and on")];
    let jobs = theatre.jobs_of(&ids).await;
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[0].conversation_id, jobs[1].conversation_id);
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_does_not_hold_up_its_neighbours() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let _worker = theatre.linked_worker("one").await;
    let before = theatre.text("before");
    theatre
        .alice
        .send(&theatre.shop.jid(), &Content::Undecodable(vec![0xff; 40]))
        .expect("accepted");
    let after = theatre.text("after");
    theatre.assert_each_queued_once(&[before, after]).await;
}
