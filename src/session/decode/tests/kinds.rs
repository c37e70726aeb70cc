use super::*;
use wa::message::protocol_message::Type;

#[test]
fn settings_and_keys_are_control_by_their_names() {
    for (kind, name) in [
        (Type::EPHEMERAL_SETTING, "EPHEMERAL_SETTING"),
        (Type::APP_STATE_SYNC_KEY_SHARE, "APP_STATE_SYNC_KEY_SHARE"),
        (Type::HISTORY_SYNC_NOTIFICATION, "HISTORY_SYNC_NOTIFICATION"),
        (
            Type::PEER_DATA_OPERATION_REQUEST_MESSAGE,
            "PEER_DATA_OPERATION_REQUEST_MESSAGE",
        ),
    ] {
        let message = protocol(wa::message::ProtocolMessage {
            r#type: Some(kind),
            ..Default::default()
        });
        let content = Content::Control {
            kind: name.to_owned(),
        };
        assert_eq!(
            inbound(&message, &direct(), &us()),
            decoded(&message, content)
        );
    }
}

macro_rules! with {
    ($field:ident) => {
        wa::Message {
            $field: MessageField::some(Default::default()),
            ..Default::default()
        }
    };
}

#[test]
fn pins_calls_and_placeholders_are_control() {
    for (message, name) in [
        (with!(pin_in_chat_message), "pinInChatMessage"),
        (with!(keep_in_chat_message), "keepInChatMessage"),
        (with!(call_log_messsage), "callLogMesssage"),
        (with!(placeholder_message), "placeholderMessage"),
        (
            with!(sender_key_distribution_message),
            "senderKeyDistributionMessage",
        ),
        (with!(album_message), "albumMessage"),
    ] {
        let content = Content::Control {
            kind: name.to_owned(),
        };
        assert_eq!(content_of(&message, &direct()), content);
    }
}

#[test]
fn what_is_meant_for_people_but_not_read_is_unsupported_by_its_field_name() {
    for (message, name) in [
        (with!(event_message), "eventMessage"),
        (with!(group_invite_message), "groupInviteMessage"),
        (with!(enc_reaction_message), "encReactionMessage"),
        (with!(sticker_pack_message), "stickerPackMessage"),
        (with!(view_once_message_v2), "viewOnceMessageV2"),
        (with!(message_context_info), "messageContextInfo"),
        (with!(protocol_message), "protocolMessage"),
    ] {
        let content = Content::Unsupported {
            kind: name.to_owned(),
        };
        assert_eq!(content_of(&message, &direct()), content);
    }
}

#[test]
fn an_empty_message_is_malformed() {
    let reason = "nothing in it that this version knows";
    assert_eq!(refusal_of(&wa::Message::default()), reason);
}

#[test]
fn a_key_distribution_beside_content_does_not_hide_it() {
    let message = wa::Message {
        sender_key_distribution_message: MessageField::some(Default::default()),
        message_context_info: MessageField::some(Default::default()),
        ..text("hello")
    };
    assert_eq!(content_of(&message, &group()), says("hello"));
}
