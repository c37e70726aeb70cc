//! Ratchets and sender keys.

use simulator::people::{EncKind, Endpoint, Kind, PeopleError, Received};
use wacore_binary::Jid;

use crate::{encoded, jid, text_of};

#[test]
fn a_session_opens_with_pkmsg_and_goes_on_with_msg() {
    let (alice, bob) = (jid("100:0@lid"), jid("200:3@lid"));
    let (mut from, mut to) = (Endpoint::generate(), Endpoint::generate());
    assert!(matches!(
        from.encrypt(&bob, b"x"),
        Err(PeopleError::NoSession)
    ));

    from.establish(&bob, &to.key_bundle()).unwrap();
    let first = from.encrypt(&bob, &encoded("one")).unwrap();
    let second = from.encrypt(&bob, &encoded("two")).unwrap();
    assert_eq!(
        (first.kind, second.kind),
        (EncKind::PreKey, EncKind::PreKey)
    );
    for (sealed, text) in [(&second, "two"), (&first, "one")] {
        let opened = to
            .decrypt(&alice, None, sealed.kind, &sealed.ciphertext)
            .unwrap();
        assert_eq!(text_of(opened).as_deref(), Some(text));
    }
    let answer = to.encrypt(&alice, &encoded("answer")).unwrap();
    assert_eq!(answer.kind, EncKind::Whisper);
    let opened = from
        .decrypt(&bob, None, answer.kind, &answer.ciphertext)
        .unwrap();
    assert_eq!(text_of(opened).as_deref(), Some("answer"));
    let third = from.encrypt(&bob, &encoded("three")).unwrap();
    assert_eq!(third.kind, EncKind::Whisper);
}

#[test]
fn a_replayed_or_damaged_ciphertext_is_told_apart() {
    let (alice, bob) = (jid("100@lid"), jid("200@lid"));
    let (mut from, mut to) = (Endpoint::generate(), Endpoint::generate());
    from.establish(&bob, &to.key_bundle()).unwrap();
    let sealed = from.encrypt(&bob, &encoded("once")).unwrap();
    to.decrypt(&alice, None, sealed.kind, &sealed.ciphertext)
        .unwrap();
    let again = to.decrypt(&alice, None, sealed.kind, &sealed.ciphertext);
    assert!(matches!(again, Err(PeopleError::Duplicate)), "{again:?}");

    let mut damaged = from.encrypt(&bob, &encoded("never")).unwrap();
    // The end of a pkmsg is its unauthenticated key id; the MAC is just before it.
    let mac = damaged.ciphertext.len() - 5;
    damaged.ciphertext[mac] ^= 1;
    let opened = to.decrypt(&alice, None, damaged.kind, &damaged.ciphertext);
    assert!(
        matches!(opened, Err(PeopleError::Undecryptable(_))),
        "{opened:?}"
    );
    for kind in [EncKind::PreKey, EncKind::Whisper] {
        let opened = to.decrypt(&alice, None, kind, b"\x33nonsense");
        assert!(
            matches!(opened, Err(PeopleError::Undecryptable(_))),
            "{opened:?}"
        );
    }
}

#[test]
fn a_bundle_with_a_forged_pre_key_is_refused() {
    let mut bundle = Endpoint::generate().key_bundle();
    bundle.signed.public = Endpoint::generate().key_bundle().signed.public;
    let refused = Endpoint::generate().establish(&jid("200@lid"), &bundle);
    assert!(
        matches!(refused, Err(PeopleError::BadKey(_))),
        "{refused:?}"
    );
}

#[test]
fn a_sender_key_goes_once_to_each_device_until_it_rotates() {
    let group = jid("77@g.us");
    let (alice, bob, carol) = (jid("100@lid"), jid("200:1@lid"), jid("300@lid"));
    let mut from = Endpoint::generate();
    let mut readers = [
        (bob.clone(), Endpoint::generate()),
        (carol, Endpoint::generate()),
    ];
    let devices: Vec<Jid> = readers.iter().map(|(device, _)| device.clone()).collect();
    assert!(matches!(
        from.encrypt_for_group(&group, &devices, b"x"),
        Err(PeopleError::NoSession)
    ));
    for (device, reader) in &mut readers {
        from.establish(device, &reader.key_bundle()).unwrap();
    }
    let mut handed_out = Vec::new();
    for text in ["one", "two", "three"] {
        if text == "three" {
            from.rotate_group(&group);
        }
        let sealed = from
            .encrypt_for_group(&group, &devices, &encoded(text))
            .unwrap();
        handed_out.push(sealed.distributions.len());
        for (device, reader) in &mut readers {
            let own = sealed.distributions.iter().filter(|(to, _)| to == device);
            for (_, envelope) in own {
                let opened = reader
                    .decrypt(&alice, Some(&group), envelope.kind, &envelope.ciphertext)
                    .unwrap();
                assert_eq!(Received::read(opened).kind, Kind::SenderKey);
            }
            let opened = reader
                .decrypt(
                    &alice,
                    Some(&group),
                    sealed.payload.kind,
                    &sealed.payload.ciphertext,
                )
                .unwrap();
            assert_eq!(text_of(opened).as_deref(), Some(text));
        }
    }
    assert_eq!(handed_out, [2, 0, 2]);
}
