//! In which order messages came, those that cannot be read included.
//!
//! The library tells at once of a message that it cannot decrypt, and of the others when they are to be
//! stored: of a backlog, that is hundreds of messages later. So the order is taken from the wire, and what
//! is handed in to be stored goes in that order: a message that must come again keeps its place.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wacore::types::events::UnavailableType;
use wacore::types::events::UndecryptableMessage;
use wacore::types::message::MessageInfo;
use wacore_binary::NodeRef;
use waproto::whatsapp as wa;
use whatsapp_rust::Client;

use super::hook::{complete, own_party};
use super::{decode, missing};
use crate::inbound::disposition::Awaited;
use crate::inbound::intake::{Committing, Incoming, Intake, IntakeError};
use crate::inbound::message::Inbound;

/// Stanzas whose order is remembered: more than the library keeps back.
const REMEMBERED: usize = 2048;
/// How long what came after an unreadable message waits for another copy: until both the library and
/// [`missing`] have asked for it and its sender had time to answer.
const HOLD: Duration = Duration::from_secs(30);

/// See the module. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Inner>);

#[derive(Default)]
struct Inner {
    seen: Mutex<Seen>,
    /// Held by who hands in, until it is in the queue.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Seen {
    count: u64,
    numbers: HashMap<String, u64>,
    /// From the oldest.
    latest: VecDeque<String>,
    /// In the order of the events.
    unread: Vec<Unread>,
}

#[derive(Clone)]
struct Unread {
    info: Arc<MessageInfo>,
    hold: Duration,
}

impl Arrivals {
    /// Notes a stanza, in the order of the wire. Never blocks.
    pub(super) fn observe(&self, stanza: &NodeRef<'_>) {
        if stanza.tag == "message"
            && let Some(id) = stanza.get_attr("id")
        {
            self.lock().number(id.as_str().to_string());
        }
    }

    /// Notes that a message could not be read. Never blocks. What its sender keeps from devices like ours
    /// will not come, and nobody waits for it.
    pub(super) fn unreadable(&self, message: &UndecryptableMessage) {
        let never_comes =
            message.is_unavailable && message.unavailable_type != UnavailableType::Unknown;
        self.lock().unread.push(Unread {
            info: message.info.clone(),
            hold: if never_comes { Duration::ZERO } else { HOLD },
        });
    }

    /// Hands in `messages`, and what could not be read so far, in the order in which they came. If the call
    /// is dropped before its end, what could not be read is handed in by the next.
    ///
    /// # Errors
    /// [`IntakeError::Closed`].
    pub(super) async fn hand_in(
        &self,
        client: &Arc<Client>,
        intake: &Intake,
        messages: Vec<Inbound>,
    ) -> Result<Committing, Arc<IntakeError>> {
        let _turn = self.0.turn.lock().await;
        let unread = self.lock().unread.clone();
        let mut incoming = Vec::with_capacity(unread.len() + messages.len());
        for unread in &unread {
            let info = &unread.info;
            let mut message = decode::inbound(&wa::Message::default(), info, &own_party(client));
            complete(client, &mut message.key.sender).await;
            incoming.push(Incoming {
                message,
                awaited: Some(Awaited {
                    chat: info.source.chat.to_string(),
                    sender: info.source.sender.to_string(),
                    ask_in: missing::UNREAD,
                    hold: unread.hold,
                }),
            });
        }
        incoming.extend(messages.into_iter().map(|message| Incoming {
            message,
            awaited: None,
        }));
        self.lock().sort(&mut incoming);
        let committing = intake.hand_in(incoming).await?;
        self.lock().unread.drain(..unread.len());
        Ok(committing)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// What comes again, since it could not be read, has the number of its first coming.
    fn number(&mut self, id: String) {
        if self.numbers.contains_key(&id) {
            return;
        }
        self.count += 1;
        self.numbers.insert(id.clone(), self.count);
        self.latest.push_back(id);
        if self.latest.len() > REMEMBERED
            && let Some(oldest) = self.latest.pop_front()
        {
            self.numbers.remove(&oldest);
        }
    }

    /// What is not remembered came before the rest.
    fn sort(&self, incoming: &mut [Incoming]) {
        let number = |id: &str| self.numbers.get(id).copied().unwrap_or_default();
        incoming.sort_by_key(|incoming| number(&incoming.message.key.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::message::{Chat, Content, Context, MessageKey, Party};

    fn incoming(id: &str) -> Incoming {
        Incoming {
            message: Inbound {
                key: MessageKey {
                    id: id.to_owned(),
                    chat: Chat::Status,
                    sender: Party {
                        pn: None,
                        lid: None,
                    },
                    from_me: false,
                },
                sent_at_ms: 0,
                push_name: None,
                offline: true,
                content: Ok(Content::Text {
                    body: String::new(),
                }),
                context: Context::default(),
                raw: Vec::new(),
            },
            awaited: None,
        }
    }

    fn sorted(seen: &Seen, ids: &[&str]) -> Vec<String> {
        let mut all: Vec<Incoming> = ids.iter().map(|id| incoming(id)).collect();
        seen.sort(&mut all);
        all.into_iter().map(|one| one.message.key.id).collect()
    }

    #[test]
    fn messages_go_in_the_order_of_the_wire_and_what_is_not_known_before_them() {
        let mut seen = Seen::default();
        for id in ["A", "B", "C"] {
            seen.number(id.to_owned());
        }
        assert_eq!(sorted(&seen, &["B", "A", "C", "X"]), ["X", "A", "B", "C"]);
        seen.number("A".to_owned());
        assert_eq!(sorted(&seen, &["C", "A"]), ["A", "C"], "as it came first");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = Seen::default();
        for n in 0..=REMEMBERED {
            seen.number(n.to_string());
            seen.number(n.to_string());
        }
        assert_eq!(seen.latest.len(), REMEMBERED);
        assert_eq!(seen.numbers.len(), REMEMBERED);
        assert!(!seen.numbers.contains_key("0"));
        assert_eq!(sorted(&seen, &["2", "1", "0"]), ["0", "1", "2"]);
    }
}
