//! What we send, as WhatsApp's messages: the way back of [`decode`](super::decode).
//!
//! Keys are written from our own side, as their readers expect of a sender. The shapes follow what
//! the official web client puts on the wire: bare text as `conversation`, text with a quote or
//! mentions as `extendedTextMessage`, edits and revokes as `protocolMessage`, a captioned document in
//! a wrapper, a poll with one choice as version 3.

mod card;
mod file;

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message;
use waproto::whatsapp::message::protocol_message::Type;

pub use self::file::SentFile;
use crate::ids::Jid;
use crate::inbound::message::Target;
use crate::outbound::message::{Draft, Outgoing, Recipient};

/// What a message is written with, beside what it says.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Where it goes.
    pub chat: &'a Jid,
    /// Unix time: reactions and edits carry when they were made, so that a late one does not undo a
    /// newer.
    pub now_ms: i64,
    /// With what votes on a poll are sealed: the same one each time a poll is sent again.
    pub poll_secret: &'a [u8; 32],
    /// Where its file is, for kinds that have one.
    pub file: Option<&'a SentFile>,
}

/// The message to hand to the library; `None` for a kind with a file that is not there. A quote
/// without an author is of the chat's other person.
pub fn message(draft: &Draft, scene: &Scene<'_>) -> Option<wa::Message> {
    let context = context(draft, scene);
    let message = match &draft.content {
        Outgoing::Text { body } => text(body, context),
        Outgoing::Reaction { target, emoji } => wa::Message {
            reaction_message: MessageField::some(message::ReactionMessage {
                key: MessageField::some(key(target, scene.chat)),
                text: Some(emoji.clone().unwrap_or_default()),
                sender_timestamp_ms: Some(scene.now_ms),
                ..Default::default()
            }),
            ..Default::default()
        },
        Outgoing::Edit { message_id, body } => {
            let target = Target {
                message_id: message_id.clone(),
                from_me: true,
                author: None,
            };
            protocol(message::ProtocolMessage {
                key: MessageField::some(key(&target, scene.chat)),
                r#type: Some(Type::MESSAGE_EDIT),
                edited_message: MessageField::some(text(body, context)),
                timestamp_ms: Some(scene.now_ms),
                ..Default::default()
            })
        }
        Outgoing::Revoke { target } => protocol(message::ProtocolMessage {
            key: MessageField::some(key(target, scene.chat)),
            r#type: Some(Type::REVOKE),
            ..Default::default()
        }),
        Outgoing::Image { caption, .. } => scene.file?.image(caption.clone(), context),
        Outgoing::Video { caption, .. } => scene.file?.video(caption.clone(), context),
        Outgoing::Audio { .. } => scene.file?.audio(false, context),
        Outgoing::Voice { .. } => scene.file?.audio(true, context),
        Outgoing::Document {
            caption, file_name, ..
        } => scene
            .file?
            .document(caption.clone(), file_name.as_deref(), context),
        Outgoing::Sticker { .. } => scene.file?.sticker(context),
        Outgoing::Location {
            latitude,
            longitude,
            name,
            address,
        } => wa::Message {
            location_message: MessageField::some(message::LocationMessage {
                degrees_latitude: Some(*latitude),
                degrees_longitude: Some(*longitude),
                name: name.clone(),
                address: address.clone(),
                context_info: context.into(),
                ..Default::default()
            }),
            ..Default::default()
        },
        Outgoing::Contacts { cards } => card::message(cards, context),
        Outgoing::Poll {
            question,
            options,
            selectable,
        } => poll(question, options, *selectable, scene, context),
    };
    Some(message)
}

fn protocol(protocol: message::ProtocolMessage) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(protocol),
        ..Default::default()
    }
}

fn text(body: &str, context: Option<wa::ContextInfo>) -> wa::Message {
    if context.is_none() {
        return wa::Message {
            conversation: Some(body.to_owned()),
            ..Default::default()
        };
    }
    wa::Message {
        extended_text_message: MessageField::some(message::ExtendedTextMessage {
            text: Some(body.to_owned()),
            context_info: context.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn poll(
    question: &str,
    options: &[String],
    selectable: u32,
    scene: &Scene<'_>,
    context: Option<wa::ContextInfo>,
) -> wa::Message {
    let option = |name: &String| message::poll_creation_message::Option {
        option_name: Some(name.clone()),
        ..Default::default()
    };
    let poll = MessageField::some(message::PollCreationMessage {
        name: Some(question.to_owned()),
        options: options.iter().map(option).collect(),
        selectable_options_count: Some(selectable),
        context_info: context.into(),
        ..Default::default()
    });
    let mut message = wa::Message {
        message_context_info: MessageField::some(wa::MessageContextInfo {
            message_secret: Some(scene.poll_secret.to_vec()),
            ..Default::default()
        }),
        ..Default::default()
    };
    if selectable == 1 {
        message.poll_creation_message_v3 = poll;
    } else {
        message.poll_creation_message = poll;
    }
    message
}

/// Quote and mentions, where there are any.
fn context(draft: &Draft, scene: &Scene<'_>) -> Option<wa::ContextInfo> {
    if draft.quote.is_none() && draft.mentions.is_empty() {
        return None;
    }
    let mut context = wa::ContextInfo {
        mentioned_jid: draft
            .mentions
            .iter()
            .filter_map(Recipient::jid)
            .map(|jid| wire(&jid))
            .collect(),
        ..Default::default()
    };
    if let Some(quote) = &draft.quote {
        let author = quote.author.as_ref().and_then(Recipient::jid);
        context.stanza_id = Some(quote.message_id.clone());
        context.participant = Some(wire(author.as_ref().unwrap_or(scene.chat)));
        context.quoted_message = MessageField::some(wa::Message {
            conversation: Some(quote.text.clone().unwrap_or_default()),
            ..Default::default()
        });
    }
    Some(context)
}

/// The author is named where the chat does not tell it: others' messages in groups.
fn key(target: &Target, chat: &Jid) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(wire(chat)),
        from_me: Some(target.from_me),
        id: Some(target.message_id.clone()),
        participant: target
            .author
            .as_ref()
            .filter(|_| !target.from_me && chat.server() == "g.us")
            .map(wire),
    }
}

fn wire(jid: &Jid) -> String {
    jid.as_str().to_owned()
}

#[cfg(test)]
mod tests;
