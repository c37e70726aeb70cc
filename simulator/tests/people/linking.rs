//! Phones and the companions they vouch for.

use simulator::people::{HistoryKind, PeopleError, Phone, QrCode};
use wacore::adv::{AdvValidation, decode_key_index_list, validate_adv_with_identity_key};
use wacore::companion_reg::CompanionWebClientType;
use wacore::libsignal::protocol::KeyPair;
use wacore::pair::{DeviceState, PairUtils};
use wacore::pair_code::PairCodeUtils;

use crate::raw;

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
    let history = phone.history(HistoryKind::PushNames, &names, Vec::new());
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
