//! A damaged file is refused by name or repaired by its rules, and never read as empty.

use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auth_store::{OpenMediumError, Poison, RecordError};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use wacore::store::traits::{DeviceStore as _, SignalStore as _};

use crate::contents::{Item, fill, items, read_all};
use crate::fixture::Account;

/// Between two places that are damaged.
const STEP: usize = 50;
/// Places that are tried when not all of them are.
const SAMPLE: usize = 160;

/// A file with a linked device, and what reading each of its records gives: as it is, and when it is not
/// there.
struct Specimen {
    account: Account,
    bytes: Vec<u8>,
    items: Vec<Item>,
    present: Vec<String>,
    absent: Vec<String>,
}

/// What became of a damaged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Nothing of it was hit.
    Unharmed,
    /// Records were dropped, and the rest is there.
    Repaired,
    /// It, or a record of it, was refused by name.
    Refused,
}

impl Specimen {
    async fn new() -> Self {
        let items = items();
        let empty = Account::new();
        let nothing = empty.open(1).await;
        let absent = shown(&nothing.auth, &items).await;
        nothing.close().await;

        let account = Account::new();
        let opened = account.open(1).await;
        fill(&opened.auth).await;
        opened.close().await;
        let bytes = std::fs::read(account.file()).unwrap();
        let opened = account.open(1).await;
        let present = shown(&opened.auth, &items).await;
        opened.kill().await;
        for ((item, here), gone) in items.iter().zip(&present).zip(&absent) {
            assert_ne!(here, gone, "{} would not be missed", item.record);
        }
        Self {
            account,
            bytes,
            items,
            present,
            absent,
        }
    }

    /// Opens the file with these bytes and reads everything.
    async fn fate_of(&self, bytes: &[u8], what: &str) -> Fate {
        let account = &self.account;
        std::fs::write(account.file(), bytes).unwrap();
        forget_log(account);
        account.repairs.lock().unwrap().clear();
        let medium = match account.medium(1).await {
            Ok(medium) => Arc::new(medium),
            Err(error) => {
                assert!(
                    error.to_string().contains("shop/auth.db"),
                    "{what}: {error}"
                );
                return Fate::Refused;
            }
        };
        let fate = match account.over(medium.clone()).await {
            Ok(auth) => {
                assert!(auth.is_current().await, "{what}: other credentials");
                let exists = auth.exists().await;
                assert!(!matches!(exists, Ok(false)), "{what}: a fresh device");
                self.compare(&auth, what).await
            }
            Err(error) => {
                let text = error.to_string();
                // A key id that was hit reads as another key's.
                let named = names_its_place(&text) || text.contains("of account shop is sealed");
                assert!(named, "{what}: {text}");
                Fate::Refused
            }
        };
        medium.close().await;
        fate
    }

    async fn compare(&self, auth: &auth_store::AuthStore, what: &str) -> Fate {
        let mut fate = Fate::Unharmed;
        for (at, item) in self.items.iter().enumerate() {
            let seen = item.read(auth).await;
            let seen = match seen {
                Err(
                    error @ (RecordError::Corrupt { .. }
                    | RecordError::Damaged { .. }
                    | RecordError::Unavailable(_)
                    | RecordError::Stopped(Poison::Damaged(_))),
                ) => {
                    let text = chain(&error);
                    assert!(names_its_place(&text), "{what}: {}: {text}", item.record);
                    fate = Fate::Refused;
                    continue;
                }
                seen => show(seen),
            };
            if seen == self.present[at] {
                continue;
            }
            assert_eq!(seen, self.absent[at], "{what}: {}", item.record);
            let repairs = self.account.repairs.lock().unwrap();
            let dropped = |record: &String| {
                let key = format!("g1/{record}");
                repairs.iter().any(|repair| repair.record.as_str() == key)
            };
            let known = dropped(&item.record) || item.gone_with.iter().any(dropped);
            assert!(known, "{what}: {} is gone in silence", item.record);
            fate = fate.max(Fate::Repaired);
        }
        fate
    }

    /// Places to damage: every one, or as many as a short run has time for.
    fn places(&self, random: &mut StdRng) -> Vec<usize> {
        let all = (0..self.bytes.len()).step_by(STEP);
        if std::env::var("WORKER_TEST_FULL").is_ok_and(|full| full == "1") {
            return all.collect();
        }
        let chance = SAMPLE as f64 / all.len() as f64;
        all.filter(|_| random.random_bool(chance.min(1.0)))
            .collect()
    }
}

fn show(seen: crate::contents::Seen) -> String {
    seen.unwrap_or_else(|error| format!("error: {error}"))
}

async fn shown(auth: &auth_store::AuthStore, items: &[Item]) -> Vec<String> {
    read_all(auth, items).await.into_iter().map(show).collect()
}

fn names_its_place(text: &str) -> bool {
    text.contains("shop/auth.db")
        || text.contains("record g1/")
        || text.contains("record generations")
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(chain).unwrap_or_default();
    format!("{error}: {source}")
}

fn forget_log(account: &Account) {
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut name = account.file().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
}

/// Counts panics of every thread, the database's too.
fn count_panics() -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    let counted = panics.clone();
    let earlier = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        counted.fetch_add(1, Ordering::SeqCst);
        earlier(info);
    }));
    panics
}

#[tokio::test]
async fn a_flipped_bit_is_refused_or_repaired_wherever_it_is() {
    let panics = count_panics();
    let specimen = Specimen::new().await;
    assert_eq!(
        specimen.fate_of(&specimen.bytes, "as it is").await,
        Fate::Unharmed
    );
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut fates = BTreeMap::<Fate, usize>::new();
    for at in specimen.places(&mut random) {
        let bit = random.random_range(0..8);
        let mut flipped = specimen.bytes.clone();
        flipped[at] ^= 1 << bit;
        let what = format!("seed {seed}: bit {bit} of byte {at}");
        *fates
            .entry(specimen.fate_of(&flipped, &what).await)
            .or_default() += 1;
        assert_eq!(panics.load(Ordering::SeqCst), 0, "{what}: a panic");
    }
    println!("seed {seed}, {} bytes: {fates:?}", specimen.bytes.len());
    for fate in [Fate::Repaired, Fate::Refused] {
        assert!(fates.contains_key(&fate), "never {fate:?}: {fates:?}");
    }
}

#[tokio::test]
async fn a_torn_file_is_refused_wherever_it_ends() {
    let panics = count_panics();
    let specimen = Specimen::new().await;
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    for at in specimen.places(&mut random) {
        let what = format!("cut to {at} bytes");
        let fate = specimen.fate_of(&specimen.bytes[..at], &what).await;
        assert_eq!(fate, Fate::Refused, "seed {seed}: {what}");
        assert_eq!(panics.load(Ordering::SeqCst), 0, "{what}: a panic");
    }
}

fn seed() -> u64 {
    match std::env::var("AUTH_STORE_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => rand::random(),
    }
}

async fn filled() -> (Account, Vec<u8>) {
    let account = Account::new();
    let opened = account.open(1).await;
    fill(&opened.auth).await;
    opened.close().await;
    let bytes = std::fs::read(account.file()).unwrap();
    (account, bytes)
}

#[tokio::test]
async fn a_truncated_file_is_refused_by_name() {
    let (account, bytes) = filled().await;
    for length in [0, 1, 100, 4096, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(account.file(), &bytes[..length]).unwrap();
        forget_log(&account);
        let error = match account.medium(2).await {
            Err(error) => error,
            Ok(_) => panic!("cut to {length} bytes: it was opened"),
        };
        assert!(
            matches!(&error, OpenMediumError::Records(RecordError::Damaged { place, .. }) if place.ends_with("shop/auth.db")),
            "cut to {length} bytes: {error}"
        );
        let kept = std::fs::read(account.file()).unwrap();
        assert!(
            kept == bytes[..length],
            "cut to {length} bytes: it was changed"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_gone_beside_its_log_is_refused() {
    let (account, _) = filled().await;
    let opened = account.open(1).await;
    opened
        .auth
        .put_session("address", b"session")
        .await
        .unwrap();
    std::fs::remove_file(account.file()).unwrap();
    let error = account.medium(2).await.err().unwrap();
    assert!(matches!(
        error,
        OpenMediumError::Records(RecordError::Damaged { .. })
    ));
    assert!(!account.file().exists());
}
