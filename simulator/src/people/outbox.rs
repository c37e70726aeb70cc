//! Turning content into protobufs, with what the stanza around them needs.

use std::collections::{HashMap, VecDeque};

use wacore::message_edit::{MessageEditContext, encrypt_message_edit};
use wacore::types::message::EditAttribute;
use wacore_binary::{Jid, JidExt as _};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message;

use crate::media::MediaStore;

use super::content::{Content, MessageRef};
use super::{PeopleError, attachment};

/// How many secrets of own messages a phone remembers; older messages cannot be edited sealed.
const REMEMBERED: usize = 4096;

/// From whom to whom a message goes.
#[derive(Debug, Clone)]
pub struct Letterhead {
    /// The message id.
    pub id: String,
    /// The chat: a person or a group, without device.
    pub chat: Jid,
    /// The writer without device, in the addressing of the chat.
    pub author: Jid,
}

/// A message ready to be encrypted.
#[derive(Debug, Clone)]
pub struct Composed {
    /// The encoded `Message`, not padded.
    pub plaintext: Vec<u8>,
    /// The `type` attribute of `<message>`.
    pub stanza_type: &'static str,
    /// The `mediatype` attribute of `<enc>`.
    pub media_type: Option<&'static str>,
    /// The `edit` attribute of `<message>`.
    pub edit: Option<String>,
    message: Option<wa::Message>,
}

impl Composed {
    /// The same message as a copy for the writer's own companions; `chat` without device.
    pub fn device_sent(&self, chat: &Jid) -> Vec<u8> {
        match &self.message {
            Some(message) => waproto::codec::message_to_vec(&wacore::messages::wrap_device_sent(
                message.clone(),
                chat.to_string(),
            )),
            None => self.plaintext.clone(),
        }
    }

    /// The protobuf, `None` for bytes that are none.
    pub fn message(&self) -> Option<&wa::Message> {
        self.message.as_ref()
    }

    fn new(message: wa::Message) -> Self {
        Self {
            plaintext: waproto::codec::message_to_vec(&message),
            stanza_type: wacore::send::stanza_type_from_message(&message),
            media_type: wacore::send::media_type_from_message(&message),
            edit: EditAttribute::infer_from_message(&message)
                .map(|edit| edit.to_string_val().to_owned()),
            message: Some(message),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    secrets: HashMap<String, [u8; 32]>,
    order: VecDeque<String>,
}

impl Outbox {
    pub(super) fn compose(
        &mut self,
        head: &Letterhead,
        content: &Content,
        media: &MediaStore,
    ) -> Result<Composed, PeopleError> {
        if let Content::Undecodable(bytes) = content {
            return Ok(Composed {
                plaintext: bytes.clone(),
                stanza_type: "text",
                media_type: None,
                edit: None,
                message: None,
            });
        }
        let mut message = self.build(head, content, media)?;
        if carries_secret(content) && !message.message_context_info.is_set() {
            message.message_context_info = MessageField::some(wa::MessageContextInfo {
                message_secret: Some(self.remember(&head.id).to_vec()),
                ..Default::default()
            });
        }
        Ok(Composed::new(message))
    }

    fn remember(&mut self, id: &str) -> [u8; 32] {
        if let Some(secret) = self.secrets.get(id) {
            return *secret;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.secrets.remove(&oldest);
        }
        let secret = super::random_bytes();
        self.secrets.insert(id.to_owned(), secret);
        self.order.push_back(id.to_owned());
        secret
    }

    fn build(
        &self,
        head: &Letterhead,
        content: &Content,
        media: &MediaStore,
    ) -> Result<wa::Message, PeopleError> {
        Ok(match content {
            Content::Text(text) => wa::Message {
                conversation: Some(text.clone()),
                ..Default::default()
            },
            Content::ExtendedText {
                text,
                quote,
                mentions,
            } => extended_text(head, text, quote.as_ref(), mentions),
            Content::Media(attachment) => attachment::build(attachment, media)?,
            Content::Location {
                latitude,
                longitude,
                name,
            } => wa::Message {
                location_message: MessageField::some(message::LocationMessage {
                    degrees_latitude: Some(*latitude),
                    degrees_longitude: Some(*longitude),
                    name: name.clone(),
                    ..Default::default()
                }),
                ..Default::default()
            },
            Content::Contact { name, vcard } => wa::Message {
                contact_message: MessageField::some(message::ContactMessage {
                    display_name: Some(name.clone()),
                    vcard: Some(vcard.clone()),
                    ..Default::default()
                }),
                ..Default::default()
            },
            Content::Poll { question, options } => poll(question, options),
            Content::ButtonReply { id, text } => button_reply(id, text),
            Content::ListReply { row_id, title } => list_reply(row_id, title),
            Content::Reaction { target, emoji } => wacore::proto_helpers::build_reaction_message(
                key(head, target),
                emoji.clone(),
                super::now_ms(),
            ),
            Content::Edit { target, text } => edit(head, target, text),
            Content::SealedEdit { target, text } => self.sealed_edit(head, target, text)?,
            Content::Revoke { target } => wa::Message {
                protocol_message: MessageField::some(message::ProtocolMessage {
                    key: MessageField::some(own_key(head, target)),
                    r#type: Some(message::protocol_message::Type::REVOKE),
                    ..Default::default()
                }),
                ..Default::default()
            },
            Content::ViewOnce(inner) => wa::Message {
                view_once_message_v2: wrapped(view_once(self.build(head, inner, media)?)),
                ..Default::default()
            },
            Content::Ephemeral {
                content,
                expiration_s,
            } => wa::Message {
                ephemeral_message: wrapped(timed(self.build(head, content, media)?, *expiration_s)),
                ..Default::default()
            },
            Content::Raw(message) => (**message).clone(),
            Content::Undecodable(_) => {
                return Err(PeopleError::BadMessage(
                    "undecodable bytes inside a wrapper".into(),
                ));
            }
        })
    }

    fn sealed_edit(
        &self,
        head: &Letterhead,
        target: &str,
        text: &str,
    ) -> Result<wa::Message, PeopleError> {
        let secret = self
            .secrets
            .get(target)
            .ok_or(PeopleError::UnknownMessage)?;
        let author = head.author.to_string();
        let (payload, iv) = encrypt_message_edit(
            &edit(head, target, text),
            secret,
            &MessageEditContext {
                original_msg_id: target,
                original_sender_jid: &author,
                editor_jid: &author,
            },
        )
        .map_err(|error| PeopleError::BadMessage(error.to_string()))?;
        Ok(wa::Message {
            secret_encrypted_message: MessageField::some(message::SecretEncryptedMessage {
                target_message_key: MessageField::some(own_key(head, target)),
                enc_payload: Some(payload),
                enc_iv: Some(iv.to_vec()),
                secret_enc_type: Some(
                    message::secret_encrypted_message::SecretEncType::MESSAGE_EDIT,
                ),
                ..Default::default()
            }),
            ..Default::default()
        })
    }
}

/// Phones give a secret to what can be edited, voted on or reacted to, and not to the edit itself.
fn carries_secret(content: &Content) -> bool {
    !matches!(
        content,
        Content::Reaction { .. }
            | Content::Edit { .. }
            | Content::SealedEdit { .. }
            | Content::Revoke { .. }
            | Content::Raw(_)
    )
}

fn key(head: &Letterhead, target: &MessageRef) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(head.chat.to_string()),
        from_me: Some(target.from_me),
        id: Some(target.id.clone()),
        participant: head.chat.is_group().then(|| target.author.to_string()),
    }
}

fn own_key(head: &Letterhead, id: &str) -> wa::MessageKey {
    wa::MessageKey {
        remote_jid: Some(head.chat.to_string()),
        from_me: Some(true),
        id: Some(id.to_owned()),
        participant: None,
    }
}

fn edit(head: &Letterhead, target: &str, text: &str) -> wa::Message {
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

fn extended_text(
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

fn poll(question: &str, options: &[String]) -> wa::Message {
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

fn button_reply(id: &str, text: &str) -> wa::Message {
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

fn list_reply(row_id: &str, title: &str) -> wa::Message {
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

fn wrapped(inner: wa::Message) -> MessageField<message::FutureProofMessage> {
    MessageField::some(message::FutureProofMessage {
        message: MessageField::some(inner),
    })
}

fn view_once(mut inner: wa::Message) -> wa::Message {
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
fn timed(mut inner: wa::Message, expiration_s: u32) -> wa::Message {
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
