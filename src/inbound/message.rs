//! What an inbound message is to the rest of the program.
//!
//! `session::decode` makes these from WhatsApp's types; the store, the queue and the agents see only
//! these. The JSON of [`Content`] and [`Context`] is what agents receive, so names here are a
//! contract: fields are added, never renamed.

use serde::{Deserialize, Serialize};

use crate::ids::Jid;

/// A person in every address form that is known. WhatsApp moves from phone numbers (PN) to hidden
/// ids (LID), so one person may be seen under either, and which is known changes over time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Party {
    /// `<number>@s.whatsapp.net`, without a device part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pn: Option<Jid>,
    /// `<id>@lid`, without a device part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<Jid>,
}

impl Party {
    /// Whether both may be the same person: some known form is equal.
    pub fn matches(&self, other: &Self) -> bool {
        let same = |a: &Option<Jid>, b: &Option<Jid>| a.is_some() && a == b;
        same(&self.pn, &other.pn) || same(&self.lid, &other.lid)
    }
}

/// Where a message was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Chat {
    /// A 1:1 chat with this person.
    Direct(Party),
    /// A group.
    Group {
        /// `…@g.us`.
        jid: Jid,
    },
    /// Somebody's status post.
    Status,
    /// A broadcast list that we are on.
    Broadcast {
        /// `…@broadcast`.
        jid: Jid,
    },
    /// A channel.
    Newsletter {
        /// `…@newsletter`.
        jid: Jid,
    },
}

/// What identifies a message. The id is made by the sender, so it is unique only together with the
/// rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageKey {
    /// WhatsApp's message id; empty when the message came without one.
    pub id: String,
    /// The canonical chat.
    pub chat: Chat,
    /// Who wrote it.
    pub sender: Party,
    /// Written by our own account, on the phone or another linked device.
    pub from_me: bool,
}

/// A message as it was handed over by the session, decrypted and decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    /// What identifies it.
    pub key: MessageKey,
    /// When the sender sent it, Unix milliseconds by WhatsApp's server.
    pub sent_at_ms: i64,
    /// The name that the sender shows.
    pub push_name: Option<String>,
    /// Came from the offline queue.
    pub offline: bool,
    /// What it says; an error is what the decoder could not understand, and never fails the hook.
    pub content: Result<Content, Malformed>,
    /// Quote, mentions and wrappers around it.
    pub context: Context,
    /// The decrypted protobuf, kept as it came.
    pub raw: Vec<u8>,
}

impl Inbound {
    /// Stands in for a message whose content never came.
    pub fn placeholder(id: &str, chat: Chat) -> Self {
        Self {
            key: MessageKey {
                id: id.to_owned(),
                chat,
                sender: Party::default(),
                from_me: false,
            },
            sent_at_ms: 0,
            push_name: None,
            offline: false,
            content: Err(Malformed {
                reason: "the content never came".to_owned(),
            }),
            context: Context::default(),
            raw: Vec::new(),
        }
    }
}

/// Why a message could not be normalised. It becomes a failed job with the raw bytes kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    /// In words, without message text.
    pub reason: String,
}

/// What surrounds the content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Context {
    /// The message it replies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// People mentioned with `@`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Jid>,
    /// Our own account is among the mentioned or is the author of the quoted message.
    pub addressed_to_us: bool,
    /// Forwarded from another chat.
    pub forwarded: bool,
    /// The sender lets it be viewed once.
    pub view_once: bool,
    /// Lifetime in seconds, for disappearing messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_seconds: Option<u32>,
}

/// The quoted message of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// Its id.
    pub message_id: String,
    /// Its author, when told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Jid>,
    /// Its text or caption, when it came along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Another message that this one acts upon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its id.
    pub message_id: String,
    /// Whether our own account wrote it.
    pub from_me: bool,
    /// Its author in a group, when told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Jid>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Content {
    /// Plain or extended text.
    Text {
        /// The text.
        body: String,
    },
    /// A picture.
    Image {
        /// Where and how to get it.
        media: Media,
    },
    /// A video.
    Video {
        /// Where and how to get it.
        media: Media,
        /// Played in a loop, without sound.
        gif: bool,
    },
    /// Sound.
    Audio {
        /// Where and how to get it.
        media: Media,
        /// Recorded in the chat (PTT).
        voice_note: bool,
    },
    /// A file.
    Document {
        /// Where and how to get it.
        media: Media,
    },
    /// A sticker.
    Sticker {
        /// Where and how to get it.
        media: Media,
        /// Moves.
        animated: bool,
    },
    /// A place, once or as the start of a live location.
    Location {
        /// Degrees.
        latitude: f64,
        /// Degrees.
        longitude: f64,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Its address.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        /// Goes on being updated.
        live: bool,
    },
    /// Contact cards.
    Contacts {
        /// One or more.
        cards: Vec<ContactCard>,
    },
    /// A question with options.
    Poll {
        /// The question.
        question: String,
        /// The options, in order.
        options: Vec<String>,
        /// How many may be chosen; 0 means any number.
        selectable: u32,
    },
    /// A vote. The chosen options are encrypted with the poll's secret: votes on polls that were sent
    /// from the outbox since the account was linked can be opened. Choosing nothing takes a vote back.
    PollVote {
        /// The poll.
        target: Target,
        /// SHA-256 of each chosen option, in hex; absent when the vote could not be opened.
        #[serde(skip_serializing_if = "Option::is_none")]
        option_hashes: Option<Vec<String>>,
        /// The chosen options; absent when the vote could not be opened, or the poll is forgotten.
        #[serde(skip_serializing_if = "Option::is_none")]
        options: Option<Vec<String>>,
    },
    /// A button was pressed.
    ButtonReply {
        /// The button's id.
        id: String,
        /// The text that it showed.
        text: String,
    },
    /// A row of a list was chosen.
    ListReply {
        /// The row's id.
        id: String,
        /// The row's title.
        title: String,
        /// What stands beneath it.
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    /// An emoji put on a message, or taken off.
    Reaction {
        /// The message.
        target: Target,
        /// Absent: the reaction was removed.
        #[serde(skip_serializing_if = "Option::is_none")]
        emoji: Option<String>,
    },
    /// An earlier message says something else now.
    Edit {
        /// The message.
        target: Target,
        /// What it says now.
        content: Box<Content>,
    },
    /// An earlier message was deleted for everyone.
    Revoke {
        /// The message.
        target: Target,
    },
    /// Not meant for people: settings, key shares, notices.
    Control {
        /// WhatsApp's name of it.
        kind: String,
    },
    /// Content of a kind that this version does not know; the raw bytes are kept.
    Unsupported {
        /// WhatsApp's field name.
        kind: String,
    },
}

/// A file behind a message: a reference, not the bytes. `media get` downloads, decrypts and checks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Media {
    /// MIME type as the sender claims.
    pub mime_type: String,
    /// Bytes of the plain file.
    pub size: u64,
    /// SHA-256 of the plain file, hex.
    pub sha256: String,
    /// SHA-256 of the encrypted file, hex.
    pub enc_sha256: String,
    /// The key that opens it, hex. A secret.
    pub media_key: String,
    /// Path on the media host.
    pub direct_path: String,
    /// Whole URL, when one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Text beneath it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Name of a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// Length of sound and video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u32>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// A contact card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactCard {
    /// The name shown.
    pub name: String,
    /// The whole vCard.
    pub vcard: String,
}
