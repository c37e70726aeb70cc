//! Turns the library's events into the few signals that a session acts upon.
//!
//! Runs inline on the library's dispatch path: it only looks and hands on. Raw stanzas go to the auth
//! store's gate before they are decrypted, which is what keeps ratchets from running ahead of their
//! messages.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use auth_store::AuthStore;
use tokio::sync::mpsc;
use wacore::types::events::{
    ConnectFailureReason, ContactUpdate, DecryptFailMode, Event, EventHandler, EventInterest,
    EventKind, InboundMessage, LazyHistorySync,
};
use wacore::types::message::MessageInfo;
use wacore::types::presence::ReceiptType;
use wacore_binary::{Jid as WireJid, NodeRef, Server};

use super::acquaintances::Acquaintances;
use super::arrivals::Arrivals;
use super::connection::{End, Vow};
use crate::ids::Jid;
use crate::inbound::message::Party;
use crate::outbound::delivery::Evidence;
use crate::store::Met;

/// What a session is told by its connection.
pub enum Signal {
    /// A QR code to show, and for how long it works.
    Qr(String, Duration),
    /// A pairing code to show, and for how long it works.
    PairingCode(String, Duration),
    /// No pairing code is coming.
    PairingCodeFailed(String),
    /// The phone accepted us; the server closes the connection next.
    Paired {
        /// Device JID.
        jid: WireJid,
        /// Its hidden form.
        lid: WireJid,
    },
    /// The phone accepted us, and we could not complete it.
    PairFailed(String),
    /// Logged in.
    Connected,
    /// The backlog is through: sending may begin.
    OfflineDone,
    /// A message that could not be decrypted so far.
    Undecryptable(Arc<MessageInfo>),
    /// Messages that the library acknowledges without the hook.
    Ungated(Arc<[InboundMessage]>),
    /// The server's answer to something we sent.
    ServerAck {
        /// Id of what we sent.
        id: String,
        /// Its refusal.
        error: Option<String>,
    },
    /// Messages of ours are known to have come so far.
    Receipt {
        /// Their ids.
        ids: Vec<String>,
        /// How far.
        evidence: Evidence,
    },
    /// This chat wrote, and each message is to be answered.
    Answer(Jid),
    /// Older messages, sent along with a link.
    History(Box<LazyHistorySync>),
}

/// See the module.
pub(super) struct Observer {
    pub(super) auth: Arc<AuthStore>,
    /// Unbounded: the library's dispatch cannot wait, and what it acknowledges by itself must not be
    /// dropped. The server's pace bounds it.
    pub(super) signals: mpsc::UnboundedSender<Signal>,
    pub(super) verdict: Arc<OnceLock<End>>,
    pub(super) vow: Vow,
    /// Told in which order messages come, and which cannot be read.
    pub(super) arrivals: Arrivals,
    /// Told how the account's address book calls people.
    pub(super) acquaintances: Acquaintances,
}

impl EventHandler for Observer {
    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::RawNode,
            EventKind::PairingQrCode,
            EventKind::PairingCode,
            EventKind::PairingCodeError,
            EventKind::PairingQrCodesExhausted,
            EventKind::PairSuccess,
            EventKind::PairError,
            EventKind::Connected,
            EventKind::LoggedOut,
            EventKind::StreamReplaced,
            EventKind::TemporaryBan,
            EventKind::ClientOutdated,
            EventKind::ConnectFailure,
            EventKind::StreamError,
            EventKind::OfflineSyncCompleted,
            EventKind::UndecryptableMessage,
            EventKind::Messages,
            EventKind::ServerAck,
            EventKind::Receipt,
            EventKind::HistorySync,
            EventKind::ContactUpdate,
        ])
    }

    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::RawNode(node) => {
                let node = node.get();
                if asks_for_restart(node) {
                    self.end(End::Restart);
                }
                let sender = self.auth.gate().observe(node);
                self.vow.observe(node, sender.as_deref());
                self.arrivals.observe(node);
            }
            Event::PairingQrCode(qr) => self.tell(Signal::Qr(qr.code.clone(), qr.timeout)),
            Event::PairingCode(code) => {
                self.tell(Signal::PairingCode(code.code.clone(), code.timeout));
            }
            Event::PairingCodeError(error) => {
                self.tell(Signal::PairingCodeFailed(error.error.clone()));
            }
            Event::PairingQrCodesExhausted(_) => self.end(End::CodesExhausted),
            Event::PairSuccess(pair) => self.tell(Signal::Paired {
                jid: pair.id.clone(),
                lid: pair.lid.clone(),
            }),
            Event::PairError(pair) => self.tell(Signal::PairFailed(pair.error.clone())),
            Event::Connected(_) => self.tell(Signal::Connected),
            Event::OfflineSyncCompleted(_) => self.tell(Signal::OfflineDone),
            Event::UndecryptableMessage(message) => {
                let info = &message.info;
                self.auth
                    .gate()
                    .undecryptable(&info.source.sender.to_string(), &info.id);
                if message.decrypt_fail_mode != DecryptFailMode::Hide {
                    self.arrivals.unreadable(message);
                    self.tell(Signal::Undecryptable(info.clone()));
                }
            }
            Event::Messages(batch) if !batch.hook_committed => {
                self.tell(Signal::Ungated(batch.messages.clone()));
            }
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => {
                self.tell(Signal::ServerAck {
                    id: ack.id.clone(),
                    error: ack.error.clone(),
                });
            }
            Event::Receipt(receipt) => {
                if let Some(evidence) = evidence(&receipt.r#type, receipt.source.is_from_me) {
                    self.tell(Signal::Receipt {
                        ids: receipt.message_ids.clone(),
                        evidence,
                    });
                }
            }
            Event::ContactUpdate(contact) => self.acquaintances.note(in_address_book(contact)),
            Event::HistorySync(history) => self.tell(Signal::History(history.clone())),
            Event::LoggedOut(out) => self.end(End::LoggedOut {
                reason: logged_out_reason(&out.reason).to_owned(),
            }),
            Event::StreamReplaced(_) => self.end(End::Replaced),
            Event::TemporaryBan(ban) => self.end(End::Banned {
                lasts: ban.expire.to_std().unwrap_or_default(),
                reason: ban.code.to_string(),
            }),
            Event::ClientOutdated(_) => self.end(End::Outdated),
            Event::ConnectFailure(failure) => self.end(failure_end(&failure.reason)),
            Event::StreamError(error) => self.end(End::Closed {
                reason: format!("the server ended the stream (code {:?})", error.code),
                code: error.code.parse().ok(),
            }),
            _ => {}
        }
    }
}

impl Observer {
    fn tell(&self, signal: Signal) {
        // The session may have ended: then nobody acts on signals any more.
        let _ = self.signals.send(signal);
    }

    /// The first reason is the cause; later ones follow from it.
    fn end(&self, end: End) {
        let _ = self.verdict.set(end);
    }
}

/// What a receipt proves about a message of ours. Our own phone and other devices tell of it too: then
/// the server has it. So it does when a device cannot read it and asks for it again.
const fn evidence(kind: &ReceiptType, from_us: bool) -> Option<Evidence> {
    match kind {
        ReceiptType::Delivered
        | ReceiptType::Inactive
        | ReceiptType::Read
        | ReceiptType::Played
            if from_us =>
        {
            Some(Evidence::Server)
        }
        ReceiptType::Delivered | ReceiptType::Inactive => Some(Evidence::Device),
        ReceiptType::Read => Some(Evidence::Read),
        ReceiptType::Played => Some(Evidence::Played),
        ReceiptType::Sent | ReceiptType::Sender | ReceiptType::Retry => Some(Evidence::Server),
        _ => None,
    }
}

/// A contact of the phone's address book. It names the person in either form, or in both.
fn in_address_book(contact: &ContactUpdate) -> Met {
    let action = &contact.action;
    let named = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
    let forms = [
        Some(contact.jid.clone()),
        named(&action.pn_jid),
        named(&action.lid_jid),
    ];
    let of = |is_lid: bool| {
        let mut forms = forms.iter().flatten();
        forms
            .find(|jid: &&WireJid| match is_lid {
                true => jid.server == Server::Lid,
                false => jid.server == Server::Pn,
            })
            .map(|jid| Jid::new(jid.to_non_ad().to_string()))
    };
    let name = action
        .full_name
        .clone()
        .or_else(|| action.first_name.clone());
    Met {
        person: Party {
            pn: of(false),
            lid: of(true),
        },
        push_name: None,
        saved_name: name.filter(|name| !name.is_empty()),
    }
}

/// Stream error 515: the server closes this connection and expects another at once, as it does
/// after pairing. The library acts on it and does not tell.
fn asks_for_restart(node: &NodeRef<'_>) -> bool {
    node.tag == "stream:error"
        && node
            .get_attr("code")
            .is_some_and(|code| code.as_str() == "515")
}

fn failure_end(reason: &ConnectFailureReason) -> End {
    let code = reason.code();
    if reason.should_reconnect() {
        End::Closed {
            reason: format!("the server is not available (code {code})"),
            code: u16::try_from(code).ok(),
        }
    } else {
        End::Refused {
            code: u16::try_from(code).unwrap_or_default(),
        }
    }
}

const fn logged_out_reason(reason: &ConnectFailureReason) -> &'static str {
    match reason {
        ConnectFailureReason::AccountLocked => "WhatsApp locked the account",
        ConnectFailureReason::UnknownLogout => "WhatsApp logged this device out",
        _ => "the device was removed on the phone",
    }
}
