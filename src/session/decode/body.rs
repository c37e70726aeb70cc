//! What a message says, once its wrappers are off.

use waproto::buffa::Enumeration as _;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;

use super::address::Viewpoint;
use super::media::filled;
use super::{envelope, kinds, malformed, media, reply};
use crate::inbound::message::{ContactCard, Content, Malformed};

/// Content, and what its own part of the message says around it.
pub(super) struct Body<'a> {
    pub content: Content,
    pub context: Option<&'a wa::ContextInfo>,
    pub view_once: bool,
}

impl<'a> Body<'a> {
    pub fn new(content: Content, context: Option<&'a wa::ContextInfo>) -> Self {
        Self {
            content,
            context,
            view_once: false,
        }
    }
}

/// Reads an unwrapped message: something done to another message, or something said.
pub(super) fn read<'a>(
    message: &'a wa::Message,
    view: &Viewpoint<'_>,
) -> Result<Body<'a>, Malformed> {
    if let Some(protocol) = message.protocol_message.as_option() {
        return read_protocol(protocol, view);
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        let target = view.target(reaction.key.as_option(), "a reaction")?;
        let emoji = filled(&reaction.text);
        return Ok(Body::new(Content::Reaction { target, emoji }, None));
    }
    if let Some(vote) = message.poll_update_message.as_option() {
        let key = vote.poll_creation_message_key.as_option();
        let content = Content::PollVote {
            target: view.target(key, "a poll vote")?,
            option_hashes: None,
            options: None,
        };
        return Ok(Body::new(content, None));
    }
    if let Some(sealed) = message.secret_encrypted_message.as_option() {
        return read_sealed(sealed, view);
    }
    read_said(message)
}

/// Content proper. Edits hold nothing else, which is why this does not recurse.
fn read_said(message: &wa::Message) -> Result<Body<'_>, Malformed> {
    if let Some(text) = &message.conversation {
        return Ok(Body::new(Content::Text { body: text.clone() }, None));
    }
    if let Some(text) = message.extended_text_message.as_option() {
        let body = text.text.clone().unwrap_or_default();
        return Ok(Body {
            content: Content::Text { body },
            context: text.context_info.as_option(),
            view_once: text.view_once.unwrap_or(false),
        });
    }
    if let Some(body) = media::read(message) {
        return Ok(body);
    }
    let read = read_place(message)
        .or_else(|| read_contacts(message).map(Ok))
        .or_else(|| read_poll(message).map(Ok))
        .or_else(|| reply::read(message));
    match read {
        Some(body) => body,
        None => Ok(Body::new(kinds::other(message)?, None)),
    }
}

fn read_protocol<'a>(
    protocol: &'a wa::message::ProtocolMessage,
    view: &Viewpoint<'_>,
) -> Result<Body<'a>, Malformed> {
    let key = protocol.key.as_option();
    match protocol.r#type {
        Some(ProtocolType::REVOKE) => {
            let target = view.revoked(key)?;
            Ok(Body::new(Content::Revoke { target }, None))
        }
        Some(ProtocolType::MESSAGE_EDIT) => read_edit(protocol, view),
        // Some senders leave the type out and let the content speak.
        None if protocol.edited_message.is_set() => read_edit(protocol, view),
        Some(other) => {
            let kind = other.proto_name().to_owned();
            Ok(Body::new(Content::Control { kind }, None))
        }
        None => {
            let kind = "protocolMessage".to_owned();
            Ok(Body::new(Content::Unsupported { kind }, None))
        }
    }
}

/// End-to-end encrypted edits arrive here, too: the library puts the opened plaintext, which has
/// this same shape, in their place.
fn read_edit<'a>(
    protocol: &'a wa::message::ProtocolMessage,
    view: &Viewpoint<'_>,
) -> Result<Body<'a>, Malformed> {
    let target = view.edited(protocol.key.as_option(), "an edit")?;
    let edited = protocol.edited_message.as_option();
    let edited = edited.ok_or_else(|| malformed("an edit without new content"))?;
    let opened = envelope::open(edited)?;
    let body = read_said(opened.message)?;
    Ok(Body {
        content: Content::Edit {
            target,
            content: Box::new(body.content),
        },
        context: body.context,
        view_once: opened.view_once || body.view_once,
    })
}

/// An add-on that the library could not open, for want of the first message's secret.
fn read_sealed<'a>(
    sealed: &wa::message::SecretEncryptedMessage,
    view: &Viewpoint<'_>,
) -> Result<Body<'a>, Malformed> {
    let unopened = Content::Unsupported {
        kind: "secretEncryptedMessage".to_owned(),
    };
    if sealed.secret_enc_type != Some(SecretEncType::MESSAGE_EDIT) {
        return Ok(Body::new(unopened, None));
    }
    let content = Content::Edit {
        target: view.edited(sealed.target_message_key.as_option(), "an encrypted edit")?,
        content: Box::new(unopened),
    };
    Ok(Body::new(content, None))
}

fn read_place(message: &wa::Message) -> Option<Result<Body<'_>, Malformed>> {
    if let Some(place) = message.location_message.as_option() {
        let content =
            point(place.degrees_latitude, place.degrees_longitude).map(|(latitude, longitude)| {
                Content::Location {
                    latitude,
                    longitude,
                    name: filled(&place.name).or_else(|| filled(&place.comment)),
                    address: filled(&place.address),
                    live: place.is_live.unwrap_or(false),
                }
            });
        return Some(content.map(|content| Body::new(content, place.context_info.as_option())));
    }
    let place = message.live_location_message.as_option()?;
    let content =
        point(place.degrees_latitude, place.degrees_longitude).map(|(latitude, longitude)| {
            Content::Location {
                latitude,
                longitude,
                name: filled(&place.caption),
                address: None,
                live: true,
            }
        });
    Some(content.map(|content| Body::new(content, place.context_info.as_option())))
}

/// JSON has no NaN, and a map no degrees beyond these.
fn point(latitude: Option<f64>, longitude: Option<f64>) -> Result<(f64, f64), Malformed> {
    match (latitude, longitude) {
        (Some(lat), Some(lon)) if lat.abs() <= 90.0 && lon.abs() <= 180.0 => Ok((lat, lon)),
        _ => Err(malformed("a location without usable degrees")),
    }
}

fn read_contacts(message: &wa::Message) -> Option<Body<'_>> {
    let card = |contact: &wa::message::ContactMessage| ContactCard {
        name: contact.display_name.clone().unwrap_or_default(),
        vcard: contact.vcard.clone().unwrap_or_default(),
    };
    if let Some(contact) = message.contact_message.as_option() {
        let cards = vec![card(contact)];
        let context = contact.context_info.as_option();
        return Some(Body::new(Content::Contacts { cards }, context));
    }
    let contacts = message.contacts_array_message.as_option()?;
    let cards = contacts.contacts.iter().map(card).collect();
    let context = contacts.context_info.as_option();
    Some(Body::new(Content::Contacts { cards }, context))
}

/// Version 4 is a wrapper, opened before.
fn read_poll(message: &wa::Message) -> Option<Body<'_>> {
    let poll = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ]
    .into_iter()
    .find_map(|poll| poll.as_option())?;
    let option = |option: &wa::message::poll_creation_message::Option| {
        option.option_name.clone().unwrap_or_default()
    };
    let content = Content::Poll {
        question: poll.name.clone().unwrap_or_default(),
        options: poll.options.iter().map(option).collect(),
        selectable: poll.selectable_options_count.unwrap_or(0),
    };
    Some(Body::new(content, poll.context_info.as_option()))
}
