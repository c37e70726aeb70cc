//! Every kind of message.

use simulator::people::{Attachment, Content, MediaKind, MessageRef};

use crate::{Stage, hash};

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
