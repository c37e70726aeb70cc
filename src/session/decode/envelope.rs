//! Wrappers around a message. They nest in any order; each says something about its content or
//! exists only so that old clients skip what they do not know.

use waproto::whatsapp as wa;

use super::malformed;
use crate::inbound::message::Malformed;

/// Real messages nest three or four deep. The bound keeps a hostile one from costing more.
const MAX_WRAPPERS: usize = 16;

/// A message without its wrappers.
pub(super) struct Opened<'a> {
    /// The innermost message.
    pub message: &'a wa::Message,
    /// A wrapper asks for viewing once.
    pub view_once: bool,
    /// A wrapper says that it replaces an earlier message.
    pub edited: bool,
    /// The post that it comments on.
    pub comment_on: Option<&'a wa::MessageKey>,
}

/// Takes off every wrapper that holds a message. An empty wrapper stays: it is the content.
pub(super) fn open(message: &wa::Message) -> Result<Opened<'_>, Malformed> {
    let mut opened = Opened {
        message,
        view_once: false,
        edited: false,
        comment_on: None,
    };
    for _ in 0..MAX_WRAPPERS {
        let Some(inner) = step(&mut opened) else {
            return Ok(opened);
        };
        opened.message = inner;
    }
    Err(malformed(format!("wrapped more than {MAX_WRAPPERS} times")))
}

fn step<'a>(opened: &mut Opened<'a>) -> Option<&'a wa::Message> {
    let message = opened.message;
    if let Some(inner) = view_once(message) {
        opened.view_once = true;
        return Some(inner);
    }
    if let Some(inner) = held(&message.edited_message) {
        opened.edited = true;
        return Some(inner);
    }
    if let Some(comment) = message.comment_message.as_option()
        && let Some(inner) = comment.message.as_option()
    {
        opened.comment_on = comment.target_message_key.as_option();
        return Some(inner);
    }
    let from_phone = message.device_sent_message.as_option();
    from_phone
        .and_then(|sent| sent.message.as_option())
        .or_else(|| neutral(message))
}

fn view_once(message: &wa::Message) -> Option<&wa::Message> {
    held(&message.view_once_message)
        .or_else(|| held(&message.view_once_message_v2))
        .or_else(|| held(&message.view_once_message_v2_extension))
}

/// Wrappers that change nothing about what is said.
fn neutral(message: &wa::Message) -> Option<&wa::Message> {
    [
        &message.ephemeral_message,
        &message.document_with_caption_message,
        &message.group_mentioned_message,
        &message.bot_invoke_message,
        &message.lottie_sticker_message,
        &message.event_cover_image,
        &message.status_mention_message,
        &message.poll_creation_option_image_message,
        &message.associated_child_message,
        &message.group_status_mention_message,
        &message.poll_creation_message_v4,
        &message.status_add_yours,
        &message.group_status_message,
        &message.limit_sharing_message,
        &message.bot_task_message,
        &message.question_message,
        &message.group_status_message_v2,
        &message.bot_forwarded_message,
        &message.question_reply_message,
        &message.newsletter_admin_profile_message,
        &message.newsletter_admin_profile_message_v2,
        &message.newsletter_admin_profile_status_message,
        &message.spoiler_message,
    ]
    .into_iter()
    .find_map(held)
}

fn held(
    wrapper: &waproto::buffa::MessageField<wa::message::FutureProofMessage>,
) -> Option<&wa::Message> {
    wrapper.as_option()?.message.as_option()
}
