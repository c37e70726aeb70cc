//! Whether two deliveries are one message.
//!
//! Message ids are made by senders, so an id alone proves nothing; and one person is seen now under
//! a phone number, now under a hidden id, so addresses alone prove nothing either. Two deliveries
//! under one id are the same message if both were written by the same side and chat and sender each
//! match in some known form, *or* if they say the same. Otherwise the second is a message of its
//! own, stored under a suffixed key: a real message is never dropped.
//!
//! The content hash survives what may change between two deliveries of one message: where a file is
//! to be fetched, the forms in which people are named, what we know about ourselves, and the
//! key-distribution parts of the protobuf. Its input starts with a version; raising it costs hash
//! matches across the upgrade, never a message.

use std::fmt;

use ring::digest;
use serde::{Deserialize, Serialize};

use crate::inbound::message::{Chat, Content, Inbound, Media, Party, Target};

/// First byte of everything that is hashed.
const FORMAT: u8 = 1;

/// What the dedupe row keeps of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// WhatsApp's id, or `h:` and a hash for a message without one. Never empty.
    pub id: String,
    /// Where it was written.
    pub chat: Chat,
    /// Who wrote it.
    pub sender: Party,
    /// Written by our own account.
    pub from_me: bool,
    /// What it says.
    pub content_hash: ContentHash,
}

impl Identity {
    /// The identity of a message as it arrived.
    pub fn of(inbound: &Inbound) -> Self {
        let content_hash = ContentHash::of(inbound);
        let key = &inbound.key;
        let id = if key.id.is_empty() {
            made_id(&content_hash, &key.chat, inbound.sent_at_ms)
        } else {
            key.id.clone()
        };
        Self {
            id,
            chat: key.chat.clone(),
            sender: key.sender.clone(),
            from_me: key.from_me,
            content_hash,
        }
    }
}

/// SHA-256 of what a message says, in a form that a redelivered copy shares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash([u8; 32]);

/// Text that is no SHA-256 in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a content hash is 64 hex digits")]
pub struct NotAContentHash;

impl ContentHash {
    fn of(inbound: &Inbound) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&[FORMAT]);
        match &inbound.content {
            Ok(content) if !is_opaque(content) => {
                field(&mut context, b"content", &canonical(content));
                if let Some(quote) = &inbound.context.quote {
                    field(&mut context, b"quote", quote.message_id.as_bytes());
                }
            }
            // What was not understood can only be compared as it came.
            _ => field(&mut context, b"raw", &inbound.raw),
        }
        Self(finish(context))
    }

    /// 64 hex digits, as it stands in the store.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl TryFrom<String> for ContentHash {
    type Error = NotAContentHash;
    fn try_from(text: String) -> Result<Self, NotAContentHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| NotAContentHash)?;
        Ok(Self(bytes))
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_hex()
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({}…)", hex::encode(&self.0[..4]))
    }
}

/// Whether two deliveries *with the same id* are one message. Symmetric.
pub fn same_message(stored: &Identity, new: &Identity) -> bool {
    let same_place = stored.from_me == new.from_me
        && same_chat(&stored.chat, &new.chat)
        && stored.sender.matches(&new.sender);
    same_place || stored.content_hash == new.content_hash
}

/// The key of the `n`th further message under an id that others have taken; `n` = 0 is the id
/// itself. The store tries 0, 1, 2 … until a key is free or holds the same message, which stays
/// right even when a sender makes up an id that looks suffixed.
pub fn suffixed_key(id: &str, n: u32) -> String {
    match n {
        0 => id.to_owned(),
        n => format!("{id}#{n}"),
    }
}

fn same_chat(a: &Chat, b: &Chat) -> bool {
    match (a, b) {
        (Chat::Direct(a), Chat::Direct(b)) => a.matches(b),
        (Chat::Group { jid: a }, Chat::Group { jid: b })
        | (Chat::Broadcast { jid: a }, Chat::Broadcast { jid: b })
        | (Chat::Newsletter { jid: a }, Chat::Newsletter { jid: b }) => a == b,
        (Chat::Status, Chat::Status) => true,
        _ => false,
    }
}

/// Names of kinds are all that we have of these, and two different messages share them.
fn is_opaque(content: &Content) -> bool {
    match content {
        Content::Control { .. } | Content::Unsupported { .. } => true,
        Content::Edit { content, .. } => is_opaque(content),
        _ => false,
    }
}

/// The JSON that agents get, without what may differ between two deliveries. Fields of it are only
/// ever added, and absent ones are left out, so that old rows keep matching.
fn canonical(content: &Content) -> Vec<u8> {
    let mut content = content.clone();
    settle(&mut content);
    serde_json::to_vec(&content).expect("content has string keys and finite numbers only")
}

fn settle(content: &mut Content) {
    match content {
        Content::Image { media }
        | Content::Video { media, .. }
        | Content::Audio { media, .. }
        | Content::Document { media }
        | Content::Sticker { media, .. } => settle_media(media),
        Content::PollVote {
            target,
            option_hashes,
            options,
        } => {
            *option_hashes = None;
            *options = None;
            settle_target(target);
        }
        Content::Reaction { target, .. } | Content::Revoke { target } => settle_target(target),
        Content::Edit { target, content } => {
            settle_target(target);
            settle(content);
        }
        Content::Text { .. }
        | Content::Location { .. }
        | Content::Contacts { .. }
        | Content::Poll { .. }
        | Content::ButtonReply { .. }
        | Content::ListReply { .. }
        | Content::Control { .. }
        | Content::Unsupported { .. } => {}
    }
}

/// Links expire and are made anew; the hashes of the file stay.
fn settle_media(media: &mut Media) {
    media.url = None;
    media.direct_path.clear();
}

/// Whom we take for the author depends on the address forms that are known.
fn settle_target(target: &mut Target) {
    target.author = None;
    target.from_me = false;
}

fn made_id(content: &ContentHash, chat: &Chat, sent_at_ms: i64) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[FORMAT]);
    field(&mut context, b"content", &content.0);
    let (kind, jid) = match chat {
        // The hidden id survives a change of number.
        Chat::Direct(peer) => ("direct", peer.lid.as_ref().or(peer.pn.as_ref())),
        Chat::Group { jid } => ("group", Some(jid)),
        Chat::Status => ("status", None),
        Chat::Broadcast { jid } => ("broadcast", Some(jid)),
        Chat::Newsletter { jid } => ("newsletter", Some(jid)),
    };
    let address = jid.map_or("", |jid| jid.as_str());
    field(&mut context, kind.as_bytes(), address.as_bytes());
    field(&mut context, b"sent", &sent_at_ms.to_be_bytes());
    format!("h:{}", hex::encode(finish(context)))
}

/// Lengths go first, so that no two lists of fields run together to the same bytes.
fn field(context: &mut digest::Context, name: &[u8], value: &[u8]) {
    for part in [name, value] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
}

fn finish(context: digest::Context) -> [u8; 32] {
    let digest = context.finish();
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests;
