//! Message contents as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use wacore_binary::Jid;

use crate::people::{Attachment, Content, MediaKind, MessageRef};

/// What to send; `kind` names the variant in snake case, as in
/// `{"kind": "text", "text": "hello"}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ContentRequest {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// Text that quotes or mentions.
    ExtendedText {
        /// The text.
        text: String,
        /// The quoted message.
        #[serde(default)]
        quote: Option<Target>,
        /// The quoted message's text.
        #[serde(default)]
        quoted_text: String,
        /// JIDs of the mentioned.
        #[serde(default)]
        mentions: Vec<String>,
    },
    /// A file.
    Media {
        /// Which kind of media.
        media: MediaKind,
        /// The file in base64.
        base64: String,
        /// Its mime type.
        mime_type: String,
        /// Its caption.
        #[serde(default)]
        caption: Option<String>,
        /// Its name.
        #[serde(default)]
        file_name: Option<String>,
    },
    /// A place.
    Location {
        /// Degrees north.
        latitude: f64,
        /// Degrees east.
        longitude: f64,
        /// What it is called.
        #[serde(default)]
        name: Option<String>,
    },
    /// A contact card.
    Contact {
        /// Its display name.
        name: String,
        /// The vCard.
        vcard: String,
    },
    /// A poll.
    Poll {
        /// The question.
        question: String,
        /// The choices.
        options: Vec<String>,
    },
    /// The answer to a message with buttons.
    ButtonReply {
        /// The button.
        id: String,
        /// Its text.
        text: String,
    },
    /// The answer to a list.
    ListReply {
        /// The row.
        row_id: String,
        /// Its title.
        title: String,
    },
    /// A reaction.
    Reaction {
        /// What it reacts to.
        target: Target,
        /// One emoji, or nothing to take it back.
        emoji: String,
    },
    /// A new text for an own message.
    Edit {
        /// Its id.
        target: String,
        /// The new text.
        text: String,
    },
    /// A new text for an own message, sealed.
    SealedEdit {
        /// Its id.
        target: String,
        /// The new text.
        text: String,
    },
    /// Takes an own message back.
    Revoke {
        /// Its id.
        target: String,
    },
    /// Content that can be looked at once.
    ViewOnce {
        /// The content.
        content: Box<ContentRequest>,
    },
    /// Content of a chat with a timer.
    Ephemeral {
        /// The content.
        content: Box<ContentRequest>,
        /// The timer in seconds.
        expiration_s: u32,
    },
    /// Bytes that are no message, correctly encrypted.
    Undecodable {
        /// The bytes in base64.
        base64: String,
    },
}

/// A message that another one points at.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its id.
    pub id: String,
    /// Whether the sender of the reference wrote it.
    pub from_me: bool,
    /// The JID of who wrote it.
    pub author: String,
}

/// Which part of a content is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is malformed")]
pub struct Malformed(&'static str);

impl ContentRequest {
    /// The content that is asked for.
    ///
    /// # Errors
    /// Base64 or a JID is malformed.
    pub fn parse(self) -> Result<Content, Malformed> {
        Ok(match self {
            Self::Text { text } => Content::Text(text),
            Self::ExtendedText {
                text,
                quote,
                quoted_text,
                mentions,
            } => Content::ExtendedText {
                text,
                quote: quote
                    .map(Target::parse)
                    .transpose()?
                    .map(|quote| (quote, quoted_text)),
                mentions: mentions
                    .iter()
                    .map(|text| jid(text))
                    .collect::<Result<_, _>>()?,
            },
            Self::Media {
                media,
                base64,
                mime_type,
                caption,
                file_name,
            } => Content::Media(Attachment {
                kind: media,
                bytes: bytes(&base64)?,
                mime_type,
                caption,
                file_name,
            }),
            Self::Location {
                latitude,
                longitude,
                name,
            } => Content::Location {
                latitude,
                longitude,
                name,
            },
            Self::Contact { name, vcard } => Content::Contact { name, vcard },
            Self::Poll { question, options } => Content::Poll { question, options },
            Self::ButtonReply { id, text } => Content::ButtonReply { id, text },
            Self::ListReply { row_id, title } => Content::ListReply { row_id, title },
            Self::Reaction { target, emoji } => Content::Reaction {
                target: target.parse()?,
                emoji,
            },
            Self::Edit { target, text } => Content::Edit { target, text },
            Self::SealedEdit { target, text } => Content::SealedEdit { target, text },
            Self::Revoke { target } => Content::Revoke { target },
            Self::ViewOnce { content } => Content::ViewOnce(Box::new(content.parse()?)),
            Self::Ephemeral {
                content,
                expiration_s,
            } => Content::Ephemeral {
                content: Box::new(content.parse()?),
                expiration_s,
            },
            Self::Undecodable { base64 } => Content::Undecodable(bytes(&base64)?),
        })
    }
}

impl Target {
    fn parse(self) -> Result<MessageRef, Malformed> {
        Ok(MessageRef {
            id: self.id,
            from_me: self.from_me,
            author: jid(&self.author)?,
        })
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, Malformed> {
    STANDARD.decode(text).map_err(|_| Malformed("base64"))
}

fn jid(text: &str) -> Result<Jid, Malformed> {
    text.parse().map_err(|_| Malformed("a JID"))
}
