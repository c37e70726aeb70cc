//! What people write.

use wacore_binary::Jid;
use waproto::whatsapp as wa;

use super::Attachment;

/// A message that another one points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRef {
    /// Its message id.
    pub id: String,
    /// Whether the writer of the reference also wrote that message.
    pub from_me: bool,
    /// Who wrote it, without device.
    pub author: Jid,
}

/// The content of a message, of every kind a support desk sees.
#[derive(Debug, Clone)]
pub enum Content {
    /// Plain text (`conversation`).
    Text(String),
    /// Text that quotes and mentions (`extendedTextMessage`).
    ExtendedText {
        /// The text.
        text: String,
        /// The quoted message and its text.
        quote: Option<(MessageRef, String)>,
        /// The mentioned people, without device.
        mentions: Vec<Jid>,
    },
    /// Image, video, audio, voice note, document or sticker.
    Media(Attachment),
    /// A place.
    Location {
        /// Degrees north.
        latitude: f64,
        /// Degrees east.
        longitude: f64,
        /// What the place is called.
        name: Option<String>,
    },
    /// A contact card.
    Contact {
        /// Its display name.
        name: String,
        /// The vCard text.
        vcard: String,
    },
    /// A poll that allows one choice.
    Poll {
        /// The question.
        question: String,
        /// The choices.
        options: Vec<String>,
    },
    /// The answer to a message with buttons.
    ButtonReply {
        /// The id of the pressed button.
        id: String,
        /// Its text.
        text: String,
    },
    /// The answer to a list message.
    ListReply {
        /// The id of the chosen row.
        row_id: String,
        /// Its title.
        title: String,
    },
    /// A reaction; an empty emoji takes it back.
    Reaction {
        /// What it reacts to.
        target: MessageRef,
        /// One emoji, or nothing.
        emoji: String,
    },
    /// A new text for an own message, readable by every device (`protocolMessage`).
    Edit {
        /// The id of the own message.
        target: String,
        /// The new text.
        text: String,
    },
    /// A new text for an own message, sealed with that message's secret
    /// (`secretEncryptedMessage`).
    SealedEdit {
        /// The id of the own message.
        target: String,
        /// The new text.
        text: String,
    },
    /// Takes an own message back for everybody.
    Revoke {
        /// The id of the own message.
        target: String,
    },
    /// Media that can be looked at once.
    ViewOnce(Box<Content>),
    /// A message of a chat with a timer.
    Ephemeral {
        /// The message.
        content: Box<Content>,
        /// The timer in seconds.
        expiration_s: u32,
    },
    /// Any other protobuf.
    Raw(Box<wa::Message>),
    /// Bytes that are no protobuf, correctly encrypted.
    Undecodable(Vec<u8>),
}
