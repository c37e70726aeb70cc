//! What a device still has to confirm.
//!
//! ```text
//!             attach            activate (N > 0)            all N sent
//!   Offline ─────────▶ Held ───────────────────▶ Draining ─────────────▶ Live
//!      ▲                 └────────────── activate (N = 0) ──────────────▲  │
//!      └───────────────────────────── detach ──────────────────────────────┘
//! ```
//!
//! Entries stay until the device confirms them with a receipt or an ack, and are sent again, in
//! order, on every later connection. Entries that exist when the device goes active are its
//! offline backlog: they are announced, released in the batches the client asks for, carry
//! `offline=`, and end with a marker. Later entries wait behind that marker.
//!
//! The mailbox never sends. Its one reader (a connection, or the task of a simulated person) pulls
//! with [`Mailbox::take`] after [`Mailbox::changed`].

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::directory::AccountIndex;

/// How long a client may stay silent in mid-backlog before the rest comes unasked.
const BATCH_PATIENCE: Duration = Duration::from_millis(1500);

/// The most entries one [`Mailbox::take`] hands out.
const TAKE: usize = 64;

/// One connection of one device, distinct from any earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What kind of stanza waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Message,
    Receipt,
    Notification,
}

impl Class {
    /// The stanza's tag, and the `class` of its ack.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Receipt => "receipt",
            Self::Notification => "notification",
        }
    }

    /// The class that `name` denotes, if a device confirms stanzas of it.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "message" => Some(Self::Message),
            "receipt" => Some(Self::Receipt),
            "notification" => Some(Self::Notification),
            _ => None,
        }
    }
}

/// The conversation a stanza belongs to, whatever name it was addressed by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Chat {
    Account(AccountIndex),
    Group(String),
    /// Status updates, which everybody sees.
    Status,
    Server,
}

/// A stanza on its way to one device.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) class: Class,
    pub(crate) id: String,
    pub(crate) chat: Chat,
    pub(crate) stanza: Arc<Node>,
}

/// What the reader of a mailbox writes next.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// A stanza the device has to confirm; `offline` is its place in the backlog.
    Entry {
        entry: Entry,
        offline: Option<usize>,
    },
    /// Everything that waited has been sent.
    BacklogEnd { count: usize },
}

/// What a confirmation meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmed {
    /// It removed an entry.
    Settled,
    /// The entry was confirmed before: a later receipt, such as read after delivered.
    Again,
    /// The device never got such a stanza.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Offline,
    Held(ConnectionId),
    Draining { by: ConnectionId, backlog: Backlog },
    Live(ConnectionId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Backlog {
    total: usize,
    sent: usize,
    allowed: usize,
    last_request: Instant,
}

struct Slot {
    entry: Entry,
    sent: bool,
}

struct State {
    slots: VecDeque<Slot>,
    confirmed: HashSet<(Class, String)>,
    reader: Reader,
}

/// The queue of one device.
pub(crate) struct Mailbox {
    state: Mutex<State>,
    changed: Notify,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                slots: VecDeque::new(),
                confirmed: HashSet::new(),
                reader: Reader::Offline,
            }),
            changed: Notify::new(),
        }
    }

    /// Adds a stanza at the end.
    pub(crate) fn post(&self, entry: Entry) {
        self.lock().slots.push_back(Slot { entry, sent: false });
        self.changed.notify_one();
    }

    /// Makes `by` the reader: everything unconfirmed is to be sent again. Returns the reader that
    /// is replaced.
    pub(crate) fn attach(&self, by: ConnectionId) -> Option<ConnectionId> {
        let mut state = self.lock();
        let before = state.reader.connection();
        state.reader = Reader::Held(by);
        for slot in &mut state.slots {
            slot.sent = false;
        }
        before
    }

    /// Ends `by`'s reading, unless another connection took over.
    pub(crate) fn detach(&self, by: ConnectionId) {
        let mut state = self.lock();
        if state.reader.connection() == Some(by) {
            state.reader = Reader::Offline;
        }
    }

    /// Lets stanzas flow to `by`. Returns the announcement to send before them: a preview of the
    /// backlog, or at once the marker of an empty one.
    pub(crate) fn activate(&self, by: ConnectionId, now: Instant) -> Option<Node> {
        let mut state = self.lock();
        match state.reader {
            Reader::Held(reader) if reader == by => {}
            Reader::Live(reader) if reader == by => return Some(backlog_end(0)),
            _ => return None,
        }
        let total = state.slots.len();
        if total == 0 {
            state.reader = Reader::Live(by);
            return Some(backlog_end(0));
        }
        let of = |class| {
            let matching = |slot: &&Slot| slot.entry.class == class;
            state.slots.iter().filter(matching).count()
        };
        let preview = NodeBuilder::new("offline_preview")
            .attr("count", total)
            .attr("message", of(Class::Message))
            .attr("receipt", of(Class::Receipt))
            .attr("notification", of(Class::Notification))
            .attr("appdata", 0_u8)
            .build();
        state.reader = Reader::Draining {
            by,
            backlog: Backlog {
                total,
                sent: 0,
                allowed: 0,
                last_request: now,
            },
        };
        drop(state);
        self.changed.notify_one();
        Some(ib(preview))
    }

    /// The client asks for `count` more stanzas of its backlog.
    pub(crate) fn request_batch(&self, by: ConnectionId, count: usize, now: Instant) {
        let mut state = self.lock();
        if let Reader::Draining {
            by: reader,
            backlog,
        } = &mut state.reader
            && *reader == by
        {
            backlog.allowed = backlog.allowed.saturating_add(count);
            backlog.last_request = now;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// When the rest of the backlog is due without a request.
    pub(crate) fn patience_ends(&self, by: ConnectionId) -> Option<Instant> {
        match self.lock().reader {
            Reader::Draining {
                by: reader,
                backlog,
            } if reader == by && backlog.allowed < backlog.total => {
                Some(backlog.last_request + BATCH_PATIENCE)
            }
            _ => None,
        }
    }

    /// What `by` may write now; empty when it has to wait for [`Self::changed`].
    pub(crate) fn take(&self, by: ConnectionId, now: Instant) -> Vec<Outgoing> {
        let mut state = self.lock();
        let State { slots, reader, .. } = &mut *state;
        match reader {
            Reader::Live(connection) if *connection == by => slots
                .iter_mut()
                .filter(|slot| !slot.sent)
                .take(TAKE)
                .map(|slot| slot.send(None))
                .collect(),
            Reader::Draining {
                by: connection,
                backlog,
            } if *connection == by => {
                if now.duration_since(backlog.last_request) >= BATCH_PATIENCE {
                    backlog.allowed = backlog.total;
                }
                let room = backlog.allowed.min(backlog.total) - backlog.sent;
                let mut batch: Vec<_> = slots
                    .iter_mut()
                    .filter(|slot| !slot.sent)
                    .take(room.min(TAKE))
                    .map(|slot| {
                        backlog.sent += 1;
                        slot.send(Some(backlog.sent - 1))
                    })
                    .collect();
                if backlog.sent == backlog.total {
                    batch.push(Outgoing::BacklogEnd {
                        count: backlog.total,
                    });
                    *reader = Reader::Live(by);
                }
                batch
            }
            _ => Vec::new(),
        }
    }

    /// Waits until [`Self::take`] may have something. Cancel safe; may wake without reason.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Removes what the device confirms. Several conversations may use one id, so `chat` decides
    /// between entries of the same id; alone it does not matter, since clients name a chat by its
    /// phone number or LID as they please.
    pub(crate) fn confirm(&self, class: Class, id: &str, chat: &Chat) -> Confirmed {
        let mut state = self.lock();
        let named = |slot: &Slot| slot.entry.class == class && slot.entry.id == id && slot.sent;
        let found = state
            .slots
            .iter()
            .position(|slot| named(slot) && slot.entry.chat == *chat)
            .or_else(|| state.slots.iter().position(named));
        let known = (class, id.to_owned());
        match found {
            Some(index) => {
                state.slots.remove(index);
                state.confirmed.insert(known);
                Confirmed::Settled
            }
            None if state.confirmed.contains(&known) => Confirmed::Again,
            None => Confirmed::Unknown,
        }
    }

    /// Whether a message with this id was sent and waits for its confirmation. Peer messages do not
    /// count: they are between the devices of one account, and no person sees them.
    pub(crate) fn awaits_receipt(&self, id: &str) -> bool {
        let waits = |slot: &Slot| {
            let Entry {
                class,
                id: named,
                stanza,
                ..
            } = &slot.entry;
            let peer = stanza.attrs.contains_key("category");
            slot.sent && *class == Class::Message && named == id && !peer
        };
        self.lock().slots.iter().any(waits)
    }

    /// How many entries wait for their confirmation.
    pub(crate) fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// The connection that reads this mailbox.
    pub(crate) fn reader(&self) -> Option<ConnectionId> {
        self.lock().reader.connection()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn connection(self) -> Option<ConnectionId> {
        match self {
            Self::Offline => None,
            Self::Held(by) | Self::Draining { by, .. } | Self::Live(by) => Some(by),
        }
    }
}

impl Slot {
    fn send(&mut self, offline: Option<usize>) -> Outgoing {
        self.sent = true;
        Outgoing::Entry {
            entry: self.entry.clone(),
            offline,
        }
    }
}

/// The marker after which a client knows that its backlog is complete.
pub(crate) fn backlog_end(count: usize) -> Node {
    ib(NodeBuilder::new("offline").attr("count", count).build())
}

fn ib(child: Node) -> Node {
    NodeBuilder::new("ib")
        .attr("from", "s.whatsapp.net")
        .children([child])
        .build()
}

#[cfg(test)]
mod tests;
