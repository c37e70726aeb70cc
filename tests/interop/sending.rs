//! What a real Baileys client shows of each kind that we send.

use serde_json::{Value, json};
use whatsapp_worker::outbound::message::{Draft, Recipient};
use whatsapp_worker::store::Hint;

use super::linked_baileys;
use crate::sending::drafts::{bytes, content};
use crate::sending::send;
use crate::theatre::Theatre;

fn sha256(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

#[tokio::test]
async fn baileys_shows_every_kind_that_we_send() {
    let theatre = Theatre::open().await;
    let _worker = theatre.linked_worker("one").await;
    let mut baileys = linked_baileys(&theatre, &theatre.alice).await;
    let store = theatre.store().await;
    let shop = theatre.shop.jid().to_string();
    let asked = baileys
        .call("send_text", json!({"to": shop, "text": "which one?"}))
        .await;
    let asked = asked["id"].as_str().expect("an id").to_owned();
    let jobs = theatre.jobs_of(std::slice::from_ref(&asked)).await;
    let to = theatre.alice.phone_number();
    let shown = async |draft: Draft| {
        let row = send(&theatre, &store, &to, draft).await;
        baileys.message(&row.channel_message_id).await
    };

    let mut reply = Draft::text("this one");
    reply.quote = serde_json::from_value(json!({ "messageId": asked })).expect("a quote");
    reply.mentions = vec![Recipient::Jid(whatsapp_worker::ids::Jid::new(shop.clone()))];
    let reply = shown(reply).await;
    assert_eq!(
        (&reply["text"], &reply["details"]["quoted"]),
        (&json!("this one"), &json!(asked))
    );
    assert_eq!(reply["details"]["quotedText"], "which one?");
    assert_eq!(reply["details"]["mentions"], json!([shop]));

    for (kind, as_, file, mime) in [
        ("image", "imageMessage", "a.png", "image/png"),
        ("video", "videoMessage", "a.mp4", "video/mp4"),
        ("audio", "audioMessage", "a.mp3", "audio/mpeg"),
        ("voice", "audioMessage", "a.ogg", "audio/ogg; codecs=opus"),
        ("document", "documentMessage", "a.pdf", "application/pdf"),
        ("sticker", "stickerMessage", "a.webp", "image/webp"),
    ] {
        let message =
            shown(content(json!({ "type": kind, "media": { "path": file } })).into()).await;
        assert_eq!(message["kind"], as_, "{kind}");
        assert_eq!(
            message["media"]["sha256"],
            sha256(&bytes(file)),
            "{message}"
        );
        assert_eq!(message["details"]["mimetype"], mime);
        assert_eq!(message["details"]["voice"] == true, kind == "voice");
    }
    let captioned = json!({ "type": "document", "media": { "path": "a.pdf" }, "caption": "read", "fileName": "b.pdf" });
    let captioned = shown(content(captioned).into()).await;
    assert_eq!(
        (&captioned["text"], &captioned["details"]["fileName"]),
        (&json!("read"), &json!("b.pdf"))
    );

    let is = |message: &Value, kind: &str, details: Value| {
        assert_eq!(message["kind"], kind);
        for (name, value) in details.as_object().expect("fields") {
            assert_eq!(&message["details"][name], value, "{message}");
        }
    };
    let place = shown(
        content(
            json!({ "type": "location", "latitude": 52.5, "longitude": 13.25, "name": "here" }),
        )
        .into(),
    )
    .await;
    is(
        &place,
        "locationMessage",
        json!({ "latitude": 52.5, "longitude": 13.25, "name": "here" }),
    );
    let card = shown(
        content(
            json!({ "type": "contacts", "cards": [{ "name": "Ada", "phone": "+49151234567" }] }),
        )
        .into(),
    )
    .await;
    is(&card, "contactMessage", json!({ "name": "Ada" }));
    assert!(
        card["details"]["vcard"]
            .as_str()
            .expect("a card")
            .contains("waid=49151234567")
    );
    let poll = json!({ "type": "poll", "question": "when?", "options": ["now", "later"], "selectable": 1 });
    let poll = shown(content(poll).into()).await;
    is(
        &poll,
        "pollCreationMessageV3",
        json!({ "name": "when?", "options": ["now", "later"] }),
    );

    let target = json!({ "messageId": asked, "fromMe": false });
    let reaction =
        shown(content(json!({ "type": "reaction", "target": target, "emoji": "👍" })).into()).await;
    is(
        &reaction,
        "reactionMessage",
        json!({ "emoji": "👍", "target": asked }),
    );
    let first = shown(Draft::text("frist")).await;
    let edit = json!({ "type": "edit", "messageId": first["id"], "body": "first" });
    let edit = shown(content(edit).into()).await;
    assert_eq!(
        (&edit["target"], &edit["text"]),
        (&first["id"], &json!("first"))
    );
    let own = json!({ "messageId": first["id"], "fromMe": true });
    let revoke = shown(content(json!({ "type": "revoke", "target": own })).into()).await;
    is(
        &revoke,
        "protocolMessage",
        json!({ "target": first["id"], "type": 0 }),
    );

    let conv = &jobs
        .iter()
        .find(|job| job.channel_message_id == asked)
        .expect("queued")
        .conversation_id;
    let hinted = store
        .hint(&theatre.account, conv, Hint::Typing { ms: 100 })
        .await;
    assert!(hinted.expect("answers"));
    baileys
        .event("presence", |seen| seen["state"] == "composing")
        .await;
    let hinted = store.hint(&theatre.account, conv, Hint::Read).await;
    assert!(hinted.expect("answers"));
    // 4: read.
    baileys
        .event("receipt", |seen| seen["id"] == asked && seen["status"] == 4)
        .await;
    assert_eq!(baileys.events("closed"), Vec::<Value>::new());
    assert_eq!(theatre.sim.lint(), []);
    store.close().await;
    baileys.stop().await;
}
