use super::*;
use crate::inbound::message::{Context, MessageKey, Target};

const PN: &str = "4915112345678@s.whatsapp.net";
const LID: &str = "123456789012345@lid";
const GROUP: &str = "120363000000000001@g.us";

fn person() -> Party {
    Party {
        pn: Some(Jid::new(PN)),
        lid: Some(Jid::new(LID)),
    }
}

fn stranger() -> Party {
    Party {
        pn: Some(Jid::new("4915100000000@s.whatsapp.net")),
        lid: None,
    }
}

fn group() -> Chat {
    Chat::Group {
        jid: Jid::new(GROUP),
    }
}

fn written(chat: Chat, sender: Party) -> Inbound {
    Inbound {
        key: MessageKey {
            id: "3EB0".to_owned(),
            chat,
            sender,
            from_me: false,
        },
        sent_at_ms: 0,
        push_name: None,
        offline: false,
        content: Ok(Content::Text {
            body: "hi".to_owned(),
        }),
        context: Context::default(),
        raw: Vec::new(),
    }
}

fn direct(person: Party) -> Inbound {
    written(Chat::Direct(person.clone()), person)
}

fn allow(list: &str) -> Policy {
    Policy::parse(list, "", "", "").expect("a valid list")
}

fn deny(list: &str) -> Policy {
    Policy::parse("", list, "", "").expect("a valid list")
}

fn groups(value: &str) -> Policy {
    Policy::parse("", "", value, "").expect("a valid value")
}

#[test]
fn without_settings_everybody_is_accepted_except_in_status() {
    let default = Policy::default();
    assert_eq!(Policy::parse("", "", "", ""), Ok(default.clone()));
    assert_eq!(default.admit(&direct(stranger())), Ok(()));
    assert_eq!(default.admit(&written(group(), stranger())), Ok(()));
    let status = written(Chat::Status, person());
    assert_eq!(default.admit(&status), Err(Refusal::StatusOff));
    let on = Policy::parse("", "", "", "on").expect("a valid value");
    assert_eq!(on.admit(&status), Ok(()));
}

#[test]
fn blank_settings_are_absent_settings() {
    assert_eq!(Policy::parse(" , ", "", " ", ""), Ok(Policy::default()));
}

#[test]
fn an_allow_list_accepts_whom_it_names_in_any_form_and_nobody_else() {
    for entry in [
        "+49 151 12345678",
        "4915112345678",
        PN,
        "4915112345678:3@s.whatsapp.net",
        "4915112345678@c.us",
        LID,
        "+49 30 1234567, +49 151 12345678",
        "*",
    ] {
        assert_eq!(allow(entry).admit(&direct(person())), Ok(()), "{entry}");
    }
    let refused = allow("+49 151 12345678").admit(&direct(stranger()));
    assert_eq!(refused, Err(Refusal::NotAllowed));
    assert_eq!(allow("*").admit(&direct(stranger())), Ok(()));
}

#[test]
fn a_deny_list_refuses_whom_it_names_in_any_form_and_nobody_else() {
    for entry in ["+49 151 12345678", PN, LID] {
        assert_eq!(deny(entry).admit(&direct(person())), Err(Refusal::Denied));
        assert_eq!(deny(entry).admit(&direct(stranger())), Ok(()));
    }
    assert_eq!(deny("*").admit(&direct(stranger())), Err(Refusal::Denied));
}

#[test]
fn deny_beats_allow() {
    let both = Policy::parse("*, +49 151 12345678", LID, "", "").expect("valid lists");
    assert_eq!(both.admit(&direct(person())), Err(Refusal::Denied));
    assert_eq!(both.admit(&direct(stranger())), Ok(()));
}

#[test]
fn a_group_passes_by_its_name_or_its_senders() {
    let by_person = written(group(), person());
    let by_stranger = written(group(), stranger());
    assert_eq!(allow(GROUP).admit(&by_stranger), Ok(()));
    assert_eq!(
        allow(GROUP).admit(&direct(stranger())),
        Err(Refusal::NotAllowed)
    );
    assert_eq!(allow(PN).admit(&by_person), Ok(()));
    assert_eq!(allow(PN).admit(&by_stranger), Err(Refusal::NotAllowed));
    assert_eq!(deny(GROUP).admit(&by_person), Err(Refusal::Denied));
    assert_eq!(deny(PN).admit(&by_person), Err(Refusal::Denied));
    assert_eq!(deny(PN).admit(&by_stranger), Ok(()));
}

#[test]
fn with_groups_off_only_groups_are_refused() {
    let off = groups("off");
    assert_eq!(
        off.admit(&written(group(), person())),
        Err(Refusal::GroupsOff)
    );
    assert_eq!(off.admit(&direct(person())), Ok(()));
}

#[test]
fn with_groups_on_mention_a_message_must_concern_us() {
    let mention = groups("Mention");
    let plain = written(group(), person());
    assert_eq!(mention.admit(&plain), Err(Refusal::NotMentioned));
    assert_eq!(mention.admit(&direct(person())), Ok(()));

    let mut addressed = plain.clone();
    addressed.context.addressed_to_us = true;
    assert_eq!(mention.admit(&addressed), Ok(()));

    let reaction_to = |from_me| {
        let mut reaction = plain.clone();
        reaction.content = Ok(Content::Reaction {
            target: Target {
                message_id: "A".to_owned(),
                from_me,
                author: None,
            },
            emoji: None,
        });
        reaction
    };
    assert_eq!(mention.admit(&reaction_to(true)), Ok(()));
    assert_eq!(
        mention.admit(&reaction_to(false)),
        Err(Refusal::NotMentioned)
    );

    let mut ours = plain;
    ours.key.from_me = true;
    assert_eq!(mention.admit(&ours), Ok(()));
}

#[test]
fn our_own_message_is_judged_by_whom_we_wrote_to() {
    let mut ours = written(Chat::Direct(person()), stranger());
    ours.key.from_me = true;
    assert_eq!(deny(PN).admit(&ours), Err(Refusal::Denied));
    assert_eq!(allow(PN).admit(&ours), Ok(()));
}

#[test]
fn channels_and_lists_are_matched_by_address() {
    let jid = Jid::new("120363111111111111@newsletter");
    let post = written(Chat::Newsletter { jid }, Party::default());
    assert_eq!(Policy::default().admit(&post), Ok(()));
    assert_eq!(
        deny("120363111111111111@newsletter").admit(&post),
        Err(Refusal::Denied)
    );
}

#[test]
fn a_wrong_entry_is_named_with_its_setting() {
    for entry in ["bob", "12", "a@b", "@lid", "bob@s.whatsapp.net", "1 2@lid"] {
        let list = format!("+4915112345678, {entry}");
        let error = |setting| {
            Err(PolicyError::Entry {
                setting,
                entry: entry.to_owned(),
            })
        };
        assert_eq!(Policy::parse(&list, "", "", ""), error("WHATSAPP_ALLOW"));
        assert_eq!(Policy::parse("", &list, "", ""), error("WHATSAPP_DENY"));
    }
}

#[test]
fn a_wrong_choice_is_answered_with_the_right_ones() {
    let error = Policy::parse("", "", "none", "").expect_err("no such value");
    assert_eq!(
        error.to_string(),
        "WHATSAPP_GROUPS: \"none\" is not one of its values; write all, mention or off"
    );
    let error = Policy::parse("", "", "", "yes").expect_err("no such value");
    assert_eq!(
        error.to_string(),
        "WHATSAPP_STATUS: \"yes\" is not one of its values; write on or off"
    );
}
