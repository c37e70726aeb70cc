//! What we send, as WhatsApp's messages: the way back of [`decode`](super::decode).
//!
//! Keys are written from our own side, as their readers expect of a sender. The shapes follow what
//! the official web client puts on the wire: bare text as `conversation`, text with a quote or
//! mentions as `extendedTextMessage`, edits and revokes as `protocolMessage`.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type;

use crate::ids::Jid;
use crate::inbound::message::Target;

/// Something to send into a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Text, perhaps as a reply.
    Text(Text),
    /// An emoji on a message, or `None` to take ours off.
    Reaction {
        /// The message.
        target: Target,
        /// One emoji.
        emoji: Option<String>,
    },
    /// One of our own messages says something else now.
    Edit {
        /// The id of our message.
        message_id: String,
        /// What it says now.
        text: Text,
    },
    /// A message is deleted for everyone: our own, or in a group that we administer anybody's.
    Revoke {
        /// The message.
        target: Target,
    },
}

/// Text with what surrounds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The text. Each mention stands in it as `@` and the user part of the address.
    pub body: String,
    /// The message that it replies to.
    pub quote: Option<Quoted>,
    /// Who is mentioned.
    pub mentions: Vec<Jid>,
}

/// The message that a reply shows above itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Its id.
    pub message_id: String,
    /// Its author, in the form that the chat uses.
    pub author: Jid,
    /// Its text or caption; empty for a message without words.
    pub text: String,
}

impl From<String> for Text {
    fn from(body: String) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }
}

/// The message to hand to the library, for sending into `chat`. `now_ms` is Unix time: reactions and
/// edits carry when they were made, so that a late one does not undo a newer.
pub fn message(outgoing: &Outgoing, chat: &Jid, now_ms: i64) -> wa::Message {
    match outgoing {
        Outgoing::Text(text) => text_message(text),
        Outgoing::Reaction { target, emoji } => wa::Message {
            reaction_message: MessageField::some(wa::message::ReactionMessage {
                key: MessageField::some(key(target, chat)),
                text: Some(emoji.clone().unwrap_or_default()),
                sender_timestamp_ms: Some(now_ms),
                ..Default::default()
            }),
            ..Default::default()
        },
        Outgoing::Edit { message_id, text } => {
            let target = Target {
                message_id: message_id.clone(),
                from_me: true,
                author: None,
            };
            protocol(wa::message::ProtocolMessage {
                key: MessageField::some(key(&target, chat)),
                r#type: Some(Type::MESSAGE_EDIT),
                edited_message: MessageField::some(text_message(text)),
                timestamp_ms: Some(now_ms),
                ..Default::default()
            })
        }
        Outgoing::Revoke { target } => protocol(wa::message::ProtocolMessage {
            key: MessageField::some(key(target, chat)),
            r#type: Some(Type::REVOKE),
            ..Default::default()
        }),
    }
}

fn protocol(protocol: wa::message::ProtocolMessage) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(protocol),
        ..Default::default()
    }
}

fn text_message(text: &Text) -> wa::Message {
    if text.quote.is_none() && text.mentions.is_empty() {
        return wa::Message {
            conversation: Some(text.body.clone()),
            ..Default::default()
        };
    }
    let mut context = wa::ContextInfo {
        mentioned_jid: text.mentions.iter().map(wire).collect(),
        ..Default::default()
    };
    if let Some(quote) = &text.quote {
        context.stanza_id = Some(quote.message_id.clone());
        context.participant = Some(wire(&quote.author));
        context.quoted_message = MessageField::some(wa::Message {
            conversation: Some(quote.text.clone()),
            ..Default::default()
        });
    }
    wa::Message {
        extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
            text: Some(text.body.clone()),
            context_info: MessageField::some(context),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The author is named where the chat does not tell it: others' messages in groups.
fn key(target: &Target, chat: &Jid) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(wire(chat)),
        from_me: Some(target.from_me),
        id: Some(target.message_id.clone()),
        participant: target.author.as_ref().filter(|_| !target.from_me).map(wire),
    }
}

fn wire(jid: &Jid) -> String {
    jid.as_str().to_owned()
}

#[cfg(test)]
mod tests;
