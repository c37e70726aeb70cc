//! What becomes of each inbound message: the closed table, in one place.
//!
//! | Message | Result |
//! |---|---|
//! | control (settings, key shares, notices) | recorded |
//! | the policy refuses its chat or sender | ignored |
//! | written by our own account | recorded |
//! | not decodable | failed, with its raw bytes |
//! | everything else, kinds that are not known included | queued |
//!
//! The rows are asked in this order. Control stands first because it carries nothing of anybody and
//! much of it comes from our own account, which an allow-list need not name. The policy stands
//! before our own messages, so that nothing of a refused chat is kept, whichever side wrote it.
//! Each result, `ignored` too, becomes a dedupe row: without one a redelivery would look lost.

use std::time::Duration;

use crate::inbound::message::{Content, Inbound};
use crate::inbound::policy::{Policy, Refusal};

/// What the store does with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// A job for the agents.
    Queued,
    /// Kept, no job.
    Recorded,
    /// Nothing kept but the dedupe row.
    Ignored(Refusal),
    /// A failed job with the raw message, for people to look at; its lane goes on.
    Failed {
        /// In words, without message text.
        reason: String,
    },
    /// It came and cannot be read so far. Its conversation waits for another copy, but not for long.
    Awaited(Awaited),
}

/// How a message is asked for again, and its place kept meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The chat's JID, as the session spells it.
    pub chat: String,
    /// The sending device's JID.
    pub sender: String,
    /// When we ask for it ourselves.
    pub ask_in: Duration,
    /// How long what came after it waits.
    pub hold: Duration,
}

impl Disposition {
    /// The result as it stands in the dedupe row; what is awaited has none.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Recorded => "recorded",
            Self::Ignored(_) => "ignored",
            Self::Failed { .. } => "failed",
            Self::Awaited(_) => "awaited",
        }
    }
}

/// Decides about one message that the session handed over. Messages of the past come by way of
/// [`super::backfill`]. A message that cannot be decrypted is awaited if it would be a job.
pub fn dispose(inbound: &Inbound, policy: &Policy) -> Disposition {
    if let Ok(Content::Control { .. }) = inbound.content {
        return Disposition::Recorded;
    }
    if let Err(refusal) = policy.admit(inbound) {
        return Disposition::Ignored(refusal);
    }
    if inbound.key.from_me {
        return Disposition::Recorded;
    }
    match &inbound.content {
        Ok(_) => Disposition::Queued,
        Err(malformed) => Disposition::Failed {
            reason: malformed.reason.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Jid;
    use crate::inbound::message::{Chat, Context, Malformed, MessageKey, Party};

    fn from(pn: &str, content: Result<Content, Malformed>) -> Inbound {
        let person = Party {
            pn: Some(Jid::new(pn)),
            lid: None,
        };
        Inbound {
            key: MessageKey {
                id: "3EB0".to_owned(),
                chat: Chat::Direct(person.clone()),
                sender: person,
                from_me: false,
            },
            sent_at_ms: 0,
            push_name: None,
            offline: false,
            content,
            context: Context::default(),
            raw: Vec::new(),
        }
    }

    fn by_us(mut inbound: Inbound) -> Inbound {
        inbound.key.from_me = true;
        inbound
    }

    fn text() -> Result<Content, Malformed> {
        Ok(Content::Text {
            body: "hi".to_owned(),
        })
    }

    fn control() -> Result<Content, Malformed> {
        Ok(Content::Control {
            kind: "EPHEMERAL_SETTING".to_owned(),
        })
    }

    fn unknown() -> Result<Content, Malformed> {
        Ok(Content::Unsupported {
            kind: "eventMessage".to_owned(),
        })
    }

    fn broken() -> Result<Content, Malformed> {
        Err(Malformed {
            reason: "a revoke without a target".to_owned(),
        })
    }

    const FRIEND: &str = "4915112345678@s.whatsapp.net";
    const STRANGER: &str = "4915100000000@s.whatsapp.net";

    #[test]
    fn the_table_holds_row_by_row() {
        let policy = Policy::parse("+49 151 12345678", "", "", "").expect("a valid list");
        let failed = Disposition::Failed {
            reason: "a revoke without a target".to_owned(),
        };
        let ignored = Disposition::Ignored(Refusal::NotAllowed);
        let rows = [
            (from(FRIEND, text()), Disposition::Queued),
            (from(FRIEND, unknown()), Disposition::Queued),
            (from(FRIEND, control()), Disposition::Recorded),
            (from(FRIEND, broken()), failed),
            (from(STRANGER, text()), ignored.clone()),
            (from(STRANGER, unknown()), ignored.clone()),
            (from(STRANGER, broken()), ignored.clone()),
            (from(STRANGER, control()), Disposition::Recorded),
            (by_us(from(FRIEND, text())), Disposition::Recorded),
            (by_us(from(FRIEND, broken())), Disposition::Recorded),
            (by_us(from(STRANGER, text())), ignored),
            (by_us(from(STRANGER, control())), Disposition::Recorded),
        ];
        for (inbound, expected) in rows {
            assert_eq!(
                dispose(&inbound, &policy),
                expected,
                "{:?}",
                inbound.content
            );
        }
    }

    #[test]
    fn by_default_everybody_reaches_the_queue() {
        let inbound = from(STRANGER, text());
        assert_eq!(dispose(&inbound, &Policy::default()), Disposition::Queued);
    }
}
