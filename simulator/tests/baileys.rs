//! Two Baileys clients, which nobody here wrote, and simulated people talk to each other.
//!
//! Needs Node and `npm ci` in `tests/interop`; run with `--ignored` where those may be missing.

#[path = "../../tests/interop/driver.rs"]
mod driver;

use std::path::{Path, PathBuf};
use std::time::Duration;

use driver::Baileys;
use serde_json::json;
use simulator::people::{Attachment, Content, Kind, MediaKind, MessageRef};
use simulator::{Delivery, GroupAddressing, Options, Person, Simulator};

const PATIENCE: Duration = Duration::from_secs(30);

struct Stage {
    sim: Simulator,
    interop: PathBuf,
    ca_file: PathBuf,
}

impl Stage {
    async fn set(name: &str) -> Self {
        let sim = Simulator::start(Options::default()).await.unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let ca_file = folder.join(format!("{name}-{}.pem", std::process::id()));
        std::fs::write(&ca_file, sim.ca_pem()).unwrap();
        let interop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop");
        Self {
            sim,
            interop,
            ca_file,
        }
    }

    fn client(&self) -> Baileys {
        Baileys::start(&self.interop, &self.sim.url(), &self.ca_file)
    }

    async fn linked_by_qr(&self, person: &Person) -> Baileys {
        let (client, _) = self.linked_device(person).await;
        client
    }

    async fn linked_device(&self, person: &Person) -> (Baileys, u16) {
        let mut client = self.client();
        client.call("connect", json!({})).await;
        let qr = client.event("qr", |_| true).await;
        let device = person.scan_qr(qr["qr"].as_str().unwrap()).await.unwrap();
        client.event("open", |_| true).await;
        (client, device)
    }

    async fn close(self, clients: Vec<Baileys>) {
        for client in clients {
            client.stop().await;
        }
        assert_eq!(self.sim.lint(), []);
        assert!(
            self.sim.unknown_iqs().is_empty(),
            "{:?}",
            self.sim.unknown_iqs()
        );
        self.sim.stop().await;
        std::fs::remove_file(self.ca_file).unwrap();
    }
}

async fn reaches(person: &Person, id: &str) -> Delivery {
    person
        .wait_for(PATIENCE, |delivery| delivery.id == id)
        .await
        .unwrap()
}

fn id_of(answer: &serde_json::Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

fn image(bytes: &[u8], caption: &str) -> Content {
    Content::Media(Attachment {
        kind: MediaKind::Image,
        bytes: bytes.to_vec(),
        mime_type: "image/png".to_owned(),
        caption: Some(caption.to_owned()),
        file_name: None,
    })
}

#[tokio::test]
async fn baileys_links_by_code_and_answers_a_phone() {
    let stage = Stage::set("code").await;
    let (shop, alice) = (stage.sim.add_person("Shop"), stage.sim.add_person("Alice"));
    let mut client = stage.client();
    client.call("connect", json!({})).await;
    client.event("qr", |_| true).await;
    let answer = client
        .call("link_code", json!({"phone": shop.phone_number()}))
        .await;
    shop.enter_code(answer["code"].as_str().unwrap())
        .await
        .unwrap();
    let me = client.event("open", |_| true).await;
    assert!(
        me["jid"]
            .as_str()
            .unwrap()
            .starts_with(&shop.phone_number())
    );

    let id = alice
        .send(&shop.jid(), &Content::Text("hello".to_owned()))
        .unwrap();
    let got = client.message(&id).await;
    assert_eq!(
        (&got["text"], &got["own"]),
        (&json!("hello"), &json!(false))
    );
    let answer = client
        .call("send_text", json!({"to": got["chat"], "text": "welcome"}))
        .await;
    let back = reaches(&alice, &id_of(&answer)).await;
    assert_eq!(back.message.text.as_deref(), Some("welcome"));
    let copy = reaches(&shop, &id_of(&answer)).await;
    assert_eq!(
        (copy.from_me, copy.message.text.as_deref()),
        (true, Some("welcome"))
    );
    stage.close(vec![client]).await;
}

#[tokio::test]
async fn two_baileys_clients_exchange_text_receipts_media_and_edits() {
    let stage = Stage::set("two").await;
    let (alice, bob) = (stage.sim.add_person("Alice"), stage.sim.add_person("Bob"));
    let carol = stage.sim.add_person("Carol");
    let mut a = stage.linked_by_qr(&alice).await;
    let mut b = stage.linked_by_qr(&bob).await;
    let (to_bob, to_alice) = (bob.jid().to_string(), alice.jid().to_string());

    let sent = a
        .call("send_text", json!({"to": to_bob, "text": "hello Bob"}))
        .await;
    let got = b.message(&id_of(&sent)).await;
    assert_eq!(got["text"], "hello Bob");
    // 3 is Baileys' number for "delivered", 4 for "read".
    a.event("receipt", |receipt| {
        receipt["id"] == sent["id"] && receipt["status"].as_u64() >= Some(3)
    })
    .await;
    let phone = reaches(&bob, &id_of(&sent)).await;
    assert_eq!(phone.message.text.as_deref(), Some("hello Bob"));
    let sent = b
        .call("send_text", json!({"to": to_alice, "text": "hello Alice"}))
        .await;
    assert_eq!(a.message(&id_of(&sent)).await["text"], "hello Alice");

    let bytes: Vec<u8> = (0..50_000u32).map(|n| (n % 251) as u8).collect();
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let sent = a
        .call(
            "send_image",
            json!({"to": to_bob, "base64": base64, "caption": "look"}),
        )
        .await;
    let got = b.message(&id_of(&sent)).await;
    assert_eq!(
        (&got["text"], &got["media"]["sha256"]),
        (&json!("look"), &json!(hash(&bytes)))
    );
    let media = reaches(&bob, &id_of(&sent)).await.message.media.unwrap();
    assert_eq!(media.open(stage.sim.media()).unwrap(), bytes);
    let id = carol.send(&bob.jid(), &image(&bytes, "mine")).unwrap();
    let got = b.message(&id).await;
    assert_eq!(
        (&got["text"], &got["media"]["sha256"]),
        (&json!("mine"), &json!(hash(&bytes)))
    );

    let sent = a
        .call("send_text", json!({"to": to_bob, "text": "first"}))
        .await;
    let original = id_of(&sent);
    b.message(&original).await;
    let sent = a
        .call(
            "edit",
            json!({"to": to_bob, "id": original, "text": "second"}),
        )
        .await;
    let edit = reaches(&bob, &id_of(&sent)).await;
    assert_eq!(edit.message.kind, Kind::Edit);
    assert_eq!(edit.message.text.as_deref(), Some("second"));
    assert_eq!(edit.message.target.as_deref(), Some(original.as_str()));

    let sent = a
        .call(
            "send_burst",
            json!({"to": to_bob, "prefix": "burst ", "count": 100}),
        )
        .await;
    let ids: Vec<&str> = sent["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    b.message(ids[99]).await;
    let messages = b.events("message");
    let seen = messages
        .iter()
        .map(|message| message["id"].as_str().unwrap());
    let burst: Vec<&str> = seen.filter(|id| ids.contains(id)).collect();
    assert_eq!(burst, ids);
    stage.close(vec![a, b]).await;
}

#[tokio::test]
async fn a_group_of_baileys_clients_and_phones_talks() {
    let stage = Stage::set("group").await;
    let (alice, bob) = (stage.sim.add_person("Alice"), stage.sim.add_person("Bob"));
    let carol = stage.sim.add_person("Carol");
    let mut a = stage.linked_by_qr(&alice).await;
    let mut b = stage.linked_by_qr(&bob).await;
    for addressing in [GroupAddressing::Lid, GroupAddressing::Pn] {
        let group = stage
            .sim
            .create_group("Team", &alice, &[&bob, &carol], addressing);
        let to = group.to_string();
        for (writer, text) in ["a one", "b one", "carol one", "a two"]
            .into_iter()
            .enumerate()
        {
            let command = json!({"to": to, "text": text});
            let id = match writer {
                0 | 3 => id_of(&a.call("send_text", command).await),
                1 => id_of(&b.call("send_text", command).await),
                _ => carol.send(&group, &Content::Text(text.to_owned())).unwrap(),
            };
            let readers: &[&Baileys] = match writer {
                0 | 3 => &[&b],
                1 => &[&a],
                _ => &[&a, &b],
            };
            for reader in readers {
                let got = reader.message(&id).await;
                assert_eq!((&got["text"], &got["chat"]), (&json!(text), &json!(to)));
            }
            if writer != 2 {
                let phone = reaches(&carol, &id).await;
                assert_eq!(phone.message.text.as_deref(), Some(text));
            }
        }
    }
    stage.close(vec![a, b]).await;
}

#[tokio::test]
async fn a_backlog_reaches_a_client_that_comes_back() {
    let stage = Stage::set("backlog").await;
    let (alice, shop) = (stage.sim.add_person("Alice"), stage.sim.add_person("Shop"));
    let (mut client, device) = stage.linked_device(&shop).await;
    let text = |number: usize| Content::Text(format!("line {number}"));
    let first = alice.send(&shop.jid(), &text(0)).unwrap();
    client.message(&first).await;
    stage.sim.wait_empty(&shop, device, PATIENCE).await.unwrap();

    client.call("disconnect", json!({})).await;
    stage
        .sim
        .wait_online(&shop, device, false, PATIENCE)
        .await
        .unwrap();
    let ids: Vec<String> = (1..=250)
        .map(|number| alice.send(&shop.jid(), &text(number)).unwrap())
        .collect();
    assert_eq!(stage.sim.queue_len(&shop, device), Some(250));
    client.call("connect", json!({})).await;
    stage.sim.wait_empty(&shop, device, PATIENCE).await.unwrap();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(
            client.message(id).await["text"],
            format!("line {}", number + 1)
        );
    }
    stage.close(vec![client]).await;
}

#[tokio::test]
async fn a_removed_client_is_told_so() {
    let stage = Stage::set("removed").await;
    let shop = stage.sim.add_person("Shop");
    let (client, device) = stage.linked_device(&shop).await;
    assert!(shop.unlink(device));
    let closed = client.event("closed", |_| true).await;
    assert_eq!(closed["status"], 401);
    assert_eq!(shop.companions(), Vec::<u16>::new());
    stage.close(vec![client]).await;
}

#[tokio::test]
async fn a_client_reads_every_kind_that_a_phone_writes() {
    let stage = Stage::set("kinds").await;
    let (alice, shop) = (stage.sim.add_person("Alice"), stage.sim.add_person("Shop"));
    let client = stage.linked_by_qr(&shop).await;
    let text = |text: &str| Content::Text(text.to_owned());
    let first = alice.send(&shop.jid(), &text("first")).unwrap();
    client.message(&first).await;
    let target = MessageRef {
        id: first.clone(),
        from_me: true,
        author: alice.lid(),
    };
    let file = |kind, name: &str| {
        Content::Media(Attachment {
            kind,
            bytes: name.as_bytes().repeat(1000),
            mime_type: "application/octet-stream".to_owned(),
            caption: None,
            file_name: Some(name.to_owned()),
        })
    };
    let kinds = [
        (
            Content::ExtendedText {
                text: "quoting".to_owned(),
                quote: Some((target.clone(), "first".to_owned())),
                mentions: vec![shop.lid()],
            },
            "extendedTextMessage",
        ),
        (file(MediaKind::Video, "video"), "videoMessage"),
        (file(MediaKind::Audio, "audio"), "audioMessage"),
        (file(MediaKind::Voice, "voice"), "audioMessage"),
        (file(MediaKind::Document, "document"), "documentMessage"),
        (file(MediaKind::Sticker, "sticker"), "stickerMessage"),
        (
            Content::ViewOnce(Box::new(file(MediaKind::Image, "once"))),
            "imageMessage",
        ),
        (
            Content::Location {
                latitude: 48.1,
                longitude: 11.5,
                name: Some("here".to_owned()),
            },
            "locationMessage",
        ),
        (
            Content::Contact {
                name: "Bob".to_owned(),
                vcard: "BEGIN:VCARD\nEND:VCARD".to_owned(),
            },
            "contactMessage",
        ),
        (
            Content::Poll {
                question: "When?".to_owned(),
                options: vec!["now".to_owned(), "later".to_owned()],
            },
            "pollCreationMessageV3",
        ),
        (
            Content::ButtonReply {
                id: "b1".to_owned(),
                text: "Yes".to_owned(),
            },
            "buttonsResponseMessage",
        ),
        (
            Content::ListReply {
                row_id: "r1".to_owned(),
                title: "Row".to_owned(),
            },
            "listResponseMessage",
        ),
        (
            Content::Reaction {
                target,
                emoji: "👍".to_owned(),
            },
            "reactionMessage",
        ),
        (
            Content::Ephemeral {
                content: Box::new(text("fleeting")),
                expiration_s: 86_400,
            },
            "extendedTextMessage",
        ),
        (
            Content::Edit {
                target: first.clone(),
                text: "better".to_owned(),
            },
            "protocolMessage",
        ),
        (
            Content::SealedEdit {
                target: first.clone(),
                text: "best".to_owned(),
            },
            "secretEncryptedMessage",
        ),
        (Content::Revoke { target: first }, "protocolMessage"),
    ];
    for (content, kind) in kinds {
        let id = alice.send(&shop.jid(), &content).unwrap();
        let got = client.message(&id).await;
        assert_eq!(got["kind"], kind, "{got}");
        if let Content::Media(file) = &content {
            assert_eq!(got["media"]["sha256"], hash(&file.bytes), "{got}");
        }
    }
    stage.close(vec![client]).await;
}
