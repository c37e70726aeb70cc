//! Finds out that a connection is deaf: TCP lives, and the server answers nothing.
//!
//! The protocol library looks too, but late: it asks after 15 to 30 s of silence, waits 20 s, and then
//! needs its next round to believe it; and it skips its question while another one is open. Here the
//! silence and the patience are ours: after a quiet time the server is asked for a sign of life, and
//! any frame within half that time is an answer.
//!
//! Told the time and when something was last heard, it does no I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::Boot;

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing.
    Quiet,
    /// Ask the server.
    Ask,
    /// It answered.
    Answered,
    /// It did not.
    Deaf,
}

/// The state of one connection's listening.
#[derive(Debug)]
pub struct Pulse {
    quiet: Duration,
    asked: Option<Boot>,
    looked: Option<Boot>,
    /// When something was heard first, until the server is known to answer.
    first: Option<Boot>,
    answers: bool,
}

impl Pulse {
    /// Asks after `quiet` without a frame.
    pub const fn new(quiet: Duration) -> Self {
        Self {
            quiet,
            asked: None,
            looked: None,
            first: None,
            answers: false,
        }
    }

    /// How long an answer may take.
    pub fn patience(&self) -> Duration {
        self.quiet / 2
    }

    /// How often to look.
    pub fn pace(&self) -> Duration {
        (self.quiet / 10).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// A look at `now`; `last` is when something was heard, or [`Boot::NEVER`] before there is a
    /// connection, which has its own time limit.
    pub fn listen(&mut self, last: Boot, now: Boot) -> Beat {
        let before = self.looked.replace(now);
        if last == Boot::NEVER {
            return Beat::Quiet;
        }
        let first = *self.first.get_or_insert(last);
        // A process that slept did not listen: what came meanwhile is still in the socket.
        let slept = before.is_some_and(|before| now.since(before) > self.pace() * 3);
        match self.asked {
            Some(asked) if asked <= last => {
                self.asked = None;
                self.answers = true;
                Beat::Answered
            }
            Some(_) if slept => {
                self.asked = Some(now);
                Beat::Ask
            }
            Some(asked) if now.since(asked) >= self.patience() => Beat::Deaf,
            Some(_) => Beat::Quiet,
            None if now.since(last) >= self.quiet => {
                self.asked = Some(now);
                Beat::Ask
            }
            // Nobody has to be asked while frames come. What comes with the login alone proves nothing: a
            // server may send that and fall silent.
            None if !self.answers && last.since(first) >= self.quiet => {
                self.answers = true;
                Beat::Answered
            }
            None => Beat::Quiet,
        }
    }
}

/// When something was last heard on a connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Ear(Arc<AtomicI64>);

impl Default for Ear {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(Boot::NEVER.as_ms())))
    }
}

impl Ear {
    /// Something is heard now.
    pub fn hear(&self) {
        self.0.store(Boot::now().as_ms(), Ordering::Relaxed);
    }

    /// When that was last; [`Boot::NEVER`] if it never was. While frames wait for us to take them,
    /// something is heard all the time.
    pub fn last(&self) -> Boot {
        match self.0.load(Ordering::Relaxed) {
            FULL => Boot::now(),
            ms => Boot::from_ms(ms),
        }
    }

    /// A frame waits for us: until [`Ear::hear`] nothing can be said of the server.
    pub fn fill(&self) {
        self.0.store(FULL, Ordering::Relaxed);
    }
}

const FULL: i64 = i64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(20);

    /// Looks at its pace from `from` to `to` (ms) and returns what was not quiet.
    fn looks(pulse: &mut Pulse, last: i64, from: i64, to: i64) -> Vec<(i64, Beat)> {
        let pace = usize::try_from(pulse.pace().as_millis()).expect("short");
        (from..=to)
            .step_by(pace)
            .map(|ms| (ms, pulse.listen(Boot::from_ms(last), Boot::from_ms(ms))))
            .filter(|(_, beat)| *beat != Beat::Quiet)
            .collect()
    }

    #[test]
    fn silence_is_asked_about_once_and_then_called_deaf() {
        let mut pulse = Pulse::new(QUIET);
        let beats = looks(&mut pulse, 0, 0, 30_000);
        assert_eq!(beats, [(20_000, Beat::Ask), (30_000, Beat::Deaf)]);
    }

    #[test]
    fn any_frame_is_an_answer_and_the_quiet_time_begins_anew() {
        let mut pulse = Pulse::new(QUIET);
        assert_eq!(looks(&mut pulse, 0, 0, 29_000), [(20_000, Beat::Ask)]);
        let beats = looks(&mut pulse, 29_500, 30_000, 59_000);
        assert_eq!(beats, [(30_000, Beat::Answered), (50_000, Beat::Ask)]);
    }

    #[test]
    fn frames_that_go_on_coming_are_an_answer_once_and_those_of_the_login_are_none() {
        let mut pulse = Pulse::new(QUIET);
        let mut beats = Vec::new();
        for ms in (0..=60_000).step_by(1000) {
            // Something is heard all the time.
            let beat = pulse.listen(Boot::from_ms(ms), Boot::from_ms(ms));
            beats.extend((beat != Beat::Quiet).then_some((ms, beat)));
        }
        assert_eq!(beats, [(20_000, Beat::Answered)]);
        let mut pulse = Pulse::new(QUIET);
        assert_eq!(looks(&mut pulse, 0, 0, 2_000), []);
        let beats = looks(&mut pulse, 2_000, 3_000, 32_000);
        assert_eq!(beats, [(22_000, Beat::Ask), (32_000, Beat::Deaf)]);
    }

    #[test]
    fn a_connection_that_does_not_exist_yet_is_not_judged() {
        let mut pulse = Pulse::new(QUIET);
        for ms in 0..100 {
            let beat = pulse.listen(Boot::NEVER, Boot::from_ms(ms * 1000));
            assert_eq!(beat, Beat::Quiet);
        }
    }

    #[test]
    fn a_process_that_slept_asks_again_before_it_judges() {
        let mut pulse = Pulse::new(QUIET);
        assert_eq!(looks(&mut pulse, 0, 0, 22_000), [(20_000, Beat::Ask)]);
        let beats = looks(&mut pulse, 0, 60_000, 71_000);
        assert_eq!(
            beats,
            [
                (60_000, Beat::Ask),
                (70_000, Beat::Deaf),
                (71_000, Beat::Deaf)
            ]
        );
    }

    #[test]
    fn frames_that_wait_for_us_are_no_silence() {
        let ear = Ear::default();
        assert_eq!(ear.last(), Boot::NEVER);
        ear.fill();
        let now = Boot::now();
        assert!(ear.last() >= now);
        ear.hear();
        assert!(ear.last() >= now && ear.last() <= Boot::now());
    }
}
