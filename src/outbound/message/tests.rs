use serde_json::{Value, json};

use super::*;
use crate::ids::{ConversationId, Jid, Phone, UploadId};

fn draft(content: Value) -> Result<Draft, String> {
    serde_json::from_value(json!({ "content": content })).map_err(|error| error.to_string())
}

/// The field that is refused, or none.
fn refused(content: Value) -> Option<(String, String)> {
    let draft = draft(content).expect("readable");
    draft
        .check()
        .err()
        .map(|invalid| (invalid.field, invalid.why))
}

fn field(content: Value) -> Option<String> {
    refused(content).map(|(field, _)| field)
}

#[test]
fn every_kind_reads_back_as_it_was_written() {
    let upload = UploadId::new();
    let media = json!({ "upload": upload.as_str(), "mimeType": "image/png" });
    let target = json!({ "messageId": "3EB0AA", "fromMe": false, "author": "100000000000001@lid" });
    for content in [
        json!({ "type": "text", "body": "hello" }),
        json!({ "type": "reaction", "target": target, "emoji": "👍" }),
        json!({ "type": "reaction", "target": target }),
        json!({ "type": "edit", "messageId": "3EB0AA", "body": "better" }),
        json!({ "type": "revoke", "target": target }),
        json!({ "type": "image", "media": media, "caption": "look" }),
        json!({ "type": "video", "media": { "url": "https://example.org/a.mp4" } }),
        json!({ "type": "audio", "media": media }),
        json!({ "type": "voice", "media": { "path": "hello.ogg" } }),
        json!({ "type": "document", "media": media, "caption": "read", "fileName": "a.pdf" }),
        json!({ "type": "sticker", "media": media }),
        json!({ "type": "location", "latitude": 52.5, "longitude": 13.25, "name": "here", "address": "there" }),
        json!({ "type": "contacts", "cards": [{ "name": "Ada", "phone": "+49 151 1234567" }] }),
        json!({ "type": "poll", "question": "when?", "options": ["now", "later"], "selectable": 1 }),
    ] {
        let read = draft(content.clone()).expect("known");
        assert_eq!(read.check(), Ok(()), "{content}");
        assert_eq!(read.content.kind(), content["type"]);
        assert_eq!(
            serde_json::to_value(&read).expect("JSON"),
            json!({ "content": content })
        );
    }
}

#[test]
fn a_misspelt_or_missing_field_is_refused_by_name() {
    for (content, named) in [
        (
            json!({ "type": "text", "body": "x", "tpying": 1 }),
            "tpying",
        ),
        (json!({ "type": "text" }), "body"),
        (json!({ "type": "telegram" }), "telegram"),
        (
            json!({ "type": "audio", "media": {} }),
            "exactly one of url, upload and path",
        ),
        (
            json!({ "type": "audio", "media": { "url": "x", "path": "y" } }),
            "exactly one of",
        ),
        (
            json!({ "type": "audio", "media": { "upload": "../x" } }),
            "upload id",
        ),
    ] {
        let error = draft(content).expect_err("refused");
        assert!(error.contains(named), "{error}");
    }
    let error = serde_json::from_value::<Draft>(
        json!({ "content": { "type": "text", "body": "x" }, "too": "x" }),
    );
    assert!(error.expect_err("refused").to_string().contains("too"));
}

#[test]
fn text_has_a_least_and_a_longest_length_and_the_limit_is_said() {
    let text = |body: String| refused(json!({ "type": "text", "body": body }));
    assert_eq!(text("ä".repeat(TEXT_CHARS)), None);
    let (named, why) = text("ä".repeat(TEXT_CHARS + 1)).expect("too long");
    assert_eq!(
        (named.as_str(), why.as_str()),
        ("content.body", "65537 characters; the limit is 65536")
    );
    for empty in ["", " \n\t"] {
        assert_eq!(text(empty.to_owned()).expect("empty").1, "is empty");
    }
    assert!(text("a\0b".to_owned()).is_some());
    let caption =
        |n| field(json!({ "type": "image", "media": { "path": "a" }, "caption": "x".repeat(n) }));
    assert_eq!(caption(CAPTION_CHARS), None);
    assert_eq!(
        caption(CAPTION_CHARS + 1).as_deref(),
        Some("content.caption")
    );
    let edit = json!({ "type": "edit", "messageId": "A", "body": "" });
    assert_eq!(field(edit).as_deref(), Some("content.body"));
}

#[test]
fn coordinates_outside_the_globe_are_refused() {
    let at = |latitude: f64, longitude: f64| {
        let content = Outgoing::Location {
            latitude,
            longitude,
            name: None,
            address: None,
        };
        Draft::from(content)
            .check()
            .err()
            .map(|invalid| invalid.field)
    };
    assert_eq!(at(-90.0, 180.0), None);
    assert_eq!(at(90.1, 0.0).as_deref(), Some("content.latitude"));
    assert_eq!(at(0.0, -180.1).as_deref(), Some("content.longitude"));
    assert_eq!(at(f64::NAN, 0.0).as_deref(), Some("content.latitude"));
}

#[test]
fn a_poll_has_two_to_twelve_different_options() {
    let poll = |options: Vec<String>, selectable: u32| {
        field(
            json!({ "type": "poll", "question": "?", "options": options, "selectable": selectable }),
        )
    };
    let some = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(poll(some(2), 0), None);
    assert_eq!(poll(some(12), 12), None);
    assert_eq!(poll(some(1), 0).as_deref(), Some("content.options"));
    assert_eq!(poll(some(13), 0).as_deref(), Some("content.options"));
    assert_eq!(poll(some(2), 3).as_deref(), Some("content.selectable"));
    assert_eq!(
        poll(vec!["a".into(), "a".into()], 0).as_deref(),
        Some("content.options[1]")
    );
    assert_eq!(
        poll(vec!["a".into(), "x".repeat(101)], 0).as_deref(),
        Some("content.options[1]")
    );
}

#[test]
fn cards_have_a_number_or_a_vcard() {
    let card = |card: Value| field(json!({ "type": "contacts", "cards": [card] }));
    assert_eq!(
        card(json!({ "name": "A", "vcard": "BEGIN:VCARD\nEND:VCARD" })),
        None
    );
    assert_eq!(
        card(json!({ "name": "A" })).as_deref(),
        Some("content.cards[0]")
    );
    assert_eq!(
        card(json!({ "name": "A", "phone": "12" })).as_deref(),
        Some("content.cards[0].phone")
    );
    assert_eq!(
        card(json!({ "name": "A", "vcard": "hello" })).as_deref(),
        Some("content.cards[0].vcard")
    );
    assert_eq!(
        card(json!({ "name": "", "phone": "+4915112345" })).as_deref(),
        Some("content.cards[0].name")
    );
    assert_eq!(
        field(json!({ "type": "contacts", "cards": [] })).as_deref(),
        Some("content.cards")
    );
}

#[test]
fn reactions_are_one_emoji_on_a_message_with_an_id() {
    let on = |id: &str, emoji: &str| {
        field(
            json!({ "type": "reaction", "target": { "messageId": id, "fromMe": true }, "emoji": emoji }),
        )
    };
    for emoji in ["👍", "👨‍👩‍👧‍👦", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "#️⃣"]
    {
        assert_eq!(on("A", emoji), None, "{emoji}");
    }
    for none in ["", "yes", "a b"] {
        assert_eq!(on("A", none).as_deref(), Some("content.emoji"));
    }
    assert_eq!(on("", "👍").as_deref(), Some("content.target.messageId"));
    let by = |author: &str| {
        field(
            json!({ "type": "revoke", "target": { "messageId": "A", "fromMe": false, "author": author } }),
        )
    };
    assert_eq!(by("100000000000001@lid"), None);
    for nobody in ["120363000000000001@g.us", "somebody"] {
        assert_eq!(by(nobody).as_deref(), Some("content.target.author"));
    }
}

#[test]
fn media_urls_are_of_the_web_and_mime_types_are_some() {
    let media = |media: Value| field(json!({ "type": "image", "media": media }));
    assert_eq!(
        media(json!({ "url": "https://example.org/a", "mimeType": "audio/ogg; codecs=opus" })),
        None
    );
    for url in [
        "ftp://example.org/a",
        "file:///etc/passwd",
        "a.png",
        "https://",
    ] {
        assert_eq!(
            media(json!({ "url": url })).as_deref(),
            Some("content.media.url")
        );
    }
    assert_eq!(
        media(json!({ "path": "" })).as_deref(),
        Some("content.media.path")
    );
    for mime in ["png", "/", "image/", "image/p\nng"] {
        let refused = media(json!({ "path": "a", "mimeType": mime }));
        assert_eq!(refused.as_deref(), Some("content.media.mimeType"), "{mime}");
    }
}

#[test]
fn quotes_and_mentions_stand_where_they_can_be_shown() {
    let person = Recipient::Phone(Phone::parse("+49 151 1234567").expect("a number"));
    let group: Recipient = "120363000000000001@g.us".parse().expect("a group");
    let with = |content: Outgoing, mentions: Vec<Recipient>, author: Option<Recipient>| {
        let draft = Draft {
            mentions,
            quote: author.map(|author| QuoteRef {
                message_id: "A".to_owned(),
                author: Some(author),
                text: None,
            }),
            ..content.into()
        };
        draft.check().err().map(|invalid| invalid.field)
    };
    let text = || Outgoing::Text {
        body: "x".to_owned(),
    };
    let edit = || Outgoing::Edit {
        message_id: "A".to_owned(),
        body: "x".to_owned(),
    };
    let voice = || Outgoing::Voice {
        media: UploadId::new().into(),
    };
    assert_eq!(
        with(text(), vec![person.clone()], Some(person.clone())),
        None
    );
    assert_eq!(with(edit(), vec![person.clone()], None), None);
    assert_eq!(with(voice(), vec![], Some(person.clone())), None);
    assert_eq!(
        with(edit(), vec![], Some(person.clone())).as_deref(),
        Some("quote")
    );
    assert_eq!(
        with(voice(), vec![person], None).as_deref(),
        Some("mentions")
    );
    assert_eq!(
        with(text(), vec![group.clone()], None).as_deref(),
        Some("mentions[0]")
    );
    assert_eq!(
        with(text(), vec![], Some(group)).as_deref(),
        Some("quote.author")
    );
    let hasty = Draft {
        typing_ms: Some(60_001),
        ..Draft::text("x")
    };
    assert_eq!(hasty.check().expect_err("too long").field, "typingMs");
}

#[test]
fn recipients_are_read_in_every_form_and_written_in_one() {
    let conv = ConversationId::new();
    let phone = Recipient::Phone(Phone::parse("4915112345678").expect("a number"));
    let jid = |text: &str| Recipient::Jid(Jid::new(text));
    for (text, read) in [
        ("+49 (151) 123-456.78", phone.clone()),
        ("4915112345678", phone),
        (
            "4915112345678@s.whatsapp.net",
            jid("4915112345678@s.whatsapp.net"),
        ),
        ("4915112345678:3@c.us", jid("4915112345678@s.whatsapp.net")),
        ("100000000000001@lid", jid("100000000000001@lid")),
        ("120363000000000001@g.us", jid("120363000000000001@g.us")),
        (
            "4915112345678-1500000000@g.us",
            jid("4915112345678-1500000000@g.us"),
        ),
        (conv.as_str(), Recipient::Conversation(conv.clone())),
    ] {
        let parsed: Recipient = text.parse().expect("a recipient");
        assert_eq!(parsed, read);
        let written = String::from(parsed);
        assert_eq!(written.parse(), Ok(read), "{written}");
    }
    for nobody in [
        "",
        "Ada",
        "+49",
        "@lid",
        "x@lid",
        "1@",
        "1@example.org",
        "1@s.whatsapp.net@lid",
        "status@broadcast",
        "conv_",
        "conv_'; --",
        "1:@lid",
        "1-@g.us",
    ] {
        assert!(nobody.parse::<Recipient>().is_err(), "{nobody}");
    }
}

#[test]
fn recipients_print_masked() {
    for text in ["+4915112345678", "4915112345678@s.whatsapp.net"] {
        let recipient: Recipient = text.parse().expect("a recipient");
        let printed = format!("{recipient} {recipient:?}");
        assert!(!printed.contains("15112345"), "{printed}");
    }
}
