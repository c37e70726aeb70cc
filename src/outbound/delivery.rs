//! What becomes of a message after an attempt to send it. Decided here, without I/O; the store carries
//! it out.
//!
//! ```text
//!   pending ──claim──▶ sending ──ack, or a receipt at any time──▶ sent (server → device → read → played)
//!      ▲                  │
//!      └──────again───────┼──▶ failed     refused, or tried in vain and never left
//!      └──operator's retry┼──▶ uncertain  tried in vain, and it may have left
//!   pending ──operator────┴──▶ cancelled
//! ```
//!
//! A round has three attempts, 2 s and 4 s apart, and one more after a cooldown. An attempt is counted
//! when it begins, so a message that kills its worker uses its attempts up too.

use std::time::Duration;

use serde::Serialize;

/// Attempts before the cooldown.
const QUICK: i64 = 3;
/// Before the second attempt; doubled before the third.
const WAIT: Duration = Duration::from_secs(2);

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// Waits to be sent, first or again.
    Pending,
    /// The lease holder has taken it; it may be leaving.
    Sending,
    /// The server has it, or the recipient.
    Sent,
    /// Given up, and known not to have arrived.
    Failed,
    /// Given up, and nobody knows.
    Uncertain,
    /// Taken back while it waited.
    Cancelled,
}

impl Status {
    const ALL: [Self; 6] = [
        Self::Pending,
        Self::Sending,
        Self::Sent,
        Self::Failed,
        Self::Uncertain,
        Self::Cancelled,
    ];

    /// As in the store and in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Uncertain => "uncertain",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::str::FromStr for Status {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| {
                format!("status {text:?} is not one of pending, sending, sent, failed, uncertain, cancelled")
            })
    }
}

/// How far a sent message is known to have come. Greater is further; in a group the furthest of its
/// members counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Evidence {
    /// The server has it.
    Server,
    /// A device of the recipient has it.
    Device,
    /// It was read.
    Read,
    /// Its sound or video was played.
    Played,
}

impl Evidence {
    /// From the nearest to the furthest.
    pub const ALL: [Self; 4] = [Self::Server, Self::Device, Self::Read, Self::Played];

    /// As in the store and in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Device => "device",
            Self::Read => "read",
            Self::Played => "played",
        }
    }
}

impl std::str::FromStr for Evidence {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|evidence| evidence.as_str() == text)
            .ok_or_else(|| format!("delivery {text:?} is not one of server, device, read, played"))
    }
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server acknowledged it.
    Acknowledged,
    /// The server refused it with this code.
    Refused(String),
    /// It left, and the server said nothing in time, or the connection ended before.
    Unanswered(&'static str),
    /// It did not leave, and may at another time.
    NotSent {
        /// A code.
        code: &'static str,
        /// In words, without what the message says.
        error: String,
    },
    /// It did not leave, and never can.
    Impossible {
        /// A code.
        code: &'static str,
        /// In words, without what the message says.
        error: String,
    },
}

impl Outcome {
    /// The code of what went wrong.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Acknowledged => None,
            Self::Refused(code) => Some(code),
            Self::Unanswered(code) | Self::NotSent { code, .. } | Self::Impossible { code, .. } => {
                Some(code)
            }
        }
    }

    /// What went wrong, in words.
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Acknowledged => None,
            Self::Refused(code) => Some(nack(code).1.to_owned()),
            Self::Unanswered(ACK_TIMEOUT) => {
                Some("the server did not acknowledge it in time".to_owned())
            }
            Self::Unanswered(_) => {
                Some("the worker or its connection ended before the server answered".to_owned())
            }
            Self::NotSent { error, .. } | Self::Impossible { error, .. } => Some(error.clone()),
        }
    }

    /// Whether the recipient may see it although nobody said so.
    pub const fn may_have_left(&self) -> bool {
        matches!(self, Self::Unanswered(_))
    }
}

/// Code of an attempt that the server did not answer in time.
pub const ACK_TIMEOUT: &str = "ack_timeout";
/// Code of an attempt that ended with its worker or its connection.
pub const INTERRUPTED: &str = "interrupted";

/// What is set about attempts.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long the server may take to acknowledge.
    pub ack: Duration,
    /// Before the attempt after the quick ones.
    pub cooldown: Duration,
    /// How long a cooldown may hold up the messages behind.
    pub lane_block: Duration,
    /// Least time between two attempts in one chat; zero: any.
    pub chat_pace: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ack: Duration::from_secs(20),
            cooldown: Duration::from_mins(15),
            lane_block: Duration::from_mins(1),
            chat_pace: Duration::ZERO,
        }
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is sent.
    Sent,
    /// It is tried again `wait` after this attempt began to be over; the messages behind it wait for
    /// `block` of that.
    Again {
        /// Until the next attempt.
        wait: Duration,
        /// How long its lane waits for it.
        block: Duration,
    },
    /// Given up, known not to have arrived. `restricted`: WhatsApp restricts the account, so nothing
    /// more is sent until a person looks.
    Failed {
        /// See above.
        restricted: bool,
    },
    /// Given up, and nobody knows.
    Uncertain,
}

/// Decides about attempt number `attempt` of its round, counted from 1. `doubtful`: an earlier one may
/// have left.
pub fn next(outcome: &Outcome, attempt: i64, doubtful: bool, rules: &Rules) -> Next {
    match outcome {
        Outcome::Acknowledged => return Next::Sent,
        Outcome::Impossible { .. } if !doubtful => return Next::Failed { restricted: false },
        Outcome::Impossible { .. } => return Next::Uncertain,
        Outcome::Refused(code) => match nack(code).0 {
            Nack::Again => {}
            Nack::Final => return Next::Failed { restricted: false },
            Nack::Restricted => return Next::Failed { restricted: true },
        },
        Outcome::Unanswered(_) | Outcome::NotSent { .. } => {}
    }
    match attempt {
        ..QUICK => {
            let doublings = u32::try_from((attempt - 1).max(0)).unwrap_or(0);
            let wait = WAIT * 2u32.pow(doublings);
            Next::Again { wait, block: wait }
        }
        QUICK => Next::Again {
            wait: rules.cooldown,
            block: rules.lane_block.min(rules.cooldown),
        },
        _ if doubtful || outcome.may_have_left() => Next::Uncertain,
        _ => Next::Failed { restricted: false },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nack {
    /// It may be taken at another time.
    Again,
    /// It will never be taken.
    Final,
    /// The account may not send this now, whatever it is.
    Restricted,
}

/// The server's refusals. Codes and names as in WhatsApp Web's `NackFromStanza`; what is not listed is
/// final, because nobody knows that repeating it is welcome.
fn nack(code: &str) -> (Nack, &'static str) {
    match code {
        "400" => (Nack::Final, "the server finds it malformed"),
        "403" => (Nack::Final, "not allowed in this chat"),
        "404" => (Nack::Final, "the server does not know the recipient"),
        "421" => (Nack::Again, "the group changed its addresses"),
        "429" => (Nack::Again, "the server wants it slower"),
        "463" => (
            Nack::Restricted,
            "WhatsApp does not let this account write to people who did not write first",
        ),
        "475" => (
            Nack::Restricted,
            "WhatsApp's limit of new chats is reached for this account",
        ),
        "479" => (Nack::Final, "the server finds a field malformed"),
        "487" | "488" | "489" | "490" | "491" => (Nack::Final, "the server cannot parse it"),
        "495" => (Nack::Final, "its secret is missing"),
        "499" => (Nack::Final, "the message it is about was deleted"),
        "500" | "503" | "552" => (Nack::Again, "the server failed"),
        "550" => (Nack::Final, "not ours to delete in this group"),
        "551" => (Nack::Final, "this kind of group is not supported"),
        _ => (Nack::Final, "the server refused it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_sent() -> Outcome {
        Outcome::NotSent {
            code: "connection",
            error: "it closed".to_owned(),
        }
    }

    fn after(outcome: &Outcome, attempt: i64, doubtful: bool) -> Next {
        next(outcome, attempt, doubtful, &Rules::default())
    }

    fn again(wait: u64, block: u64) -> Next {
        Next::Again {
            wait: Duration::from_secs(wait),
            block: Duration::from_secs(block),
        }
    }

    #[test]
    fn a_round_is_three_attempts_and_one_after_a_cooldown() {
        let silent = Outcome::Unanswered(ACK_TIMEOUT);
        for outcome in [&silent, &not_sent(), &Outcome::Refused("503".to_owned())] {
            assert_eq!(after(outcome, 1, false), again(2, 2), "{outcome:?}");
            assert_eq!(after(outcome, 2, false), again(4, 4), "{outcome:?}");
            assert_eq!(after(outcome, 3, false), again(900, 60), "{outcome:?}");
        }
        assert_eq!(after(&silent, 4, false), Next::Uncertain);
        assert_eq!(
            after(&not_sent(), 4, false),
            Next::Failed { restricted: false }
        );
        assert_eq!(after(&Outcome::Acknowledged, 4, true), Next::Sent);
    }

    #[test]
    fn what_may_have_left_once_is_never_called_failed_for_want_of_an_answer() {
        assert_eq!(after(&not_sent(), 4, true), Next::Uncertain);
        let gone = Outcome::Impossible {
            code: "media_gone",
            error: "its file is gone".to_owned(),
        };
        assert_eq!(after(&gone, 2, true), Next::Uncertain);
        assert_eq!(after(&gone, 2, false), Next::Failed { restricted: false });
    }

    #[test]
    fn refusals_are_final_unless_listed_and_restrictions_are_told_apart() {
        let refused = |code: &str| after(&Outcome::Refused(code.to_owned()), 1, false);
        for code in ["421", "429", "500", "503", "552"] {
            assert_eq!(refused(code), again(2, 2), "{code}");
        }
        for code in ["463", "475"] {
            assert_eq!(refused(code), Next::Failed { restricted: true }, "{code}");
        }
        for code in ["400", "404", "479", "491", "999", ""] {
            assert_eq!(refused(code), Next::Failed { restricted: false }, "{code}");
        }
    }

    #[test]
    fn a_lane_waits_no_longer_than_for_the_cooldown_itself() {
        let rules = Rules {
            cooldown: Duration::from_secs(5),
            ..Rules::default()
        };
        let silent = Outcome::Unanswered(ACK_TIMEOUT);
        assert_eq!(next(&silent, 3, false, &rules), again(5, 5));
    }

    #[test]
    fn names_read_back() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        for evidence in Evidence::ALL {
            assert_eq!(evidence.as_str().parse(), Ok(evidence));
        }
        assert!("done".parse::<Status>().is_err() && "seen".parse::<Evidence>().is_err());
        assert!(Evidence::Server < Evidence::Device && Evidence::Read < Evidence::Played);
    }
}
