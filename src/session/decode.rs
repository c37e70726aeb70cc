//! WhatsApp's decrypted messages as the domain's [`Inbound`].
//!
//! A message travels through four steps:
//!
//! ```text
//! wa::Message ─ envelope: peel wrappers ─ body: what it says ─ context: quote, mentions ─┐
//! MessageInfo ─ address: chat, sender, whose viewpoint a key was written from ──────────┴→ Inbound
//! ```
//!
//! Invariants:
//! - [`inbound`] is total: it never panics and never fails, whatever the bytes were. What it cannot
//!   understand is the `Err` of `Inbound::content`, so that one poisoned message cannot hold up its
//!   neighbours.
//! - Every field of `wa::Message` is either read, named as control or named as unsupported
//!   (`kinds`): a new one in the protocol crate stops the build instead of being overlooked.
//! - A key inside a message was written by its sender, so "from me" there means the *sender*.
//!   [`Target`](crate::inbound::message::Target) always speaks from our own account's side.
//! - No address keeps a device part, and reasons of failures hold no message text.

mod address;
mod body;
mod context;
mod envelope;
mod kinds;
mod media;
mod reply;
#[cfg(test)]
mod tests;

use wacore::types::message::{EditAttribute, MessageInfo};
use waproto::whatsapp as wa;

use self::address::Viewpoint;
use self::body::Body;
use crate::inbound::message::{Content, Context, Inbound, Malformed, Party};

/// Decodes one message. `us` is our own account in every form that is known.
///
/// Chat and sender carry the forms which the stanza tells; a mapping that was learned elsewhere is
/// the caller's to add.
pub fn inbound(message: &wa::Message, info: &MessageInfo, us: &Party) -> Inbound {
    let key = address::key(info, us);
    let view = Viewpoint { us, key: &key };
    let (content, context) = match read(message, info, &view) {
        Ok((content, context)) => (Ok(content), context),
        Err(malformed) => (Err(malformed), Context::default()),
    };
    Inbound {
        sent_at_ms: info.timestamp.timestamp_millis(),
        push_name: Some(info.push_name.clone()).filter(|name| !name.is_empty()),
        offline: info.is_offline,
        content,
        context,
        raw: waproto::codec::message_to_vec(message),
        key,
    }
}

fn read(
    message: &wa::Message,
    info: &MessageInfo,
    view: &Viewpoint<'_>,
) -> Result<(Content, Context), Malformed> {
    let opened = envelope::open(message)?;
    let body = body::read(opened.message, view)?;
    let mut context = context::read(body.context, info, view);
    context.view_once = opened.view_once || body.view_once;
    if context.quote.is_none() {
        let parent = opened.comment_on.or(info.comment_target.as_ref());
        context.quote = parent.and_then(|key| context::quote_of(key, view));
    }
    let edited = opened.edited || is_edit(&info.edit);
    Ok((finish_edit(body, edited, info, view), context))
}

fn is_edit(attribute: &EditAttribute) -> bool {
    matches!(
        attribute,
        EditAttribute::MessageEdit | EditAttribute::AdminEdit
    )
}

/// Channels and some decrypted add-ons say only on the envelope that they are edits; the new content
/// then stands where any other message has its own.
fn finish_edit(body: Body<'_>, edited: bool, info: &MessageInfo, view: &Viewpoint<'_>) -> Content {
    let replaces = matches!(
        body.content,
        Content::Text { .. }
            | Content::Image { .. }
            | Content::Video { .. }
            | Content::Audio { .. }
            | Content::Document { .. }
            | Content::Sticker { .. }
            | Content::Location { .. }
            | Content::Contacts { .. }
            | Content::Poll { .. }
    );
    if !(edited && replaces) {
        return body.content;
    }
    let id = info.meta_info.target_id.as_ref().unwrap_or(&info.id);
    Content::Edit {
        target: view.own_target(id.clone()),
        content: Box::new(body.content),
    }
}

/// A [`Malformed`] with this reason.
fn malformed(reason: impl Into<String>) -> Malformed {
    Malformed {
        reason: reason.into(),
    }
}
