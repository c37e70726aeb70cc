use super::*;
use crate::inbound::message::{Chat, Content, Context, MessageKey, Party, Quote};
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

/// What another device of ours reads in it, over the wire.
fn echoed(outgoing: &Outgoing) -> (Content, Context) {
    let bytes = waproto::codec::message_to_vec(&message(outgoing, &chat(), NOW_MS));
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

#[test]
fn bare_text_is_a_conversation() {
    let message = message(&Outgoing::Text("hello".to_owned().into()), &chat(), NOW_MS);
    let expected = wa::Message {
        conversation: Some("hello".to_owned()),
        ..Default::default()
    };
    assert_eq!(message, expected);
}

#[test]
fn a_reply_reads_back_with_its_quote_and_mentions() {
    let author = Jid::new("100000000000001@lid");
    let reply = Outgoing::Text(Text {
        body: "@100000000000001 yes".to_owned(),
        quote: Some(Quoted {
            message_id: "QUOTED".to_owned(),
            author: author.clone(),
            text: "really?".to_owned(),
        }),
        mentions: vec![author.clone()],
    });
    let context = Context {
        quote: Some(Quote {
            message_id: "QUOTED".to_owned(),
            author: Some(author.clone()),
            text: Some("really?".to_owned()),
        }),
        mentions: vec![author],
        ..Context::default()
    };
    assert_eq!(echoed(&reply), (says("@100000000000001 yes"), context));
}

#[test]
fn acts_read_back_with_the_target_they_were_given() {
    let reaction = |emoji: Option<&str>| Outgoing::Reaction {
        target: target(false),
        emoji: emoji.map(str::to_owned),
    };
    for emoji in [Some("👍"), None] {
        let content = Content::Reaction {
            target: target(false),
            emoji: emoji.map(str::to_owned),
        };
        assert_eq!(echoed(&reaction(emoji)).0, content);
    }
    for from_me in [true, false] {
        let revoke = Outgoing::Revoke {
            target: target(from_me),
        };
        let content = Content::Revoke {
            target: target(from_me),
        };
        assert_eq!(echoed(&revoke).0, content);
    }
    let edit = Outgoing::Edit {
        message_id: "TARGET".to_owned(),
        text: "better".to_owned().into(),
    };
    let content = Content::Edit {
        target: target(true),
        content: Box::new(says("better")),
    };
    assert_eq!(echoed(&edit).0, content);
}

#[test]
fn the_library_finds_the_edit_attribute_that_each_act_needs() {
    let attribute = |outgoing: &Outgoing| {
        EditAttribute::infer_from_message(&message(outgoing, &chat(), NOW_MS))
    };
    let edit = Outgoing::Edit {
        message_id: "TARGET".to_owned(),
        text: "better".to_owned().into(),
    };
    let revoke = |from_me| Outgoing::Revoke {
        target: target(from_me),
    };
    let unreact = Outgoing::Reaction {
        target: target(false),
        emoji: None,
    };
    assert_eq!(attribute(&edit), Some(EditAttribute::MessageEdit));
    assert_eq!(attribute(&revoke(true)), Some(EditAttribute::SenderRevoke));
    assert_eq!(attribute(&revoke(false)), Some(EditAttribute::AdminRevoke));
    assert_eq!(attribute(&unreact), Some(EditAttribute::SenderRevoke));
    assert_eq!(attribute(&Outgoing::Text("x".to_owned().into())), None);
}

#[test]
fn reactions_and_edits_say_when_they_were_made() {
    let reaction = Outgoing::Reaction {
        target: target(false),
        emoji: Some("👍".to_owned()),
    };
    let encoded = message(&reaction, &chat(), NOW_MS);
    let reaction = encoded.reaction_message.as_option().expect("a reaction");
    assert_eq!(reaction.sender_timestamp_ms, Some(NOW_MS));
    let edit = Outgoing::Edit {
        message_id: "TARGET".to_owned(),
        text: "better".to_owned().into(),
    };
    let encoded = message(&edit, &chat(), NOW_MS);
    let protocol = encoded.protocol_message.as_option().expect("an edit");
    assert_eq!(protocol.timestamp_ms, Some(NOW_MS));
}
