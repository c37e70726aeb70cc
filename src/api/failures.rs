//! Who shows wrong tokens, counted for each address. It slows nobody who shows a right one, also not
//! behind a proxy that all share: what keeps tokens from being guessed is their length.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use crate::clock::Boot;

/// Wrong tokens that an address may show within [`WINDOW`].
const MOST_FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered at once.
const MOST_ADDRESSES: usize = 4096;

/// Wrong tokens of the last minute.
#[derive(Debug, Default)]
pub struct Failures {
    seen: Mutex<HashMap<Option<IpAddr>, (Boot, u32)>>,
}

impl Failures {
    /// Counts a failure of `address` at `now`. When it had too many, says how long until it may fail
    /// again.
    pub fn note(&self, address: Option<IpAddr>, now: Boot) -> Option<Duration> {
        let mut seen = self.seen.lock().expect("nothing panics while it is held");
        if seen.len() >= MOST_ADDRESSES && !seen.contains_key(&address) {
            seen.retain(|_, (begun, _)| now.since(*begun) < WINDOW);
            // So many at once are no typing errors: whoever is new is refused for the while.
            if seen.len() >= MOST_ADDRESSES {
                return Some(WINDOW);
            }
        }
        let (begun, count) = seen.entry(address).or_insert((now, 0));
        if now.since(*begun) >= WINDOW {
            (*begun, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        (*count > MOST_FAILURES).then(|| WINDOW.saturating_sub(now.since(*begun)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(n.into()))
    }

    #[test]
    fn an_address_is_told_to_wait_after_ten_failures_and_others_are_not() {
        let (failures, now) = (Failures::default(), Boot::now());
        for _ in 0..MOST_FAILURES {
            assert_eq!(failures.note(address(1), now), None);
        }
        assert_eq!(failures.note(address(1), now), Some(WINDOW));
        assert_eq!(failures.note(address(2), now), None);
        assert_eq!(failures.note(address(1), now.plus(WINDOW)), None);
    }

    #[test]
    fn no_more_addresses_are_remembered_than_the_bound() {
        let (failures, now) = (Failures::default(), Boot::now());
        let most = u32::try_from(MOST_ADDRESSES).expect("small");
        for n in 0..most {
            assert_eq!(failures.note(address(n), now), None);
        }
        assert_eq!(failures.note(address(most), now), Some(WINDOW));
        assert_eq!(failures.note(address(1), now), None);
        assert_eq!(failures.note(address(most), now.plus(WINDOW)), None);
        assert_eq!(failures.seen.lock().expect("whole").len(), 1);
    }
}
