//! Simulated people against the client library's own view of the protocol.

use simulator::media::{MediaServer, MediaStore};
use simulator::people::{
    Attachment, Content, EncKind, Endpoint, HistoryKind, Kind, Letterhead, MediaKind, MessageRef,
    PeopleError, Phone, QrCode, Received,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wacore::adv::{AdvValidation, decode_key_index_list, validate_adv_with_identity_key};
use wacore::companion_reg::CompanionWebClientType;
use wacore::libsignal::protocol::KeyPair;
use wacore::message_edit::{MessageEditContext, decrypt_message_edit};
use wacore::pair::{DeviceState, PairUtils};
use wacore::pair_code::PairCodeUtils;
use wacore_binary::Jid;
use waproto::whatsapp as wa;

fn jid(text: &str) -> Jid {
    text.parse().expect("a JID of the test")
}

fn text_of(message: wa::Message) -> Option<String> {
    Received::read(message).text
}

fn encoded(text: &str) -> Vec<u8> {
    waproto::codec::message_to_vec(&wa::Message {
        conversation: Some(text.to_owned()),
        ..Default::default()
    })
}

fn raw(pair: &KeyPair) -> [u8; 32] {
    pair.public_key.public_key_bytes().try_into().unwrap()
}

fn letterhead(id: &str) -> Letterhead {
    Letterhead {
        id: id.to_owned(),
        chat: jid("200@lid"),
        author: jid("100@lid"),
    }
}

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

fn companion(adv_secret: [u8; 32]) -> DeviceState {
    let mut rng = rand::rng();
    DeviceState {
        identity_key: KeyPair::generate(&mut rng),
        noise_key: KeyPair::generate(&mut rng),
        adv_secret_key: adv_secret,
    }
}

fn qr_text(device: &DeviceState) -> String {
    PairUtils::make_qr_data(device, "2@ref", CompanionWebClientType::Chrome)
}

#[test]
fn a_companion_accepts_the_phone_that_scanned_its_qr_code() {
    let mut phone = Phone::generate();
    let device = companion([7; 32]);
    let qr = QrCode::parse(&qr_text(&device)).unwrap();
    assert_eq!(qr.reference, "2@ref");
    assert_eq!(qr.noise, raw(&device.noise_key));

    let vouched = phone.vouch(&qr.identity, &qr.adv_secret);
    let (countersigned, index) =
        PairUtils::do_pair_crypto(&device, &vouched.device_identity).unwrap();
    assert_eq!(index, vouched.key_index);
    let identity = phone.accept_companion(&vouched, &countersigned).unwrap();
    assert_eq!(
        validate_adv_with_identity_key(&identity, &qr.identity, None),
        AdvValidation::Valid
    );
    let list = decode_key_index_list(&phone.key_index_list().signed).unwrap();
    assert_eq!((list.current_index, list.valid_indexes), (1, vec![1]));
    phone.dismiss_companion(index);
    let list = decode_key_index_list(&phone.key_index_list().signed).unwrap();
    assert_eq!((list.current_index, list.valid_indexes), (1, vec![]));
}

#[test]
fn a_companion_refuses_a_phone_without_its_secret() {
    let mut phone = Phone::generate();
    let device = companion([7; 32]);
    let vouched = phone.vouch(&raw(&device.identity_key), &[8; 32]);
    let refused = PairUtils::do_pair_crypto(&device, &vouched.device_identity).unwrap_err();
    assert_eq!((refused.code, refused.text), (401, "hmac-mismatch"));
}

#[test]
fn a_phone_refuses_what_another_companion_countersigned() {
    let mut phone = Phone::generate();
    let (device, other) = (companion([7; 32]), companion([7; 32]));
    let vouched = phone.vouch(&raw(&device.identity_key), &[7; 32]);
    let elsewhere = phone.vouch(&raw(&other.identity_key), &[7; 32]);
    let (countersigned, _) = PairUtils::do_pair_crypto(&other, &elsewhere.device_identity).unwrap();
    for forged in [countersigned.as_slice(), b"nonsense", b""] {
        let refused = phone.accept_companion(&vouched, forged);
        assert!(
            matches!(refused, Err(PeopleError::BadSignature(_))),
            "{refused:?}"
        );
    }
    let list = decode_key_index_list(&phone.key_index_list().signed).unwrap();
    assert_eq!(list.valid_indexes, Vec::<u32>::new());
}

#[test]
fn a_damaged_qr_code_names_the_part() {
    let good = qr_text(&companion([7; 32]));
    let body = good.rsplit('#').next().unwrap();
    assert!(QrCode::parse(body).is_ok());
    let parts: Vec<&str> = body.split(',').collect();
    for (index, what) in ["reference", "noise key", "identity key", "secret"]
        .iter()
        .enumerate()
    {
        let mut damaged = parts.clone();
        damaged[index] = if index == 0 { "" } else { "AAAA" };
        match QrCode::parse(&damaged.join(",")) {
            Err(PeopleError::BadQr(part)) => assert_eq!(part, *what),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_link_code_derives_one_secret_on_both_sides() {
    let phone = Phone::generate();
    let device = companion([0; 32]);
    let ephemeral = KeyPair::generate(&mut rand::rng());
    let shown = "ABCD1234";
    let hello = PairCodeUtils::encrypt_ephemeral_pub(&raw(&ephemeral), shown);

    let attempt = phone.answer_link("abcd-1234", &hello).unwrap();
    let theirs =
        PairCodeUtils::decrypt_primary_ephemeral_pub(&attempt.wrapped_ephemeral, shown).unwrap();
    let (bundle, secret) = PairCodeUtils::prepare_key_bundle(
        &ephemeral,
        &theirs,
        &attempt.identity,
        &device.identity_key,
    )
    .unwrap();
    let identity = raw(&device.identity_key);
    assert_eq!(
        phone.finish_link(&attempt, &bundle, &identity).unwrap(),
        secret
    );

    let mistyped = phone.answer_link("ABCD-1235", &hello).unwrap();
    let refused = phone.finish_link(&mistyped, &bundle, &identity);
    assert!(
        matches!(refused, Err(PeopleError::WrongLinkCode)),
        "{refused:?}"
    );
    let malformed = phone.answer_link("0OIU", &hello);
    assert!(
        matches!(malformed, Err(PeopleError::BadLinkCode("code"))),
        "{malformed:?}"
    );
}

#[test]
fn peer_messages_are_what_a_fresh_companion_waits_for() {
    let phone = Phone::generate();
    let share = phone.key_share();
    let protocol = share.protocol_message.as_option().unwrap();
    let keys = &protocol.app_state_sync_key_share.as_option().unwrap().keys;
    let data = keys[0].key_data.as_option().unwrap();
    assert_eq!(data.key_data.as_ref().map(Vec::len), Some(32));

    let names = [("100@s.whatsapp.net".to_owned(), "Alice".to_owned())];
    let history = phone.history(HistoryKind::PushNames, &names);
    let protocol = history.protocol_message.as_option().unwrap();
    let notification = protocol.history_sync_notification.as_option().unwrap();
    let inline = notification
        .initial_hist_bootstrap_inline_payload
        .as_ref()
        .unwrap();
    let mut payload = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::ZlibDecoder::new(&inline[..]),
        &mut payload,
    )
    .unwrap();
    let sync = waproto::codec::history_sync_decode(&payload).unwrap();
    assert_eq!(sync.pushnames[0].pushname.as_deref(), Some("Alice"));
}

#[test]
fn every_kind_of_content_reads_as_that_kind() {
    let media = MediaStore::new("127.0.0.1:1");
    let mut phone = Phone::generate();
    let target = MessageRef {
        id: "M0".to_owned(),
        from_me: false,
        author: jid("200@lid"),
    };
    let (id, text) = ("M0".to_owned(), "t".to_owned());
    let kinds = [
        (Content::Text(text.clone()), Kind::Text, "text", None),
        (
            Content::ExtendedText {
                text: text.clone(),
                quote: Some((target.clone(), "quoted".to_owned())),
                mentions: vec![jid("200@lid")],
            },
            Kind::Text,
            "text",
            None,
        ),
        (
            Content::Location {
                latitude: 1.0,
                longitude: 2.0,
                name: Some(text.clone()),
            },
            Kind::Location,
            "media",
            None,
        ),
        (
            Content::Contact {
                name: text.clone(),
                vcard: "BEGIN:VCARD".to_owned(),
            },
            Kind::Contact,
            "media",
            None,
        ),
        (
            Content::Poll {
                question: text.clone(),
                options: vec!["a".to_owned(), "b".to_owned()],
            },
            Kind::Poll,
            "poll",
            None,
        ),
        (
            Content::Reaction {
                target: target.clone(),
                emoji: text.clone(),
            },
            Kind::Reaction,
            "reaction",
            None,
        ),
        (
            Content::Edit {
                target: id.clone(),
                text: text.clone(),
            },
            Kind::Edit,
            "text",
            Some("1"),
        ),
        (
            Content::Ephemeral {
                content: Box::new(Content::Text(text.clone())),
                expiration_s: 60,
            },
            Kind::Text,
            "text",
            None,
        ),
    ];
    for (content, kind, stanza_type, edit) in kinds {
        let composed = phone.compose(&letterhead("M1"), &content, &media).unwrap();
        let decoded = waproto::codec::message_decode(&composed.plaintext).unwrap();
        let read = Received::read(decoded);
        assert_eq!(
            (read.kind, read.text.as_deref()),
            (kind, Some("t")),
            "{content:?}"
        );
        assert_eq!(composed.stanza_type, stanza_type, "{content:?}");
        assert_eq!(composed.edit.as_deref(), edit, "{content:?}");
        let copy = composed.device_sent(&jid("200@lid"));
        let copy = Received::read(waproto::codec::message_decode(&copy).unwrap());
        assert_eq!(
            (copy.kind, copy.sent_to.as_deref()),
            (kind, Some("200@lid"))
        );
    }
    let revoke = Content::Revoke { target: id };
    let composed = phone.compose(&letterhead("M2"), &revoke, &media).unwrap();
    assert_eq!(composed.edit.as_deref(), Some("7"));
    let read = Received::read(composed.message().unwrap().clone());
    assert_eq!(
        (read.kind, read.target.as_deref()),
        (Kind::Revoke, Some("M0"))
    );
}

#[test]
fn a_sealed_edit_opens_with_the_secret_of_its_message() {
    let media = MediaStore::new("127.0.0.1:1");
    let mut phone = Phone::generate();
    let edit = Content::SealedEdit {
        target: "M1".to_owned(),
        text: "better".to_owned(),
    };
    let early = phone.compose(&letterhead("E1"), &edit, &media);
    assert!(
        matches!(early, Err(PeopleError::UnknownMessage)),
        "{early:?}"
    );

    let text = Content::Text("good".to_owned());
    let original = phone.compose(&letterhead("M1"), &text, &media).unwrap();
    let info = original
        .message()
        .unwrap()
        .message_context_info
        .as_option()
        .unwrap();
    let sealed = phone.compose(&letterhead("E1"), &edit, &media).unwrap();
    assert_eq!(sealed.edit.as_deref(), Some("1"));
    let envelope = sealed
        .message()
        .unwrap()
        .secret_encrypted_message
        .as_option()
        .unwrap();
    let opened = decrypt_message_edit(
        envelope.enc_payload.as_deref().unwrap(),
        envelope.enc_iv.as_deref().unwrap(),
        info.message_secret.as_deref().unwrap(),
        &MessageEditContext {
            original_msg_id: "M1",
            original_sender_jid: "100@lid",
            editor_jid: "100@lid",
        },
    )
    .unwrap();
    assert_eq!(text_of(opened).as_deref(), Some("better"));
}

#[test]
fn media_of_every_kind_opens_and_expires() {
    let media = MediaStore::new("127.0.0.1:1");
    let mut phone = Phone::generate();
    for kind in [
        MediaKind::Image,
        MediaKind::Video,
        MediaKind::Audio,
        MediaKind::Voice,
        MediaKind::Document,
        MediaKind::Sticker,
    ] {
        let attachment = Attachment {
            kind,
            bytes: vec![kind as u8; 70_000],
            mime_type: "application/x-test".to_owned(),
            caption: None,
            file_name: Some("file.bin".to_owned()),
        };
        let content = Content::Media(attachment.clone());
        let content = match kind {
            MediaKind::Image => Content::ViewOnce(Box::new(content)),
            _ => content,
        };
        let composed = phone.compose(&letterhead("M1"), &content, &media).unwrap();
        assert_eq!(composed.stanza_type, "media");
        let read = Received::read(composed.message().unwrap().clone());
        let reference = read.media.unwrap();
        assert_eq!((reference.kind, reference.length), (kind, 70_000));
        assert_eq!(reference.open(&media).unwrap(), attachment.bytes);
        assert!(media.forget(&reference.direct_path));
        assert!(matches!(reference.open(&media), Err(PeopleError::Media(_))));
    }
    assert!(media.is_empty());
}

/// One HTTPS request over a connection of its own; answers the status and the body.
async fn request(server: &MediaServer, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    let ca = rustls::pki_types::CertificateDer::from_pem_slice(server.ca_pem().as_bytes());
    roots.add(ca.unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = tokio::net::TcpStream::connect(server.host()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect(name, tcp).await.unwrap();
    let length = body.len();
    let head = format!(
        "{head} HTTP/1.1\r\nhost: m\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12])
        .unwrap()
        .parse()
        .unwrap();
    (status, answer.split_off(split + 4))
}

#[tokio::test]
async fn what_goes_up_to_the_media_host_comes_down() {
    use base64::Engine as _;
    let server = MediaServer::start("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let body = vec![5u8; 100_000];
    let digest = ring::digest::digest(&ring::digest::SHA256, &body);
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    let upload = format!("POST /mms/image/{token}?auth=a&token={token}");
    let (status, answer) = request(&server, &upload, &body).await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let path = answer["direct_path"].as_str().unwrap();
    assert_eq!(answer["url"], format!("https://{}{path}", server.host()));
    let (status, fetched) = request(&server, &format!("GET {path}?token=x"), b"").await;
    assert_eq!((status, fetched), (200, body.clone()));

    let (status, _) = request(&server, "POST /mms/image/wrong", &body).await;
    assert_eq!(status, 400);
    let (status, _) = request(&server, "GET /v/nothing.enc", b"").await;
    assert_eq!(status, 404);
    server.stop().await;
}
