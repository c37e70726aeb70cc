use super::*;

fn key_of(info: &MessageInfo) -> MessageKey {
    inbound(&text("x"), info, &us()).key
}

fn key(chat: Chat, sender: Party, from_me: bool) -> MessageKey {
    MessageKey {
        id: "3EB0AA".to_owned(),
        chat,
        sender,
        from_me,
    }
}

#[test]
fn both_forms_come_out_whichever_the_stanza_leads_with() {
    let expected = key(Chat::Direct(peer()), peer(), false);
    assert_eq!(key_of(&direct()), expected);
    let mut flipped = direct();
    flipped.source.chat = wire(PEER_LID);
    flipped.source.sender = wire("100000000000001:2@lid");
    flipped.source.sender_alt = Some(wire("4915100000001:2@s.whatsapp.net"));
    assert_eq!(key_of(&flipped), expected);
}

#[test]
fn one_form_alone_stays_alone() {
    let mut info = direct();
    info.source.sender_alt = None;
    let pn_only = Party {
        pn: Some(Jid::new(PEER_PN)),
        lid: None,
    };
    assert_eq!(
        key_of(&info),
        key(Chat::Direct(pn_only.clone()), pn_only, false)
    );
}

#[test]
fn a_group_message_is_its_participants() {
    let jid = Jid::new(GROUP);
    assert_eq!(key_of(&group()), key(Chat::Group { jid }, peer(), false));
}

#[test]
fn our_phones_message_is_ours_in_the_peers_chat() {
    assert_eq!(key_of(&from_phone()), key(Chat::Direct(peer()), us(), true));
}

#[test]
fn our_note_to_ourselves_is_in_our_own_chat() {
    let mut info = from_phone();
    info.source.chat = wire(OUR_LID);
    info.source.recipient = None;
    info.peer_recipient_pn = None;
    assert_eq!(key_of(&info), key(Chat::Direct(us()), us(), true));
}

#[test]
fn our_phones_group_message_knows_both_our_forms() {
    let mut info = group();
    info.source.sender = wire("199999999999999:0@lid");
    info.source.sender_alt = None;
    info.source.is_from_me = true;
    let jid = Jid::new(GROUP);
    assert_eq!(key_of(&info), key(Chat::Group { jid }, us(), true));
}

#[test]
fn status_lists_and_channels_are_told_apart() {
    for (chat, expected) in [
        ("status@broadcast", Chat::Status),
        (
            "1700000000@broadcast",
            Chat::Broadcast {
                jid: Jid::new("1700000000@broadcast"),
            },
        ),
        (
            "120363111111111111@newsletter",
            Chat::Newsletter {
                jid: Jid::new("120363111111111111@newsletter"),
            },
        ),
    ] {
        let mut info = direct();
        info.source.chat = wire(chat);
        assert_eq!(key_of(&info), key(expected, peer(), false));
    }
}

#[test]
fn other_spellings_of_a_person_are_the_same_person() {
    for (sender, alt) in [
        ("4915100000001:99@hosted", "100000000000001:99@hosted.lid"),
        ("4915100000001@c.us", "100000000000001@lid"),
    ] {
        let mut info = group();
        info.source.sender = wire(sender);
        info.source.sender_alt = Some(wire(alt));
        assert_eq!(key_of(&info).sender, peer());
    }
}

#[test]
fn an_envelope_says_when_by_whom_and_whether_late() {
    let mut info = direct();
    info.is_offline = true;
    info.push_name = String::new();
    let message = text("x");
    let mut expected = decoded(&message, says("x"));
    expected.offline = true;
    expected.push_name = None;
    assert_eq!(inbound(&message, &info, &us()), expected);
}
