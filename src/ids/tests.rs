use super::*;

#[test]
fn an_account_id_that_could_leave_its_directory_is_refused() {
    for bad in ["", "..", "../x", "a/b", ".hidden", "a b", &"x".repeat(65)] {
        assert_eq!(
            bad.parse::<AccountId>(),
            Err(IdError::Account(bad.to_owned()))
        );
    }
    assert_eq!(
        "shop-1".parse::<AccountId>().expect("valid").as_str(),
        "shop-1"
    );
}

#[test]
fn two_starts_of_one_worker_are_two_owners() {
    let (a, b) = (OwnerId::incarnate("w1"), OwnerId::incarnate("w1"));
    assert_ne!(a, b);
    assert!(a.expect("valid").as_str().starts_with("w1#"));
}

#[test]
fn addresses_and_numbers_print_masked() {
    let jid = Jid::new("4915112345678:3@s.whatsapp.net");
    assert_eq!(
        format!("{jid} {jid:?}"),
        "…78@s.whatsapp.net Jid(…78@s.whatsapp.net)"
    );
    let phone = Phone::parse("+49 (151) 123-456.78").expect("valid");
    assert_eq!(format!("{phone} {phone:?}"), "…78 Phone(…78)");
    assert_eq!(phone.digits(), "4915112345678");
    assert_eq!(Phone::parse("call me"), None);
    assert_eq!(mask("123"), "…");
}
