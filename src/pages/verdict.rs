//! What is wrong with an account, and what to do about it: the sentence that somebody reads first.

use crate::clock::span;
use crate::store::{Account, LeaseRow, QueueDepth, SessionStatus};

/// How bad it is; the worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing works until somebody acts.
    Bad,
    /// It works in part, or mends itself.
    Warn,
    /// All is well.
    Good,
    /// Somebody switched it off.
    Off,
}

impl Level {
    /// As a class of the style sheet.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Good => "good",
            Self::Off => "off",
        }
    }
}

/// A level and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub level: Level,
    /// Two or three words.
    pub word: &'static str,
    /// What it means and what to do; empty when all is well.
    pub detail: String,
}

/// A job that waits longer is worth a look.
const OLD_JOB_MS: i64 = 15 * 60 * 1000;

/// Judges by what is worst: nobody holds it, its session, what an operator paused, its queue.
pub fn judge(
    account: &Account,
    lease: Option<&LeaseRow>,
    session: Option<&SessionStatus>,
    queue: Option<&QueueDepth>,
) -> Verdict {
    let told = |level, word, detail: String| Verdict {
        level,
        word,
        detail,
    };
    if !account.enabled {
        let why = "Switched off: no worker connects it until it is enabled.";
        return told(Level::Off, "disabled", why.to_owned());
    }
    if lease.and_then(LeaseRow::holder).is_none() {
        let why = "No worker holds it: nothing is received or sent. Start a worker, or look at the log of those that run.";
        return told(Level::Bad, "no holder", why.to_owned());
    }
    let Some(session) = session else {
        let why = "A worker holds it and has not told yet what its session does.";
        return told(Level::Warn, "starting", why.to_owned());
    };
    let detail = || sentence(&session.detail);
    match session.state.as_str() {
        "connected" => {}
        "starting" => return told(Level::Warn, "starting", detail()),
        "reconnecting" => return told(Level::Warn, "reconnecting", detail()),
        "needs_link" | "linking" => {
            let why = "Not linked to a phone. Open the account and scan its code.";
            let turned_away = session.reason.as_deref() == Some("other_number");
            let why = if turned_away {
                detail()
            } else {
                why.to_owned()
            };
            return told(Level::Bad, "needs a link", why);
        }
        "logged_out" => return told(Level::Bad, "logged out", detail()),
        "conflict" => return told(Level::Bad, "conflict", detail()),
        "banned" => return told(Level::Bad, "banned", detail()),
        "outdated_client" => return told(Level::Bad, "client outdated", detail()),
        _ => return told(Level::Bad, "failed", detail()),
    }
    if account.paused {
        let why = match &account.pause_reason {
            Some(reason) => format!("Sending is paused by the worker: {reason}"),
            None => "Sending is paused by an operator; receiving goes on.".to_owned(),
        };
        let level = match account.pause_reason {
            Some(_) => Level::Bad,
            None => Level::Warn,
        };
        return told(level, "paused", why);
    }
    if let Some(queue) = queue {
        if let Some(age) = queue.oldest_age_ms.filter(|age| *age > OLD_JOB_MS) {
            let why = format!(
                "The oldest job waits for {}: look at the agents.",
                span(age)
            );
            return told(Level::Warn, "agents are slow", why);
        }
        if queue.dead > 0 {
            let why = format!("{} to retry or discard.", dead_letters(queue.dead));
            return told(Level::Warn, "dead letters", why);
        }
    }
    told(Level::Good, "connected", String::new())
}

fn dead_letters(number: i64) -> String {
    match number {
        1 => "1 dead letter".to_owned(),
        number => format!("{number} dead letters"),
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase());
    let mut sentence: String = first.into_iter().flatten().collect();
    sentence.push_str(letters.as_str());
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests;
