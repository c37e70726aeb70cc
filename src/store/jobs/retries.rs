//! When a job that failed is tried again.

use std::time::Duration;

/// Before the second attempt.
const FIRST: Duration = Duration::from_secs(2);

/// Before the last ones.
const LONGEST: Duration = Duration::from_mins(15);

/// How often a job is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// After the first attempt: 3 are 4 attempts in all.
    pub max: u32,
}

impl Retries {
    /// Whether a job that was claimed `attempts` times may be claimed once more.
    pub(super) fn allow(self, attempts: i64) -> bool {
        attempts <= i64::from(self.max)
    }
}

/// How long to wait after `attempts`: doubled each time, and up to a quarter longer by `roll` (0 to 1),
/// so that what failed together does not come back together.
pub(super) fn wait_after(attempts: i64, roll: f64) -> Duration {
    let doublings = u32::try_from(attempts.clamp(1, 16) - 1).expect("it is small");
    let plain = FIRST.saturating_mul(1 << doublings);
    plain.mul_f64(1.0 + roll / 4.0).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_two_seconds_to_a_quarter_of_an_hour() {
        let plain: Vec<u64> = [1, 2, 3, 4, 9, 10, 99, i64::MAX]
            .map(|attempts| wait_after(attempts, 0.0).as_secs())
            .to_vec();
        assert_eq!(plain, [2, 4, 8, 16, 512, 900, 900, 900]);
        assert_eq!(wait_after(1, 1.0), Duration::from_millis(2500));
        assert_eq!(wait_after(0, 0.0), FIRST);
    }

    #[test]
    fn three_retries_are_four_attempts() {
        let retries = Retries { max: 3 };
        assert!(retries.allow(1) && retries.allow(3) && !retries.allow(4));
        assert!(!Retries { max: 0 }.allow(1));
    }
}
