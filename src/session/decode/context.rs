//! What surrounds the content: the quoted message, mentions, forwarding, lifetime.

use wacore::types::message::MessageInfo;
use waproto::whatsapp as wa;

use super::address::{self, Viewpoint};
use super::envelope;
use crate::inbound::message::{Context, Quote};

/// Reads the context of a message whose body carries `info` or none.
pub(super) fn read(
    context: Option<&wa::ContextInfo>,
    info: &MessageInfo,
    view: &Viewpoint<'_>,
) -> Context {
    let ephemeral = context
        .and_then(|context| context.expiration)
        .or(info.ephemeral_expiration)
        .filter(|seconds| *seconds > 0);
    let Some(context) = context else {
        return Context {
            ephemeral_seconds: ephemeral,
            ..Context::default()
        };
    };
    let quote = quote(context);
    let mentions: Vec<_> = context
        .mentioned_jid
        .iter()
        .filter_map(|jid| address::parse(jid))
        .collect();
    let author = quote.as_ref().and_then(|quote| quote.author.as_ref());
    Context {
        addressed_to_us: mentions.iter().chain(author).any(|jid| view.is_us(jid)),
        forwarded: context.is_forwarded.unwrap_or(false)
            || context.forwarding_score.unwrap_or(0) > 0,
        view_once: false,
        ephemeral_seconds: ephemeral,
        quote,
        mentions,
    }
}

fn quote(context: &wa::ContextInfo) -> Option<Quote> {
    let message_id = context.stanza_id.clone().filter(|id| !id.is_empty())?;
    Some(Quote {
        message_id,
        author: context.participant.as_deref().and_then(address::parse),
        text: context.quoted_message.as_option().and_then(text_of),
    })
}

/// A comment's post, as the message that the comment replies to.
pub(super) fn quote_of(key: &wa::MessageKey, view: &Viewpoint<'_>) -> Option<Quote> {
    let target = view.target(Some(key), "a comment").ok()?;
    Some(Quote {
        message_id: target.message_id,
        author: target.author,
        text: None,
    })
}

/// The words of a message, for showing what a reply refers to.
fn text_of(message: &wa::Message) -> Option<String> {
    let message = envelope::open(message).ok()?.message;
    let caption = || {
        message
            .image_message
            .as_option()
            .and_then(|image| image.caption.clone())
            .or_else(|| message.video_message.as_option()?.caption.clone())
            .or_else(|| message.document_message.as_option()?.caption.clone())
    };
    message
        .conversation
        .clone()
        .or_else(|| message.extended_text_message.as_option()?.text.clone())
        .or_else(caption)
        .filter(|text| !text.is_empty())
}
