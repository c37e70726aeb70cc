//! A key is made once, and never in place of one that was lost.

use std::os::unix::fs::PermissionsExt as _;

use auth_store::{KEY_FILE, KeyFile, KeyFileError, KeyOrigin, KeyRing, MasterKey};

use crate::fixture::Account;

#[test]
fn a_missing_key_is_made_for_the_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let auth_root = root.path().join("auth");
    let (made, origin) = KeyRing::load_or_create(&auth_root).unwrap();
    assert_eq!(origin, KeyOrigin::Created);
    let path = auth_root.join(KEY_FILE);
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.clone()), 0o600);
    assert_eq!(mode(auth_root.clone()), 0o700);
    let (found, origin) = KeyRing::load_or_create(&auth_root).unwrap();
    assert_eq!((found.id(), origin), (made.id(), KeyOrigin::Found));
    assert_eq!(KeyFile::at(&path).read().unwrap().id(), made.id());
    assert_eq!(std::fs::read_dir(&auth_root).unwrap().count(), 1);
}

#[tokio::test]
async fn a_missing_key_beside_a_sealed_account_is_an_error_that_names_it() {
    let account = Account::new();
    account.open(1).await.close().await;
    let key_file = account.root().join(KEY_FILE);
    std::fs::remove_file(&key_file).unwrap();
    let error = KeyRing::load_or_create(account.root()).unwrap_err();
    let KeyFileError::MissingBesideSealed {
        key_file: named,
        sealed,
    } = error
    else {
        panic!("refused for another reason: {error}");
    };
    assert_eq!(named, key_file);
    assert_eq!(sealed, account.file());
    assert!(!key_file.exists(), "no new key was made");
}

#[test]
fn a_key_file_without_a_key_is_refused_and_kept() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(KEY_FILE);
    for text in ["", "hello", &"a".repeat(63), &"ab".repeat(33)] {
        std::fs::write(&path, text).unwrap();
        let error = KeyRing::load_or_create(root.path()).unwrap_err();
        assert!(matches!(error, KeyFileError::Malformed(named) if named == path));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn hex_and_base64_name_the_same_key() {
    let hex = MasterKey::parse(&"ff".repeat(32)).unwrap();
    let padded = MasterKey::parse("//////////////////////////////////////////8=\n").unwrap();
    let bare = MasterKey::parse("//////////////////////////////////////////8").unwrap();
    assert_eq!(hex.id(), padded.id());
    assert_eq!(hex.id(), bare.id());
    assert_ne!(hex.id(), MasterKey::parse(&"fe".repeat(32)).unwrap().id());
    assert!(!format!("{hex:?}").contains("ffff"));
}

#[test]
fn processes_that_start_together_agree_on_the_key() {
    let root = tempfile::tempdir().unwrap();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let start = |_| scope.spawn(|| KeyRing::load_or_create(root.path()).unwrap().0.id());
        let threads: Vec<_> = (0..8).map(start).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn a_rotated_file_holds_both_keys_until_the_old_one_is_dropped() {
    let root = tempfile::tempdir().unwrap();
    let (old, _) = KeyRing::load_or_create(root.path()).unwrap();
    let file = KeyFile::beside(root.path());
    let rotated = file.add_fresh().unwrap();
    assert_eq!(rotated.ids()[1..], old.ids());
    assert_ne!(rotated.id(), old.id());
    let (found, origin) = KeyRing::load_or_create(root.path()).unwrap();
    assert_eq!((found.ids(), origin), (rotated.ids(), KeyOrigin::Found));
    let mode = std::fs::metadata(file.path()).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    assert_eq!(file.drop_unused(&[old.id()]).unwrap(), None);
    let kept = file.read().unwrap();
    assert_eq!(kept.ids(), rotated.ids(), "a key in use is kept");
    let copy = file.drop_unused(&[rotated.id()]).unwrap().unwrap();
    assert_eq!(file.read().unwrap().ids(), [rotated.id()]);
    assert_eq!(KeyFile::at(&copy).read().unwrap().ids(), rotated.ids());
    let mode = std::fs::metadata(copy).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);

    std::fs::write(file.path(), "no key").unwrap();
    assert!(matches!(file.add_fresh(), Err(KeyFileError::Malformed(_))));
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "no key");
}

#[test]
fn rotations_at_the_same_time_lose_no_key() {
    let root = tempfile::tempdir().unwrap();
    KeyRing::load_or_create(root.path()).unwrap();
    let file = KeyFile::beside(root.path());
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| file.add_fresh().unwrap().id()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let kept = file.read().unwrap().ids();
    assert_eq!(kept.len(), 9);
    assert!(made.iter().all(|id| kept.contains(id)));
}
