use super::*;
use crate::inbound::message::Quote;
use wacore::types::message::EditAttribute;

fn future(message: wa::Message) -> MessageField<wa::message::FutureProofMessage> {
    MessageField::some(wa::message::FutureProofMessage {
        message: MessageField::some(message),
    })
}

macro_rules! wrap {
    ($field:ident, $message:expr) => {
        wa::Message {
            $field: future($message),
            ..Default::default()
        }
    };
}

#[test]
fn view_once_is_told_by_wrapper_or_by_the_file_itself() {
    let image = |view_once| wa::Message {
        image_message: MessageField::some(wa::message::ImageMessage {
            view_once,
            ..Default::default()
        }),
        ..Default::default()
    };
    for message in [
        wrap!(view_once_message, image(None)),
        wrap!(view_once_message_v2, image(None)),
        wrap!(view_once_message_v2_extension, image(None)),
        wrap!(ephemeral_message, wrap!(view_once_message_v2, image(None))),
        image(Some(true)),
    ] {
        let mut expected = decoded(
            &message,
            Content::Image {
                media: Default::default(),
            },
        );
        expected.context.view_once = true;
        assert_eq!(inbound(&message, &direct(), &us()), expected);
    }
    assert!(!inbound(&image(None), &direct(), &us()).context.view_once);
}

#[test]
fn neutral_wrappers_leave_what_is_said() {
    for message in [
        wrap!(ephemeral_message, text("hello")),
        wrap!(document_with_caption_message, text("hello")),
        wrap!(group_mentioned_message, text("hello")),
        wrap!(associated_child_message, text("hello")),
        wrap!(bot_invoke_message, text("hello")),
        wrap!(spoiler_message, text("hello")),
        wrap!(question_message, wrap!(ephemeral_message, text("hello"))),
        wa::Message {
            device_sent_message: MessageField::some(wa::message::DeviceSentMessage {
                message: MessageField::some(wrap!(ephemeral_message, text("hello"))),
                ..Default::default()
            }),
            ..Default::default()
        },
    ] {
        assert_eq!(
            inbound(&message, &direct(), &us()),
            decoded(&message, says("hello"))
        );
    }
}

#[test]
fn the_lifetime_comes_from_the_message_or_its_envelope() {
    let mut info = direct();
    assert_eq!(
        inbound(&text("x"), &info, &us()).context.ephemeral_seconds,
        None
    );
    info.ephemeral_expiration = Some(604_800);
    let context = inbound(&text("x"), &info, &us()).context;
    assert_eq!(context.ephemeral_seconds, Some(604_800));
}

#[test]
fn a_history_shaped_edit_is_an_edit() {
    let protocol = wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            key: wire_key(true, None),
            r#type: Some(wa::message::protocol_message::Type::MESSAGE_EDIT),
            edited_message: MessageField::some(text("better")),
            ..Default::default()
        }),
        ..Default::default()
    };
    let content = Content::Edit {
        target: target(false, None),
        content: Box::new(says("better")),
    };
    assert_eq!(
        content_of(&wrap!(edited_message, protocol), &direct()),
        content
    );
}

#[test]
fn an_edit_told_by_the_envelope_alone_replaces_the_message_of_that_id() {
    let replaced = |id: &str| Content::Edit {
        target: Target {
            message_id: id.to_owned(),
            from_me: false,
            author: None,
        },
        content: Box::new(says("better")),
    };
    let mut info = direct();
    info.edit = EditAttribute::AdminEdit;
    assert_eq!(content_of(&text("better"), &info), replaced("3EB0AA"));
    info.meta_info.target_id = Some("FIRST".to_owned());
    assert_eq!(content_of(&text("better"), &info), replaced("FIRST"));
    info.edit = EditAttribute::SenderRevoke;
    assert_eq!(content_of(&text("better"), &info), says("better"));
}

#[test]
fn a_comment_is_a_reply_to_its_post() {
    let quote = Some(Quote {
        message_id: "TARGET".to_owned(),
        author: Some(Jid::new(OUR_LID)),
        text: None,
    });
    let key = wire_key(false, Some(OUR_LID));
    let message = wa::Message {
        comment_message: MessageField::some(wa::message::CommentMessage {
            message: MessageField::some(text("nice")),
            target_message_key: key.clone(),
        }),
        ..Default::default()
    };
    let decoded = inbound(&message, &group(), &us());
    assert_eq!(
        (decoded.content, decoded.context.quote),
        (Ok(says("nice")), quote.clone())
    );

    let mut info = group();
    info.comment_target = key.into_option();
    let opened_by_the_library = inbound(&text("nice"), &info, &us());
    assert_eq!(opened_by_the_library.context.quote, quote);
}

#[test]
fn wrappers_without_end_are_malformed() {
    let nested =
        |depth: usize| (0..depth).fold(text("deep"), |inner, _| wrap!(ephemeral_message, inner));
    assert_eq!(content_of(&nested(15), &direct()), says("deep"));
    assert_eq!(refusal_of(&nested(17)), "wrapped more than 16 times");
}
