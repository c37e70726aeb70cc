//! The protobufs of the kinds of messages that need more than one field.

use wacore_binary::{Jid, JidExt as _};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message;

use super::MessageRef;
use super::outbox::Letterhead;

pub(super) fn key(head: &Letterhead, target: &MessageRef) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(head.chat.to_string()),
        from_me: Some(target.from_me),
        id: Some(target.id.clone()),
        participant: head.chat.is_group().then(|| target.author.to_string()),
    }
}

pub(super) fn own_key(head: &Letterhead, id: &str) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(head.chat.to_string()),
        from_me: Some(true),
        id: Some(id.to_owned()),
        participant: None,
    }
}

pub(super) fn edit(head: &Letterhead, target: &str, text: &str) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(message::ProtocolMessage {
            key: MessageField::some(own_key(head, target)),
            r#type: Some(message::protocol_message::Type::MESSAGE_EDIT),
            edited_message: MessageField::some(wa::Message {
                conversation: Some(text.to_owned()),
                ..Default::default()
            }),
            timestamp_ms: Some(super::now_ms()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn extended_text(
    head: &Letterhead,
    text: &str,
    quote: Option<&(MessageRef, String)>,
    mentions: &[Jid],
) -> wa::Message {
    let mut context = wa::ContextInfo {
        mentioned_jid: mentions.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    if let Some((target, quoted)) = quote {
        context.stanza_id = Some(target.id.clone());
        let author = if target.from_me {
            &head.author
        } else {
            &target.author
        };
        context.participant = Some(author.to_string());
        context.quoted_message = MessageField::some(wa::Message {
            conversation: Some(quoted.clone()),
            ..Default::default()
        });
    }
    wa::Message {
        extended_text_message: MessageField::some(message::ExtendedTextMessage {
            text: Some(text.to_owned()),
            context_info: MessageField::some(context),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn poll(question: &str, options: &[String]) -> wa::Message {
    let options = options
        .iter()
        .map(|option| message::poll_creation_message::Option {
            option_name: Some(option.clone()),
            ..Default::default()
        });
    wa::Message {
        poll_creation_message_v3: MessageField::some(message::PollCreationMessage {
            name: Some(question.to_owned()),
            options: options.collect(),
            selectable_options_count: Some(1),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn button_reply(id: &str, text: &str) -> wa::Message {
    use message::buttons_response_message::{Response, Type};
    wa::Message {
        buttons_response_message: MessageField::some(message::ButtonsResponseMessage {
            selected_button_id: Some(id.to_owned()),
            r#type: Some(Type::DISPLAY_TEXT),
            response: Some(Response::SelectedDisplayText(text.to_owned())),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn list_reply(row_id: &str, title: &str) -> wa::Message {
    use message::list_response_message::{ListType, SingleSelectReply};
    wa::Message {
        list_response_message: MessageField::some(message::ListResponseMessage {
            title: Some(title.to_owned()),
            list_type: Some(ListType::SINGLE_SELECT),
            single_select_reply: MessageField::some(SingleSelectReply {
                selected_row_id: Some(row_id.to_owned()),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn wrapped(inner: wa::Message) -> MessageField<message::FutureProofMessage> {
    MessageField::some(message::FutureProofMessage {
        message: MessageField::some(inner),
    })
}

pub(super) fn view_once(mut inner: wa::Message) -> wa::Message {
    if let Some(image) = inner.image_message.as_option_mut() {
        image.view_once = Some(true);
    }
    if let Some(video) = inner.video_message.as_option_mut() {
        video.view_once = Some(true);
    }
    if let Some(audio) = inner.audio_message.as_option_mut() {
        audio.view_once = Some(true);
    }
    inner
}

/// A chat's timer rides in the context of the text, so plain text becomes extended text.
pub(super) fn timed(mut inner: wa::Message, expiration_s: u32) -> wa::Message {
    if let Some(text) = inner.conversation.take() {
        inner.extended_text_message = MessageField::some(message::ExtendedTextMessage {
            text: Some(text),
            ..Default::default()
        });
    }
    if let Some(text) = inner.extended_text_message.as_option_mut() {
        let mut context = text.context_info.take().unwrap_or_default();
        context.expiration = Some(expiration_s);
        text.context_info = MessageField::some(context);
    }
    inner
}
