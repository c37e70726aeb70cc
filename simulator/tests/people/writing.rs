//! What phones write.

use simulator::media::MediaStore;
use simulator::people::{Content, Kind, MessageRef, PeopleError, Phone, Received};
use wacore::message_edit::{MessageEditContext, decrypt_message_edit};

use crate::{jid, letterhead, text_of};

#[test]
fn every_kind_of_content_reads_as_that_kind() {
    let media = MediaStore::new("127.0.0.1:1");
    let mut phone = Phone::generate();
    let target = MessageRef {
        id: "M0".to_owned(),
        from_me: false,
        author: jid("200@lid"),
    };
    let (id, text) = ("M0".to_owned(), "t".to_owned());
    let kinds = [
        (Content::Text(text.clone()), Kind::Text, "text", None),
        (
            Content::ExtendedText {
                text: text.clone(),
                quote: Some((target.clone(), "quoted".to_owned())),
                mentions: vec![jid("200@lid")],
            },
            Kind::Text,
            "text",
            None,
        ),
        (
            Content::Location {
                latitude: 1.0,
                longitude: 2.0,
                name: Some(text.clone()),
            },
            Kind::Location,
            "media",
            None,
        ),
        (
            Content::Contact {
                name: text.clone(),
                vcard: "BEGIN:VCARD".to_owned(),
            },
            Kind::Contact,
            "media",
            None,
        ),
        (
            Content::Poll {
                question: text.clone(),
                options: vec!["a".to_owned(), "b".to_owned()],
            },
            Kind::Poll,
            "poll",
            None,
        ),
        (
            Content::Reaction {
                target: target.clone(),
                emoji: text.clone(),
            },
            Kind::Reaction,
            "reaction",
            None,
        ),
        (
            Content::Edit {
                target: id.clone(),
                text: text.clone(),
            },
            Kind::Edit,
            "text",
            Some("1"),
        ),
        (
            Content::Ephemeral {
                content: Box::new(Content::Text(text.clone())),
                expiration_s: 60,
            },
            Kind::Text,
            "text",
            None,
        ),
    ];
    for (content, kind, stanza_type, edit) in kinds {
        let composed = phone.compose(&letterhead("M1"), &content, &media).unwrap();
        let decoded = waproto::codec::message_decode(&composed.plaintext).unwrap();
        let read = Received::read(decoded);
        assert_eq!(
            (read.kind, read.text.as_deref()),
            (kind, Some("t")),
            "{content:?}"
        );
        assert_eq!(composed.stanza_type, stanza_type, "{content:?}");
        assert_eq!(composed.edit.as_deref(), edit, "{content:?}");
        let copy = composed.device_sent(&jid("200@lid"));
        let copy = Received::read(waproto::codec::message_decode(&copy).unwrap());
        assert_eq!(
            (copy.kind, copy.sent_to.as_deref()),
            (kind, Some("200@lid"))
        );
    }
    let revoke = Content::Revoke { target: id };
    let composed = phone.compose(&letterhead("M2"), &revoke, &media).unwrap();
    assert_eq!(composed.edit.as_deref(), Some("7"));
    let read = Received::read(composed.message().unwrap().clone());
    assert_eq!(
        (read.kind, read.target.as_deref()),
        (Kind::Revoke, Some("M0"))
    );
}

#[test]
fn a_sealed_edit_opens_with_the_secret_of_its_message() {
    let media = MediaStore::new("127.0.0.1:1");
    let mut phone = Phone::generate();
    let edit = Content::SealedEdit {
        target: "M1".to_owned(),
        text: "better".to_owned(),
    };
    let early = phone.compose(&letterhead("E1"), &edit, &media);
    assert!(
        matches!(early, Err(PeopleError::UnknownMessage)),
        "{early:?}"
    );

    let text = Content::Text("good".to_owned());
    let original = phone.compose(&letterhead("M1"), &text, &media).unwrap();
    let info = original
        .message()
        .unwrap()
        .message_context_info
        .as_option()
        .unwrap();
    let sealed = phone.compose(&letterhead("E1"), &edit, &media).unwrap();
    assert_eq!(sealed.edit.as_deref(), Some("1"));
    let envelope = sealed
        .message()
        .unwrap()
        .secret_encrypted_message
        .as_option()
        .unwrap();
    let opened = decrypt_message_edit(
        envelope.enc_payload.as_deref().unwrap(),
        envelope.enc_iv.as_deref().unwrap(),
        info.message_secret.as_deref().unwrap(),
        &MessageEditContext {
            original_msg_id: "M1",
            original_sender_jid: "100@lid",
            editor_jid: "100@lid",
        },
    )
    .unwrap();
    assert_eq!(text_of(opened).as_deref(), Some("better"));
}
