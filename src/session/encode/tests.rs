use super::*;
use crate::ids::UploadId;
use crate::inbound::message::{
    Chat, ContactCard, Content, Context, Media, MessageKey, Party, Quote,
};
use crate::outbound::message::{Card, QuoteRef};
use crate::session::decode;
use wacore::types::message::{EditAttribute, MessageInfo, MessageSource};

const NOW_MS: i64 = 1_790_000_000_123;

fn us() -> Party {
    Party {
        pn: Some(Jid::new("4915199999999@s.whatsapp.net")),
        lid: None,
    }
}

fn chat() -> Jid {
    Jid::new("120363000000000001@g.us")
}

fn target(from_me: bool) -> Target {
    Target {
        message_id: "TARGET".to_owned(),
        from_me,
        author: Some(Jid::new(if from_me {
            "4915199999999@s.whatsapp.net"
        } else {
            "100000000000001@lid"
        })),
    }
}

fn file() -> SentFile {
    SentFile {
        url: "https://mmg.whatsapp.net/v/file.enc".to_owned(),
        direct_path: "/v/file.enc".to_owned(),
        media_key: [1; 32],
        sha256: [2; 32],
        enc_sha256: [3; 32],
        size: 4,
        key_made_s: 5,
        sidecar: Some(vec![6]),
        mime_type: "audio/ogg; codecs=opus".to_owned(),
        name: Some("given.pdf".to_owned()),
        seconds: Some(7),
    }
}

fn encoded(draft: &Draft) -> wa::Message {
    let (chat, file) = (chat(), file());
    let scene = Scene {
        chat: &chat,
        now_ms: NOW_MS,
        poll_secret: &[9; 32],
        file: Some(&file),
    };
    message(draft, &scene).expect("its file is there")
}

/// What another device of ours reads in it, over the wire.
fn echoed(draft: &Draft) -> (Content, Context) {
    let bytes = waproto::codec::message_to_vec(&encoded(draft));
    let message = waproto::codec::message_decode(&bytes).expect("our own bytes");
    let info = MessageInfo {
        id: "3EB0".to_owned(),
        source: MessageSource {
            chat: "120363000000000001@g.us".parse().expect("an address"),
            sender: "4915199999999:7@s.whatsapp.net"
                .parse()
                .expect("an address"),
            is_from_me: true,
            is_group: true,
            ..MessageSource::default()
        },
        ..MessageInfo::default()
    };
    let inbound = decode::inbound(&message, &info, &us());
    let jid = chat();
    let key = MessageKey {
        id: "3EB0".to_owned(),
        chat: Chat::Group { jid },
        sender: us(),
        from_me: true,
    };
    assert_eq!(inbound.key, key);
    (inbound.content.expect("decodable"), inbound.context)
}

fn says(body: &str) -> Content {
    Content::Text {
        body: body.to_owned(),
    }
}

fn quote() -> QuoteRef {
    QuoteRef {
        message_id: "QUOTED".to_owned(),
        author: "100000000000001@lid".parse().ok(),
        text: Some("really?".to_owned()),
    }
}

#[test]
fn bare_text_is_a_conversation() {
    let expected = wa::Message {
        conversation: Some("hello".to_owned()),
        ..Default::default()
    };
    assert_eq!(encoded(&Draft::text("hello")), expected);
}

#[test]
fn a_reply_reads_back_with_its_quote_and_mentions() {
    let author = Jid::new("100000000000001@lid");
    let reply = Draft {
        quote: Some(quote()),
        mentions: vec![
            Recipient::Jid(author.clone()),
            "+4915112345678".parse().expect("a number"),
        ],
        ..Draft::text("@100000000000001 yes")
    };
    let context = Context {
        quote: Some(Quote {
            message_id: "QUOTED".to_owned(),
            author: Some(author.clone()),
            text: Some("really?".to_owned()),
        }),
        mentions: vec![author, Jid::new("4915112345678@s.whatsapp.net")],
        ..Context::default()
    };
    assert_eq!(echoed(&reply), (says("@100000000000001 yes"), context));
}

#[test]
fn acts_read_back_with_the_target_they_were_given() {
    for emoji in [Some("👍".to_owned()), None] {
        let (target, emoji_) = (target(false), emoji.clone());
        let reaction = Outgoing::Reaction {
            target: target.clone(),
            emoji,
        };
        let content = Content::Reaction {
            target,
            emoji: emoji_,
        };
        assert_eq!(echoed(&reaction.into()).0, content);
    }
    for from_me in [true, false] {
        let revoke = Outgoing::Revoke {
            target: target(from_me),
        };
        let content = Content::Revoke {
            target: target(from_me),
        };
        assert_eq!(echoed(&revoke.into()).0, content);
    }
    let content = Content::Edit {
        target: target(true),
        content: Box::new(says("better")),
    };
    assert_eq!(echoed(&edit()).0, content);
}

fn edit() -> Draft {
    let message_id = "TARGET".to_owned();
    Outgoing::Edit {
        message_id,
        body: "better".to_owned(),
    }
    .into()
}

#[test]
fn the_library_finds_the_edit_attribute_that_each_act_needs() {
    let attribute = |draft: &Draft| EditAttribute::infer_from_message(&encoded(draft));
    let revoke = |from_me| {
        Outgoing::Revoke {
            target: target(from_me),
        }
        .into()
    };
    let unreact = Outgoing::Reaction {
        target: target(false),
        emoji: None,
    };
    assert_eq!(attribute(&edit()), Some(EditAttribute::MessageEdit));
    assert_eq!(attribute(&revoke(true)), Some(EditAttribute::SenderRevoke));
    assert_eq!(attribute(&revoke(false)), Some(EditAttribute::AdminRevoke));
    assert_eq!(
        attribute(&unreact.into()),
        Some(EditAttribute::SenderRevoke)
    );
    assert_eq!(attribute(&Draft::text("x")), None);
}

#[test]
fn reactions_and_edits_say_when_they_were_made() {
    let reaction = Outgoing::Reaction {
        target: target(false),
        emoji: Some("👍".to_owned()),
    };
    let reaction = encoded(&reaction.into());
    let reaction = reaction.reaction_message.as_option().expect("a reaction");
    assert_eq!(reaction.sender_timestamp_ms, Some(NOW_MS));
    let edit = encoded(&edit());
    let edit = edit.protocol_message.as_option().expect("an edit");
    assert_eq!(edit.timestamp_ms, Some(NOW_MS));
}

#[test]
fn files_read_back_with_their_key_hashes_and_caption() {
    let media = || UploadId::new().into();
    let caption = || Some("look".to_owned());
    let expected = |caption: Option<String>| Media {
        mime_type: "audio/ogg; codecs=opus".to_owned(),
        size: 4,
        sha256: "02".repeat(32),
        enc_sha256: "03".repeat(32),
        media_key: "01".repeat(32),
        direct_path: "/v/file.enc".to_owned(),
        url: Some("https://mmg.whatsapp.net/v/file.enc".to_owned()),
        caption,
        ..Media::default()
    };
    let timed = |caption| Media {
        duration_seconds: Some(7),
        ..expected(caption)
    };
    let named = |caption, name: &str| Media {
        file_name: Some(name.to_owned()),
        ..expected(caption)
    };
    let document = |caption, name: Option<&str>| Outgoing::Document {
        media: media(),
        caption,
        file_name: name.map(str::to_owned),
    };
    for (sent, read) in [
        (
            Outgoing::Image {
                media: media(),
                caption: caption(),
            },
            Content::Image {
                media: expected(caption()),
            },
        ),
        (
            Outgoing::Video {
                media: media(),
                caption: None,
            },
            Content::Video {
                media: timed(None),
                gif: false,
            },
        ),
        (
            Outgoing::Audio { media: media() },
            Content::Audio {
                media: timed(None),
                voice_note: false,
            },
        ),
        (
            Outgoing::Voice { media: media() },
            Content::Audio {
                media: timed(None),
                voice_note: true,
            },
        ),
        (
            Outgoing::Sticker { media: media() },
            Content::Sticker {
                media: expected(None),
                animated: false,
            },
        ),
        (
            document(caption(), Some("a.pdf")),
            Content::Document {
                media: named(caption(), "a.pdf"),
            },
        ),
        (
            document(None, None),
            Content::Document {
                media: named(None, "given.pdf"),
            },
        ),
    ] {
        let draft = Draft {
            quote: Some(quote()),
            ..sent.into()
        };
        let (content, context) = echoed(&draft);
        assert_eq!(content, read);
        assert_eq!(context.quote.expect("quoted").message_id, "QUOTED");
    }
}

#[test]
fn a_file_that_is_not_there_is_not_made_up() {
    let chat = chat();
    let scene = Scene {
        chat: &chat,
        now_ms: NOW_MS,
        poll_secret: &[9; 32],
        file: None,
    };
    let image = Outgoing::Image {
        media: UploadId::new().into(),
        caption: None,
    };
    assert_eq!(message(&image.into(), &scene), None);
    assert!(message(&Draft::text("x"), &scene).is_some());
}

#[test]
fn places_cards_and_polls_read_back() {
    let place = Outgoing::Location {
        latitude: 52.5,
        longitude: -13.25,
        name: Some("here".to_owned()),
        address: Some("there".to_owned()),
    };
    let read = Content::Location {
        latitude: 52.5,
        longitude: -13.25,
        name: Some("here".to_owned()),
        address: Some("there".to_owned()),
        live: false,
    };
    assert_eq!(echoed(&place.into()).0, read);
    for selectable in [0, 1, 2] {
        let (question, options) = (
            "when?".to_owned(),
            vec!["now".to_owned(), "later".to_owned()],
        );
        let poll = Outgoing::Poll {
            question: question.clone(),
            options: options.clone(),
            selectable,
        };
        let message = encoded(&poll.clone().into());
        let secret = message.message_context_info.as_option().expect("a context");
        assert_eq!(secret.message_secret.as_deref(), Some(&[9; 32][..]));
        assert_eq!(message.poll_creation_message_v3.is_set(), selectable == 1);
        assert_eq!(
            echoed(&poll.into()).0,
            Content::Poll {
                question,
                options,
                selectable
            }
        );
    }
}

#[test]
fn a_card_is_made_of_a_name_and_a_number() {
    let made = |name: &str| Card {
        name: name.to_owned(),
        phone: Some("+49 151 1234567".to_owned()),
        vcard: None,
    };
    let given = Card {
        name: "Bob".to_owned(),
        phone: None,
        vcard: Some("BEGIN:VCARD\nEND:VCARD".to_owned()),
    };
    let read = |cards: Vec<Card>| match echoed(&Outgoing::Contacts { cards }.into()).0 {
        Content::Contacts { cards } => cards,
        other => panic!("{other:?}"),
    };
    let [ada]: [ContactCard; 1] = read(vec![made("Ada; N:\nX")]).try_into().expect("one");
    assert_eq!(ada.name, "Ada; N:\nX");
    let expected = "BEGIN:VCARD\nVERSION:3.0\nN:;Ada\\; N:\\nX;;;\nFN:Ada\\; N:\\nX\nTEL;type=CELL;waid=491511234567:+491511234567\nEND:VCARD";
    assert_eq!(ada.vcard, expected);
    let both = read(vec![made("Ada"), given]);
    assert_eq!(both[1].vcard, "BEGIN:VCARD\nEND:VCARD");
    assert_eq!(both.len(), 2);
}
