//! What an outgoing message is to the rest of the program.
//!
//! Agents hand these in as JSON, the outbox keeps them as they are, `session::encode` makes WhatsApp's
//! types of them. Names are those of [`inbound::message`](crate::inbound::message), and a contract:
//! fields are added, never renamed. Unknown fields are refused: a misspelt one would send something
//! else than was meant, and so would an older worker that sends what a newer one took.

mod check;
mod media;
mod recipient;

use serde::{Deserialize, Serialize};

pub use self::check::{CAPTION_CHARS, Invalid, TEXT_CHARS};
pub use self::media::{MediaRef, MediaSource};
pub use self::recipient::Recipient;
use crate::ids::UploadId;
use crate::inbound::message::Target;

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Draft {
    /// Where to; a reply to a job goes into the job's conversation unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Recipient>,
    /// What it says.
    pub content: Outgoing,
    /// The message that it is shown as a reply to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<QuoteRef>,
    /// Who is mentioned. Each stands in the text as `@` and the user part of the address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Recipient>,
    /// Shows "typing…" for so long before it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typing_ms: Option<u32>,
}

impl From<Outgoing> for Draft {
    fn from(content: Outgoing) -> Self {
        Self {
            to: None,
            content,
            quote: None,
            mentions: Vec::new(),
            typing_ms: None,
        }
    }
}

impl Draft {
    /// A bare text.
    pub fn text(body: impl Into<String>) -> Self {
        Outgoing::Text { body: body.into() }.into()
    }
}

/// The message that a reply shows above itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuoteRef {
    /// Its id.
    pub message_id: String,
    /// Its author; looked up by the id where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Recipient>,
    /// Its text or caption; looked up by the id where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Outgoing {
    /// Text.
    Text {
        /// The text.
        body: String,
    },
    /// An emoji on a message, or none to take ours off.
    Reaction {
        /// The message.
        target: Target,
        /// One emoji.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emoji: Option<String>,
    },
    /// One of our own messages says something else now.
    Edit {
        /// The id of our message.
        message_id: String,
        /// What it says now.
        body: String,
    },
    /// A message is deleted for everyone: our own, or in a group that we administer anybody's.
    Revoke {
        /// The message.
        target: Target,
    },
    /// A picture.
    Image {
        /// The file.
        media: MediaRef,
        /// Text beneath it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
    },
    /// A video.
    Video {
        /// The file.
        media: MediaRef,
        /// Text beneath it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
    },
    /// Sound.
    Audio {
        /// The file.
        media: MediaRef,
    },
    /// Sound that is shown as recorded in the chat.
    Voice {
        /// The file; phones expect Opus in Ogg.
        media: MediaRef,
    },
    /// Any file.
    Document {
        /// The file.
        media: MediaRef,
        /// Text beneath it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
        /// The name it is shown under; left out, the last part of its URL or path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_name: Option<String>,
    },
    /// A sticker.
    Sticker {
        /// The file; phones expect WebP.
        media: MediaRef,
    },
    /// A place.
    Location {
        /// Degrees.
        latitude: f64,
        /// Degrees.
        longitude: f64,
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Its address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// Contact cards.
    Contacts {
        /// One or more.
        cards: Vec<Card>,
    },
    /// A question with options.
    Poll {
        /// The question.
        question: String,
        /// The options, in order.
        options: Vec<String>,
        /// How many may be chosen; 0 means any number.
        #[serde(default)]
        selectable: u32,
    },
}

impl Outgoing {
    /// The name that stands in `type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Reaction { .. } => "reaction",
            Self::Edit { .. } => "edit",
            Self::Revoke { .. } => "revoke",
            Self::Image { .. } => "image",
            Self::Video { .. } => "video",
            Self::Audio { .. } => "audio",
            Self::Voice { .. } => "voice",
            Self::Document { .. } => "document",
            Self::Sticker { .. } => "sticker",
            Self::Location { .. } => "location",
            Self::Contacts { .. } => "contacts",
            Self::Poll { .. } => "poll",
        }
    }

    /// The file, where there is one.
    pub const fn media(&self) -> Option<&MediaRef> {
        match self {
            Self::Image { media, .. }
            | Self::Video { media, .. }
            | Self::Audio { media }
            | Self::Voice { media }
            | Self::Document { media, .. }
            | Self::Sticker { media } => Some(media),
            Self::Text { .. }
            | Self::Reaction { .. }
            | Self::Edit { .. }
            | Self::Revoke { .. }
            | Self::Location { .. }
            | Self::Contacts { .. }
            | Self::Poll { .. } => None,
        }
    }

    /// The upload that its file is, once it was taken in.
    pub fn upload(&self) -> Option<&UploadId> {
        match &self.media()?.source {
            MediaSource::Upload(id) => Some(id),
            MediaSource::Url(_) | MediaSource::Path(_) => None,
        }
    }

    /// The same, to be changed.
    pub const fn media_mut(&mut self) -> Option<&mut MediaRef> {
        match self {
            Self::Image { media, .. }
            | Self::Video { media, .. }
            | Self::Audio { media }
            | Self::Voice { media }
            | Self::Document { media, .. }
            | Self::Sticker { media } => Some(media),
            _ => None,
        }
    }

    /// Words that the recipient reads: text or caption.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Text { body } | Self::Edit { body, .. } => Some(body),
            Self::Image { caption, .. }
            | Self::Video { caption, .. }
            | Self::Document { caption, .. } => caption.as_deref(),
            Self::Poll { question, .. } => Some(question),
            Self::Reaction { .. }
            | Self::Revoke { .. }
            | Self::Audio { .. }
            | Self::Voice { .. }
            | Self::Sticker { .. }
            | Self::Location { .. }
            | Self::Contacts { .. } => None,
        }
    }

    /// Acts upon another message instead of being one.
    pub const fn is_act(&self) -> bool {
        matches!(
            self,
            Self::Reaction { .. } | Self::Edit { .. } | Self::Revoke { .. }
        )
    }
}

/// A contact card: a name with a number, or a whole vCard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Card {
    /// The name shown.
    pub name: String,
    /// The number, from which a vCard is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The whole vCard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcard: Option<String>,
}

#[cfg(test)]
mod tests;
