//! Turning content into protobufs, with what the stanza around them needs.

use std::collections::{HashMap, VecDeque};

use wacore::message_edit::{MessageEditContext, encrypt_message_edit};
use wacore::types::message::EditAttribute;
use wacore_binary::Jid;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message;

use crate::media::MediaStore;

use super::content::Content;
use super::{PeopleError, attachment, kinds};

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
            } => kinds::extended_text(head, text, quote.as_ref(), mentions),
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
            Content::Poll { question, options } => kinds::poll(question, options),
            Content::ButtonReply { id, text } => kinds::button_reply(id, text),
            Content::ListReply { row_id, title } => kinds::list_reply(row_id, title),
            Content::Reaction { target, emoji } => wacore::proto_helpers::build_reaction_message(
                kinds::key(head, target),
                emoji.clone(),
                super::now_ms(),
            ),
            Content::Edit { target, text } => kinds::edit(head, target, text),
            Content::SealedEdit { target, text } => self.sealed_edit(head, target, text)?,
            Content::Revoke { target } => wa::Message {
                protocol_message: MessageField::some(message::ProtocolMessage {
                    key: MessageField::some(kinds::own_key(head, target)),
                    r#type: Some(message::protocol_message::Type::REVOKE),
                    ..Default::default()
                }),
                ..Default::default()
            },
            Content::ViewOnce(inner) => wa::Message {
                view_once_message_v2: kinds::wrapped(kinds::view_once(
                    self.build(head, inner, media)?,
                )),
                ..Default::default()
            },
            Content::Ephemeral {
                content,
                expiration_s,
            } => wa::Message {
                ephemeral_message: kinds::wrapped(kinds::timed(
                    self.build(head, content, media)?,
                    *expiration_s,
                )),
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
            &kinds::edit(head, target, text),
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
                target_message_key: MessageField::some(kinds::own_key(head, target)),
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
