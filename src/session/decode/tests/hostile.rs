//! Whatever the bytes: no panic, and always an answer that can be stored and hashed.

use super::*;
use crate::inbound::identity::Identity;
use crate::inbound::summary::summary;
use proptest::prelude::*;

/// Valid messages to damage, rich in nesting.
fn seeds() -> Vec<Vec<u8>> {
    let wrapped = wa::Message {
        ephemeral_message: MessageField::some(wa::message::FutureProofMessage {
            message: MessageField::some(wa::Message {
                extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
                    text: Some("hello".to_owned()),
                    context_info: MessageField::some(wa::ContextInfo {
                        stanza_id: Some("Q".to_owned()),
                        participant: Some(PEER_LID.to_owned()),
                        quoted_message: MessageField::some(text("quoted")),
                        mentioned_jid: vec![OUR_LID.to_owned()],
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            }),
        }),
        ..Default::default()
    };
    let edit = wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            key: wire_key(true, Some(PEER_PN)),
            r#type: Some(wa::message::protocol_message::Type::MESSAGE_EDIT),
            edited_message: MessageField::some(wrapped.clone()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let place = wa::Message {
        location_message: MessageField::some(wa::message::LocationMessage {
            degrees_latitude: Some(1.0),
            degrees_longitude: Some(2.0),
            ..Default::default()
        }),
        ..Default::default()
    };
    [text("plain"), wrapped, edit, place]
        .iter()
        .map(waproto::codec::message_to_vec)
        .collect()
}

fn survives(bytes: &[u8]) {
    let Ok(message) = waproto::codec::message_decode(bytes) else {
        return;
    };
    for info in [direct(), group(), from_phone()] {
        let decoded = inbound(&message, &info, &us());
        let identity = Identity::of(&decoded);
        assert_eq!(identity.id, info.id);
        match decoded.content {
            Ok(content) => {
                let json = serde_json::to_string(&content).expect("storable");
                let back: Content = serde_json::from_str(&json).expect("readable");
                // Not the whole: the last digit of a coordinate may change in JSON.
                assert_eq!(summary(&back), summary(&content));
            }
            Err(malformed) => assert!(!malformed.reason.is_empty()),
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_decode_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        survives(&bytes);
    }

    #[test]
    fn damaged_messages_decode_without_panic(
        seed in 0..4_usize,
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = seeds().swap_remove(seed);
        for (place, value) in hits {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        survives(&bytes);
        survives(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn any_text_in_any_string_is_harmless(noise in "\\PC{0,40}") {
        let context = wa::ContextInfo {
            stanza_id: Some(noise.clone()),
            participant: Some(noise.clone()),
            mentioned_jid: vec![noise.clone(), format!("{noise}@lid")],
            ..Default::default()
        };
        let message = wa::Message {
            extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
                text: Some(noise.clone()),
                context_info: MessageField::some(context),
                ..Default::default()
            }),
            ..Default::default()
        };
        prop_assert_eq!(content_of(&message, &group()), says(&noise));
    }
}
