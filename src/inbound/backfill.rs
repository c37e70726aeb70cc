//! What becomes of messages of the past, which the phone sends along with a link.
//!
//! An account that is linked again under the number it had is told by its phone what arrived in
//! between. Those messages are the *gap*, and `WHATSAPP_RELINK_BACKFILL` decides about them: what is
//! newer than the last message that we have of before, and what that one may have overtaken on its way.
//! Everything older, and the whole history of a first link, is recorded. What the policy refuses is
//! ignored, whenever it was written.
//!
//! Each message gets a dedupe row whatever becomes of it: a live copy that comes later is a duplicate.

use std::str::FromStr;

use crate::inbound::disposition::{Disposition, dispose};
use crate::inbound::message::Inbound;
use crate::inbound::policy::{Policy, Refusal};

/// How old a message of the gap may be to become a job: nobody waits for an answer to an older one.
const WORTH_ANSWERING_MS: i64 = 24 * 60 * 60 * 1000;

/// By how much a message of one conversation may be older than those of others that were committed before
/// it: conversations are read side by side, and some wait for keys. What is known of that time is seen
/// by dedupe.
const OVERTAKEN_MS: i64 = 5 * 60 * 1000;

/// What becomes of the gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backfill {
    /// Messages of the last 24 hours become jobs, as live ones do; older ones are recorded.
    #[default]
    Queue,
    /// They are recorded.
    Record,
    /// Nothing of them is kept but the dedupe row.
    Off,
}

impl FromStr for Backfill {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "queue" => Ok(Self::Queue),
            "record" => Ok(Self::Record),
            "off" => Ok(Self::Off),
            _ => Err(()),
        }
    }
}

/// From when on the past is new to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What becomes of it.
    pub backfill: Backfill,
    /// When the last message that we have from before the link was sent, in Unix milliseconds; none:
    /// nothing was known of this number before.
    pub since_ms: Option<i64>,
    /// Now, by the same clock as far as there is one.
    pub now_ms: i64,
}

impl Gap {
    /// Whether a message may have been on its way, or was written, while the account was not linked.
    pub fn holds(&self, inbound: &Inbound) -> bool {
        self.since_ms
            .is_some_and(|since| inbound.sent_at_ms >= since.saturating_sub(OVERTAKEN_MS))
    }

    /// Decides about one message of the past.
    pub fn dispose(&self, inbound: &Inbound, policy: &Policy) -> Disposition {
        let live = dispose(inbound, policy);
        if matches!(live, Disposition::Ignored(_)) {
            return live;
        }
        let fresh = self.now_ms.saturating_sub(inbound.sent_at_ms) <= WORTH_ANSWERING_MS;
        match self.backfill {
            Backfill::Queue if self.holds(inbound) && fresh => live,
            Backfill::Off if self.holds(inbound) => Disposition::Ignored(Refusal::BackfillOff),
            _ => Disposition::Recorded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Jid;
    use crate::inbound::message::{Chat, Content, Context, MessageKey, Party};

    const NOW: i64 = 100 * WORTH_ANSWERING_MS;
    const SINCE: i64 = NOW - 2 * WORTH_ANSWERING_MS;

    fn sent_at(sent_at_ms: i64) -> Inbound {
        let person = Party {
            pn: Some(Jid::new("4915112345678@s.whatsapp.net")),
            lid: None,
        };
        Inbound {
            key: MessageKey {
                id: "3EB0".to_owned(),
                chat: Chat::Direct(person.clone()),
                sender: person,
                from_me: false,
            },
            sent_at_ms,
            push_name: None,
            offline: true,
            content: Ok(Content::Text {
                body: "hi".to_owned(),
            }),
            context: Context::default(),
            raw: Vec::new(),
        }
    }

    fn policy(deny: &str) -> Policy {
        Policy::parse("", deny, "all", "off").expect("valid")
    }

    fn decided(backfill: Backfill, since_ms: Option<i64>, sent_at_ms: i64) -> Disposition {
        let gap = Gap {
            backfill,
            since_ms,
            now_ms: NOW,
        };
        gap.dispose(&sent_at(sent_at_ms), &policy(""))
    }

    #[test]
    fn what_the_last_message_we_have_cannot_have_overtaken_is_not_backfilled() {
        let edge = NOW - 5 - OVERTAKEN_MS;
        let off = Disposition::Ignored(Refusal::BackfillOff);
        for (backfill, in_the_gap) in [
            (Backfill::Queue, Disposition::Queued),
            (Backfill::Record, Disposition::Recorded),
            (Backfill::Off, off),
        ] {
            assert_eq!(decided(backfill, Some(SINCE), NOW), in_the_gap);
            assert_eq!(decided(backfill, Some(NOW - 5), edge), in_the_gap);
            let before = decided(backfill, Some(NOW - 5), edge - 1);
            assert_eq!(before, Disposition::Recorded);
            assert_eq!(decided(backfill, None, NOW), Disposition::Recorded);
        }
    }

    #[test]
    fn a_message_of_the_gap_becomes_a_job_for_a_day() {
        let last = NOW - WORTH_ANSWERING_MS;
        let queue = |at| decided(Backfill::Queue, Some(SINCE), at);
        assert_eq!(queue(last), Disposition::Queued);
        assert_eq!(queue(last - 1), Disposition::Recorded);
    }

    #[test]
    fn the_policy_and_our_own_messages_are_treated_as_live_ones_are() {
        let gap = Gap {
            backfill: Backfill::Queue,
            since_ms: Some(SINCE),
            now_ms: NOW,
        };
        let refused = gap.dispose(&sent_at(NOW), &policy("4915112345678"));
        assert_eq!(refused, Disposition::Ignored(Refusal::Denied));
        let mut ours = sent_at(NOW);
        ours.key.from_me = true;
        assert_eq!(gap.dispose(&ours, &policy("")), Disposition::Recorded);
    }
}
