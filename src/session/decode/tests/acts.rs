use super::*;
use wa::message::protocol_message::Type;
use wa::message::secret_encrypted_message::SecretEncType;

fn reaction(key: MessageField<wa::MessageKey>, emoji: &str) -> wa::Message {
    wa::Message {
        reaction_message: MessageField::some(wa::message::ReactionMessage {
            key,
            text: Some(emoji.to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn revoke(key: MessageField<wa::MessageKey>) -> wa::Message {
    protocol(wa::message::ProtocolMessage {
        key,
        r#type: Some(Type::REVOKE),
        ..Default::default()
    })
}

fn edit(key: MessageField<wa::MessageKey>, content: wa::Message) -> wa::Message {
    protocol(wa::message::ProtocolMessage {
        key,
        r#type: Some(Type::MESSAGE_EDIT),
        edited_message: MessageField::some(content),
        ..Default::default()
    })
}

#[test]
fn a_reaction_in_a_direct_chat_is_seen_from_our_side() {
    let to_ours = reaction(wire_key(false, None), "👍");
    let content = Content::Reaction {
        target: target(true, None),
        emoji: Some("👍".to_owned()),
    };
    assert_eq!(
        inbound(&to_ours, &direct(), &us()),
        decoded(&to_ours, content)
    );
    let to_their_own = reaction(wire_key(true, None), "");
    let content = Content::Reaction {
        target: target(false, None),
        emoji: None,
    };
    assert_eq!(content_of(&to_their_own, &direct()), content);
    let from_our_phone = |from_me| {
        let message = reaction(wire_key(from_me, None), "👍");
        content_of(&message, &from_phone())
    };
    for from_me in [true, false] {
        let content = Content::Reaction {
            target: target(from_me, None),
            emoji: Some("👍".to_owned()),
        };
        assert_eq!(from_our_phone(from_me), content);
    }
}

#[test]
fn a_target_in_a_group_names_its_author() {
    let target_of = |key| match content_of(&revoke(key), &group()) {
        Content::Revoke { target } => target,
        other => panic!("{other:?}"),
    };
    let ours = target_of(wire_key(false, Some("199999999999999:3@lid")));
    assert_eq!(ours, target(true, Some(OUR_LID)));
    let somebodys = target_of(wire_key(false, Some("100000000000002@lid")));
    assert_eq!(somebodys, target(false, Some("100000000000002@lid")));
    let senders = target_of(wire_key(true, None));
    assert_eq!(senders, target(false, Some(PEER_LID)));
    assert_eq!(target_of(wire_key(false, None)), target(false, None));
}

#[test]
fn an_edit_carries_its_new_content() {
    let message = edit(wire_key(true, None), text("better"));
    let content = Content::Edit {
        target: target(false, None),
        content: Box::new(says("better")),
    };
    assert_eq!(
        inbound(&message, &direct(), &us()),
        decoded(&message, content)
    );
}

#[test]
fn nobody_edits_or_deletes_our_messages_by_claiming_so() {
    let key = || wire_key(false, Some(OUR_PN));
    for message in [edit(key(), text("forged")), revoke(key())] {
        let target_of = |info| match content_of(&message, &info) {
            Content::Edit { target, .. } | Content::Revoke { target } => target,
            other => panic!("{other:?}"),
        };
        assert_eq!(target_of(direct()), target(false, None));
    }
    let Content::Edit { target: edited, .. } = content_of(&edit(key(), text("x")), &group()) else {
        panic!("an edit");
    };
    assert_eq!(edited, target(false, Some(PEER_LID)));
}

#[test]
fn an_edit_without_a_type_is_known_by_its_content() {
    let message = protocol(wa::message::ProtocolMessage {
        key: wire_key(true, None),
        edited_message: MessageField::some(text("better")),
        ..Default::default()
    });
    let content = Content::Edit {
        target: target(false, None),
        content: Box::new(says("better")),
    };
    assert_eq!(content_of(&message, &direct()), content);
}

#[test]
fn an_edit_of_an_edit_is_unsupported_not_followed() {
    let inner = edit(wire_key(true, None), text("deep"));
    let content = Content::Edit {
        target: target(false, None),
        content: Box::new(Content::Unsupported {
            kind: "protocolMessage".to_owned(),
        }),
    };
    let outer = edit(wire_key(true, None), inner);
    assert_eq!(content_of(&outer, &direct()), content);
}

#[test]
fn an_encrypted_edit_that_stayed_closed_is_still_an_edit() {
    let sealed = |kind| wa::Message {
        secret_encrypted_message: MessageField::some(wa::message::SecretEncryptedMessage {
            target_message_key: wire_key(true, None),
            secret_enc_type: Some(kind),
            ..Default::default()
        }),
        ..Default::default()
    };
    let unopened = Content::Unsupported {
        kind: "secretEncryptedMessage".to_owned(),
    };
    let content = Content::Edit {
        target: target(false, None),
        content: Box::new(unopened.clone()),
    };
    assert_eq!(
        content_of(&sealed(SecretEncType::MESSAGE_EDIT), &direct()),
        content
    );
    assert_eq!(
        content_of(&sealed(SecretEncType::EVENT_EDIT), &direct()),
        unopened
    );
}

#[test]
fn a_poll_vote_names_its_poll() {
    let message = wa::Message {
        poll_update_message: MessageField::some(wa::message::PollUpdateMessage {
            poll_creation_message_key: wire_key(false, None),
            ..Default::default()
        }),
        ..Default::default()
    };
    let content = Content::PollVote {
        target: target(true, None),
        option_hashes: None,
        options: None,
    };
    assert_eq!(
        inbound(&message, &direct(), &us()),
        decoded(&message, content)
    );
}

#[test]
fn an_act_without_a_target_is_malformed() {
    let nameless = || MessageField::some(wa::MessageKey::default());
    let without_content = protocol(wa::message::ProtocolMessage {
        key: wire_key(true, None),
        r#type: Some(Type::MESSAGE_EDIT),
        ..Default::default()
    });
    for (message, reason) in [
        (
            reaction(MessageField::none(), "👍"),
            "a reaction without a target",
        ),
        (
            reaction(nameless(), "👍"),
            "a reaction without its target's id",
        ),
        (revoke(MessageField::none()), "a revoke without a target"),
        (
            edit(MessageField::none(), text("x")),
            "an edit without a target",
        ),
        (without_content, "an edit without new content"),
    ] {
        assert_eq!(refusal_of(&message), reason);
    }
}
