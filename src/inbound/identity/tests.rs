use super::*;
use crate::ids::Jid;
use crate::inbound::message::{Context, Malformed, MessageKey, Target};
use proptest::prelude::*;

fn both() -> Party {
    Party {
        pn: Some(Jid::new("4915112345678@s.whatsapp.net")),
        lid: Some(Jid::new("123456789012345@lid")),
    }
}

fn pn_only() -> Party {
    Party {
        lid: None,
        ..both()
    }
}

fn lid_only() -> Party {
    Party { pn: None, ..both() }
}

fn somebody_else() -> Party {
    Party {
        pn: Some(Jid::new("4915100000000@s.whatsapp.net")),
        lid: Some(Jid::new("100000000000000@lid")),
    }
}

fn message(person: Party, content: Content) -> Inbound {
    Inbound {
        key: MessageKey {
            id: "3EB0".to_owned(),
            chat: Chat::Direct(person.clone()),
            sender: person,
            from_me: false,
        },
        sent_at_ms: 1_790_000_000_000,
        push_name: None,
        offline: false,
        content: Ok(content),
        context: Context::default(),
        raw: vec![1],
    }
}

fn text(body: &str) -> Content {
    Content::Text {
        body: body.to_owned(),
    }
}

fn same(stored: &Inbound, new: &Inbound) -> bool {
    same_message(&Identity::of(stored), &Identity::of(new))
}

#[test]
fn a_redelivery_is_the_same_message() {
    let stored = message(both(), text("hi"));
    let mut again = stored.clone();
    again.offline = true;
    again.push_name = Some("Ada".to_owned());
    again.raw = vec![2];
    assert!(same(&stored, &again));
}

#[test]
fn a_mapping_learned_in_between_does_not_make_it_two() {
    let under_number = message(pn_only(), text("hi"));
    let under_lid = message(lid_only(), text("hi"));
    let with_both = message(both(), text("hi"));
    assert!(same(&under_number, &under_lid), "by content");
    assert!(same(&under_number, &with_both));
    assert!(same(&under_lid, &with_both));
    let reworded = message(both(), text("something else"));
    assert!(
        same(&under_number, &reworded),
        "by address, whatever it says"
    );
}

#[test]
fn one_id_of_two_senders_is_two_messages() {
    let stored = message(both(), text("hi"));
    assert!(!same(&stored, &message(somebody_else(), text("ho"))));
    assert!(!same(
        &message(pn_only(), text("hi")),
        &message(lid_only(), text("ho"))
    ));
}

#[test]
fn chat_sender_and_side_must_all_agree() {
    let stored = message(both(), text("hi"));
    let group = |sender: Party, body: &str| {
        let mut message = message(sender, text(body));
        let jid = Jid::new("120363000000000001@g.us");
        message.key.chat = Chat::Group { jid };
        message
    };
    assert!(!same(&stored, &group(both(), "ho")), "another chat");
    assert!(same(&group(lid_only(), "hi"), &group(both(), "ho")));
    assert!(
        !same(&group(somebody_else(), "hi"), &group(both(), "ho")),
        "another sender"
    );
    let mut ours = message(both(), text("ho"));
    ours.key.from_me = true;
    assert!(!same(&stored, &ours), "another side");
}

#[test]
fn nobodys_address_matches_nobody() {
    let nameless = |body| message(Party::default(), text(body));
    assert!(!same(&nameless("hi"), &nameless("ho")));
}

#[test]
fn what_may_differ_between_deliveries_is_not_hashed() {
    let image = |direct_path: &str, url: Option<&str>, sha256: &str| {
        let media = Media {
            direct_path: direct_path.to_owned(),
            url: url.map(str::to_owned),
            sha256: sha256.to_owned(),
            ..Media::default()
        };
        Identity::of(&message(both(), Content::Image { media })).content_hash
    };
    assert_eq!(
        image("/a", None, "01"),
        image("/b", Some("https://b"), "01")
    );
    assert_ne!(image("/a", None, "01"), image("/a", None, "02"));

    let reaction = |from_me, author: Option<&str>, emoji: &str| {
        let content = Content::Reaction {
            target: Target {
                message_id: "A".to_owned(),
                from_me,
                author: author.map(Jid::new),
            },
            emoji: Some(emoji.to_owned()),
        };
        Identity::of(&message(both(), content)).content_hash
    };
    assert_eq!(
        reaction(true, Some("1@lid"), "👍"),
        reaction(false, None, "👍")
    );
    assert_ne!(reaction(true, None, "👍"), reaction(true, None, "👎"));
}

#[test]
fn what_was_not_understood_is_compared_as_it_came() {
    let unsupported = |raw: u8| {
        let kind = "eventMessage".to_owned();
        let mut message = message(both(), Content::Unsupported { kind });
        message.raw = vec![raw];
        Identity::of(&message).content_hash
    };
    assert_eq!(unsupported(1), unsupported(1));
    assert_ne!(unsupported(1), unsupported(2));
    let malformed = |raw: u8| {
        let mut message = message(both(), text(""));
        message.content = Err(Malformed {
            reason: "a revoke without a target".to_owned(),
        });
        message.raw = vec![raw];
        Identity::of(&message).content_hash
    };
    assert_ne!(malformed(1), malformed(2));
}

#[test]
fn a_message_without_an_id_gets_one_from_content_chat_and_time() {
    let id = |person: Party, body: &str, sent_at_ms: i64| {
        let mut message = message(person, text(body));
        message.key.id = String::new();
        message.sent_at_ms = sent_at_ms;
        Identity::of(&message).id
    };
    let made = id(both(), "hi", 1);
    assert_eq!((made.len(), made.starts_with("h:")), (66, true));
    assert_eq!(id(both(), "hi", 1), made);
    assert_eq!(id(lid_only(), "hi", 1), made);
    assert_ne!(id(both(), "hi", 2), made);
    assert_ne!(id(both(), "ho", 1), made);
    assert_ne!(id(somebody_else(), "hi", 1), made);
}

/// Rows of 35 days are compared with what this code computes: a change of the form needs a new
/// format byte, not a new expectation here.
#[test]
fn the_hashed_form_is_fixed() {
    let identity = Identity::of(&message(both(), text("hi")));
    assert_eq!(
        identity.content_hash.to_hex(),
        "fd52d3b4cf5ffc1324cd11db62a44afc65cf50a8fa0888bf3259723a7e5a9f94"
    );
}

#[test]
fn a_hash_reads_back_from_the_store() {
    let hash = Identity::of(&message(both(), text("hi"))).content_hash;
    assert_eq!(ContentHash::try_from(hash.to_hex()), Ok(hash));
    for bad in ["", "00", "xy", &"0".repeat(65)] {
        assert_eq!(ContentHash::try_from(bad.to_owned()), Err(NotAContentHash));
    }
}

#[test]
fn further_messages_under_one_id_get_keys_of_their_own() {
    assert_eq!(suffixed_key("3EB0", 0), "3EB0");
    assert_eq!(suffixed_key("3EB0", 1), "3EB0#1");
    assert_eq!(suffixed_key("3EB0", 12), "3EB0#12");
}

fn any_party() -> impl Strategy<Value = Party> {
    let form = |server: &'static str| {
        prop::option::of((0..3_u8).prop_map(move |n| Jid::new(format!("{n}@{server}"))))
    };
    (form("s.whatsapp.net"), form("lid")).prop_map(|(pn, lid)| Party { pn, lid })
}

fn any_chat() -> impl Strategy<Value = Chat> {
    let jid = |server: &'static str| (0..2_u8).prop_map(move |n| Jid::new(format!("{n}@{server}")));
    prop_oneof![
        any_party().prop_map(Chat::Direct),
        jid("g.us").prop_map(|jid| Chat::Group { jid }),
        jid("broadcast").prop_map(|jid| Chat::Broadcast { jid }),
        Just(Chat::Status),
    ]
}

prop_compose! {
    fn any_message()(
        chat in any_chat(),
        sender in any_party(),
        from_me in any::<bool>(),
        body in "[ab]{0,2}",
    ) -> Inbound {
        let mut message = message(sender.clone(), text(&body));
        message.key = MessageKey { id: "3EB0".to_owned(), chat, sender, from_me };
        message
    }
}

proptest! {
    #[test]
    fn sameness_is_reflexive_and_symmetric(a in any_message(), b in any_message()) {
        prop_assert!(same(&a, &a));
        prop_assert_eq!(same(&a, &b), same(&b, &a));
    }

    #[test]
    fn learning_a_form_never_splits_a_message(a in any_message(), form in any_party()) {
        let mut later = a.clone();
        let learned = |party: &mut Party| {
            party.pn = party.pn.take().or(form.pn.clone());
            party.lid = party.lid.take().or(form.lid.clone());
        };
        learned(&mut later.key.sender);
        if let Chat::Direct(peer) = &mut later.key.chat {
            learned(peer);
        }
        prop_assert!(same(&a, &later));
    }

    #[test]
    fn different_words_elsewhere_are_never_the_same(a in any_message(), body in "[cd]{1,2}") {
        let mut other = message(somebody_else(), text(&body));
        other.key.from_me = a.key.from_me;
        prop_assert!(!same(&a, &other));
    }
}
