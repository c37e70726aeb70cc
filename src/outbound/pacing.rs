//! How fast messages may leave, for accounts that should not look like a machine. Off unless set.
//!
//! A chat's pace is kept by its lane in the store, the account's by its session: a session that begins
//! anew may be early by one message.

use std::time::Duration;

use super::message::{Draft, Outgoing};
use crate::clock::Boot;

/// Time that a person takes for one character.
const PER_CHARACTER: Duration = Duration::from_millis(40);
/// However short or long the text.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(8);

/// What is set about an account's pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pacing {
    /// Least time between two messages of the account; zero: any.
    pub every: Duration,
    /// Whether "typing…" is shown before each text.
    pub typing: bool,
}

impl Pacing {
    /// How long to show "typing…" before `draft`; the draft's own wish goes first.
    pub fn typing(&self, draft: &Draft) -> Option<Duration> {
        if let Some(ms) = draft.typing_ms {
            return (ms > 0).then(|| Duration::from_millis(ms.into()));
        }
        match &draft.content {
            Outgoing::Text { body } if self.typing => {
                let characters = u32::try_from(body.chars().count()).unwrap_or(u32::MAX);
                Some(
                    PER_CHARACTER
                        .saturating_mul(characters)
                        .clamp(SHORTEST, LONGEST),
                )
            }
            _ => None,
        }
    }
}

/// The least time between two messages, for a rate per minute; zero for no rate.
pub fn interval(per_minute: u32) -> Duration {
    match per_minute {
        0 => Duration::ZERO,
        rate => Duration::from_mins(1) / rate,
    }
}

/// When the next message may leave.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    every: Duration,
    next: Boot,
}

impl Pace {
    /// One message each `every`.
    pub const fn new(every: Duration) -> Self {
        Self {
            every,
            next: Boot::NEVER,
        }
    }

    /// How many of `wanted` messages may leave at `now`, and, if none may, how long to wait.
    pub fn allows(&self, wanted: usize, now: Boot) -> Result<usize, Duration> {
        if self.every.is_zero() {
            Ok(wanted)
        } else if now < self.next {
            Err(self.next.since(now))
        } else {
            Ok(wanted.min(1))
        }
    }

    /// A message leaves at `now`.
    pub fn spend(&mut self, now: Boot) {
        self.next = now.plus(self.every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_takes_as_long_as_the_text_within_bounds_and_the_draft_goes_first() {
        let on = Pacing {
            typing: true,
            ..Pacing::default()
        };
        let text = |n: usize| Draft::text("x".repeat(n));
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(on.typing(&text(1)), seconds(1));
        assert_eq!(on.typing(&text(100)), seconds(4));
        assert_eq!(on.typing(&text(9999)), seconds(8));
        assert_eq!(Pacing::default().typing(&text(100)), None);
        let wish = |ms| Draft {
            typing_ms: Some(ms),
            ..text(100)
        };
        assert_eq!(Pacing::default().typing(&wish(2000)), seconds(2));
        assert_eq!(on.typing(&wish(0)), None);
    }

    #[test]
    fn a_rate_is_kept_and_no_rate_is_none() {
        let start = Boot::from_ms(1000);
        let mut pace = Pace::new(interval(30));
        assert_eq!(pace.allows(5, start), Ok(1));
        pace.spend(start);
        let soon = start.plus(Duration::from_millis(500));
        assert_eq!(pace.allows(5, soon), Err(Duration::from_millis(1500)));
        assert_eq!(pace.allows(5, start.plus(Duration::from_secs(2))), Ok(1));
        let mut free = Pace::new(interval(0));
        free.spend(start);
        assert_eq!(free.allows(5, start), Ok(5));
    }
}
