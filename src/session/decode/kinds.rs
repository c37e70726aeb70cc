//! The closed list of every other kind, by WhatsApp's own names.

use waproto::whatsapp as wa;

use super::malformed;
use crate::inbound::message::{Content, Malformed};

/// Destructures without a rest pattern, so that a field added to `wa::Message` stops the build here
/// until somebody decides what becomes of it.
macro_rules! kinds {
    (
        apart: $($apart:ident),+;
        content: $($content:ident),+;
        control: $($control:ident),+;
    ) => {
        fn named(message: &wa::Message) -> Option<Content> {
            let wa::Message { $($apart: _,)+ $($content,)+ $($control,)+ } = message;
            $(if $content.is_set() {
                return Some(Content::Unsupported { kind: camel(stringify!($content)) });
            })+
            $(if $control.is_set() {
                return Some(Content::Control { kind: camel(stringify!($control)) });
            })+
            None
        }
    };
}

kinds! {
    apart: conversation, message_context_info;
    // Read elsewhere; here only when empty or in a place where they mean nothing.
    content: image_message, contact_message, location_message, extended_text_message,
        document_message, audio_message, video_message, protocol_message, contacts_array_message,
        live_location_message, sticker_message, template_button_reply_message, device_sent_message,
        view_once_message, list_response_message, ephemeral_message, buttons_response_message,
        reaction_message, interactive_response_message, poll_creation_message,
        poll_update_message, document_with_caption_message, view_once_message_v2, edited_message,
        view_once_message_v2_extension, poll_creation_message_v2, group_mentioned_message,
        poll_creation_message_v3, ptv_message, bot_invoke_message, lottie_sticker_message,
        comment_message, secret_encrypted_message, event_cover_image, status_mention_message,
        poll_creation_option_image_message, associated_child_message,
        group_status_mention_message, poll_creation_message_v4, status_add_yours,
        group_status_message, limit_sharing_message, bot_task_message, question_message,
        group_status_message_v2, bot_forwarded_message, question_reply_message,
        poll_creation_message_v5, newsletter_admin_profile_message,
        newsletter_admin_profile_message_v2, spoiler_message, poll_creation_message_v6,
        newsletter_admin_profile_status_message,
        // Meant for people, in a form that this version does not read.
        highly_structured_message, send_payment_message, request_payment_message,
        decline_payment_request_message, cancel_payment_request_message, template_message,
        group_invite_message, product_message, list_message, order_message, invoice_message,
        buttons_message, payment_invite_message, interactive_message, request_phone_number_message,
        enc_reaction_message, scheduled_call_creation_message, scheduled_call_edit_message,
        enc_comment_message, event_message, enc_event_response_message,
        newsletter_admin_invite_message, sticker_pack_message, poll_result_snapshot_message,
        rich_response_message, status_question_answer_message, question_response_message,
        status_quoted_message, status_sticker_interaction_message,
        newsletter_follower_invite_message_v2, poll_result_snapshot_message_v3,
        conditional_reveal_message, poll_add_option_message, event_invite_message,
        payment_reminder_message, split_payment_message;
    // Keys, settings, notices, and the header of an album whose pictures follow one by one.
    control: sender_key_distribution_message, fast_ratchet_key_sender_key_distribution_message,
        call, chat, sticker_sync_rmr_message, keep_in_chat_message, pin_in_chat_message,
        call_log_messsage, message_history_bundle, bcall_message, placeholder_message,
        album_message, status_notification_message, message_history_notice, group_root_key_share,
        root_secret_distribute_message;
}

/// What no reader claimed. The library drops fields that its schema lacks, so a message of a kind
/// from the future arrives with nothing but the context that nearly every message has.
pub(super) fn other(message: &wa::Message) -> Result<Content, Malformed> {
    if let Some(content) = named(message) {
        return Ok(content);
    }
    if message.message_context_info.is_set() {
        return Ok(Content::Unsupported {
            kind: "messageContextInfo".to_owned(),
        });
    }
    Err(malformed("nothing in it that this version knows"))
}

/// The field's name in WhatsApp's schema, from the generated one.
fn camel(snake: &str) -> String {
    let mut name = String::with_capacity(snake.len());
    let mut raise = false;
    for c in snake.chars() {
        if c == '_' {
            raise = true;
        } else {
            name.push(if raise { c.to_ascii_uppercase() } else { c });
            raise = false;
        }
    }
    name
}
