//! What a simulated person sees of a message that reached it.

use serde::Serialize;
use wacore::messages::unwrap_device_sent;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type;

use super::MediaReference;

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Plain or extended text.
    Text,
    /// Media; see [`Received::media`].
    Media,
    /// A place.
    Location,
    /// One or more contact cards.
    Contact,
    /// A poll.
    Poll,
    /// A reaction to [`Received::target`].
    Reaction,
    /// A new text for [`Received::target`].
    Edit,
    /// A sealed edit of [`Received::target`]; its text is not opened here.
    SealedEdit,
    /// [`Received::target`] is taken back.
    Revoke,
    /// Only a sender key: nothing a person sees.
    SenderKey,
    /// Anything else.
    Other,
}

/// A decrypted message, read.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// Its kind, wrappers removed.
    pub kind: Kind,
    /// Text, caption, emoji or question.
    pub text: Option<String>,
    /// The message that an edit, a reaction, a revocation or a quote points at.
    pub target: Option<String>,
    /// Its media.
    pub media: Option<MediaReference>,
    /// For a copy of what another device of the same person sent: the chat it went to.
    pub sent_to: Option<String>,
    /// All of it, wrappers removed.
    #[serde(skip)]
    pub whole: Box<wa::Message>,
}

impl Received {
    /// Reads a decrypted message.
    pub fn read(message: wa::Message) -> Self {
        let sent_to = message
            .device_sent_message
            .as_option()
            .and_then(|copy| copy.destination_jid.clone());
        let message = unwrap(unwrap_device_sent(message));
        let mut read = Self {
            kind: Kind::Other,
            text: None,
            target: None,
            media: MediaReference::of(&message),
            sent_to,
            whole: Box::default(),
        };
        read.fill(&message);
        read.whole = Box::new(message);
        read
    }

    fn fill(&mut self, message: &wa::Message) {
        if self.media.is_some() {
            self.kind = Kind::Media;
            self.text = caption(message);
        } else if let Some(text) = &message.conversation {
            self.kind = Kind::Text;
            self.text = Some(text.clone());
        } else if let Some(extended) = message.extended_text_message.as_option() {
            self.kind = Kind::Text;
            self.text = extended.text.clone();
            let quoted = extended.context_info.as_option();
            self.target = quoted.and_then(|context| context.stanza_id.clone());
        } else if let Some(reaction) = message.reaction_message.as_option() {
            self.kind = Kind::Reaction;
            self.text = reaction.text.clone();
            self.target = reaction.key.as_option().and_then(|key| key.id.clone());
        } else if let Some(sealed) = message.secret_encrypted_message.as_option() {
            self.kind = Kind::SealedEdit;
            let key = sealed.target_message_key.as_option();
            self.target = key.and_then(|key| key.id.clone());
        } else if let Some(protocol) = message.protocol_message.as_option() {
            self.target = protocol.key.as_option().and_then(|key| key.id.clone());
            if protocol.r#type == Some(Type::REVOKE) {
                self.kind = Kind::Revoke;
            } else if let Some(edited) = protocol.edited_message.as_option() {
                self.kind = Kind::Edit;
                self.text = text(edited);
            }
        } else if let Some(place) = message.location_message.as_option() {
            self.kind = Kind::Location;
            self.text = place.name.clone();
        } else if let Some(contact) = message.contact_message.as_option() {
            self.kind = Kind::Contact;
            self.text = contact.display_name.clone();
        } else if let Some(contacts) = message.contacts_array_message.as_option() {
            self.kind = Kind::Contact;
            self.text = contacts.display_name.clone();
        } else if let Some(poll) = poll(message) {
            self.kind = Kind::Poll;
            self.text = poll.name.clone();
        } else if message.sender_key_distribution_message.is_set() {
            self.kind = Kind::SenderKey;
        }
    }
}

fn unwrap(mut message: wa::Message) -> wa::Message {
    for _ in 0..4 {
        let wrapper = [
            &mut message.ephemeral_message,
            &mut message.view_once_message,
            &mut message.view_once_message_v2,
            &mut message.view_once_message_v2_extension,
            &mut message.document_with_caption_message,
            &mut message.edited_message,
        ]
        .into_iter()
        .find_map(|field| field.take());
        match wrapper.and_then(|mut wrapper| wrapper.message.take()) {
            Some(inner) => message = inner,
            None => break,
        }
    }
    message
}

fn text(message: &wa::Message) -> Option<String> {
    let extended = message.extended_text_message.as_option();
    let text = message.conversation.clone();
    text.or_else(|| extended.and_then(|extended| extended.text.clone()))
}

fn caption(message: &wa::Message) -> Option<String> {
    let image = message
        .image_message
        .as_option()
        .and_then(|m| m.caption.clone());
    let video = message
        .video_message
        .as_option()
        .and_then(|m| m.caption.clone());
    let document = message
        .document_message
        .as_option()
        .and_then(|m| m.caption.clone());
    image.or(video).or(document)
}

fn poll(message: &wa::Message) -> Option<&wa::message::PollCreationMessage> {
    message
        .poll_creation_message
        .as_option()
        .or(message.poll_creation_message_v2.as_option())
        .or(message.poll_creation_message_v3.as_option())
}
