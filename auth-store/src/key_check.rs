//! Comparing the keys that are there with the head's account of them, for media that do not do it
//! themselves when they are opened.
//!
//! A key that vanished would read as absence. The check takes as long as listing all keys does, so
//! opening does not wait for it; what it finds stops the store.

use std::sync::Arc;
use std::time::Duration;

use crate::Poison;
use crate::head::KeySet;
use crate::record::{RecordError, RecordKey, RecordStore};
use crate::writer::Shared;

/// Keys listed at once.
const PAGE: usize = 5_000;
/// Times that the check begins again because something was written meanwhile,
/// before it keeps the writer waiting.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);
/// The end of every key that there can be: none begins with this character.
const AFTER_ALL: &str = "\u{7f}";

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyCheck {
    /// They are the keys that must be there.
    Agree,
    /// They are not.
    Differ { found: KeySet, expected: KeySet },
    /// The medium was written meanwhile.
    Moved,
}

/// Lists every key and compares them with the head.
pub(crate) async fn compare(medium: &dyn RecordStore) -> Result<KeyCheck, RecordError> {
    let before = medium.head().await?;
    let mut found = KeySet::default();
    let mut from = String::new();
    loop {
        let keys = medium.keys(&from, AFTER_ALL, PAGE).await?;
        for key in &keys {
            found.insert(key.as_str());
        }
        match keys.last() {
            Some(last) if keys.len() == PAGE => from = next_after(last),
            _ => break,
        }
    }
    let after = medium.head().await?;
    let writes = |head: &Option<crate::Head>| head.as_ref().map(|head| head.writes);
    if writes(&before) != writes(&after) {
        return Ok(KeyCheck::Moved);
    }
    let expected = before.map(|head| head.keys).unwrap_or_default();
    Ok(if found == expected {
        KeyCheck::Agree
    } else {
        KeyCheck::Differ { found, expected }
    })
}

/// The smallest key after this one.
fn next_after(key: &RecordKey) -> String {
    format!("{}\u{1}", key.as_str())
}

/// Checks an open store's medium and poisons the store if keys are missing or
/// were added. Nobody waits for it; it ends by itself.
pub(crate) async fn watch_over(shared: Arc<Shared>) {
    for attempt in 0..=TRIES {
        // The last time nothing of ours is written meanwhile.
        let order = match attempt {
            TRIES => Some(shared.order.lock().await),
            _ => None,
        };
        match compare(&*shared.medium).await {
            Ok(KeyCheck::Agree) => return,
            Ok(KeyCheck::Differ { found, expected }) => {
                let reason = format!(
                    "the keys in {} do not match their checksum ({} there, {} expected)",
                    shared.medium.place(),
                    found.count(),
                    expected.count()
                );
                tracing::error!(%reason, "auth store poisoned");
                return shared.stop(Poison::Damaged(reason));
            }
            Ok(KeyCheck::Moved) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return shared.stop(Poison::Damaged(error.to_string())),
        }
        drop(order);
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!(place = %shared.medium.place(), "the keys of the auth state could not be checked");
}
