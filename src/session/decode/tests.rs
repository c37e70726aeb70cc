//! Each kind as WhatsApp sends it, compared with the whole [`Inbound`] that must come out.

mod acts;
mod addresses;
mod answers;
mod hostile;
mod kinds;
mod said;
mod wrappers;

use wacore::types::message::{MessageInfo, MessageSource};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use whatsapp_rust::Jid as WaJid;

use super::inbound;
use crate::ids::Jid;
use crate::inbound::message::{Chat, Content, Context, Inbound, MessageKey, Party, Target};

const PEER_PN: &str = "4915100000001@s.whatsapp.net";
const PEER_LID: &str = "100000000000001@lid";
const OUR_PN: &str = "4915199999999@s.whatsapp.net";
const OUR_LID: &str = "199999999999999@lid";
const GROUP: &str = "120363000000000001@g.us";
const SENT_AT_S: i64 = 1_790_000_000;

fn party(pn: &str, lid: &str) -> Party {
    Party {
        pn: Some(Jid::new(pn)),
        lid: Some(Jid::new(lid)),
    }
}

fn peer() -> Party {
    party(PEER_PN, PEER_LID)
}

fn us() -> Party {
    party(OUR_PN, OUR_LID)
}

fn wire(jid: &str) -> WaJid {
    jid.parse().expect("an address")
}

/// From the peer's second device, in our 1:1 chat.
fn direct() -> MessageInfo {
    envelope(MessageSource {
        chat: wire(PEER_PN),
        sender: wire("4915100000001:2@s.whatsapp.net"),
        sender_alt: Some(wire("100000000000001:2@lid")),
        ..MessageSource::default()
    })
}

/// From the peer, in a group that uses hidden ids.
fn group() -> MessageInfo {
    envelope(MessageSource {
        chat: wire(GROUP),
        sender: wire("100000000000001:2@lid"),
        sender_alt: Some(wire(PEER_PN)),
        is_group: true,
        ..MessageSource::default()
    })
}

/// From our phone, to the peer.
fn from_phone() -> MessageInfo {
    let mut info = envelope(MessageSource {
        chat: wire(PEER_LID),
        sender: wire(OUR_LID),
        sender_alt: Some(wire("4915199999999:7@s.whatsapp.net")),
        recipient: Some(wire(PEER_LID)),
        is_from_me: true,
        ..MessageSource::default()
    });
    info.peer_recipient_pn = Some(wire(PEER_PN));
    info
}

fn envelope(source: MessageSource) -> MessageInfo {
    MessageInfo {
        source,
        id: "3EB0AA".to_owned(),
        push_name: "Ada".to_owned(),
        timestamp: whatsapp_rust::chrono::DateTime::from_timestamp(SENT_AT_S, 0).expect("in range"),
        ..MessageInfo::default()
    }
}

/// What a message from the peer in the 1:1 chat must become.
fn decoded(message: &wa::Message, content: Content) -> Inbound {
    Inbound {
        key: MessageKey {
            id: "3EB0AA".to_owned(),
            chat: Chat::Direct(peer()),
            sender: peer(),
            from_me: false,
        },
        sent_at_ms: SENT_AT_S * 1000,
        push_name: Some("Ada".to_owned()),
        offline: false,
        content: Ok(content),
        context: Context::default(),
        raw: waproto::codec::message_to_vec(message),
    }
}

fn text(body: &str) -> wa::Message {
    wa::Message {
        conversation: Some(body.to_owned()),
        ..Default::default()
    }
}

fn protocol(protocol: wa::message::ProtocolMessage) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(protocol),
        ..Default::default()
    }
}

fn says(body: &str) -> Content {
    Content::Text {
        body: body.to_owned(),
    }
}

fn wire_key(from_me: bool, participant: Option<&str>) -> MessageField<wa::MessageKey> {
    MessageField::some(wa::MessageKey {
        remote_jid: Some("anything@s.whatsapp.net".to_owned()),
        from_me: Some(from_me),
        id: Some("TARGET".to_owned()),
        participant: participant.map(str::to_owned),
    })
}

fn target(from_me: bool, author: Option<&str>) -> Target {
    Target {
        message_id: "TARGET".to_owned(),
        from_me,
        author: author.map(Jid::new),
    }
}

/// The content of a message that arrives in this envelope.
fn content_of(message: &wa::Message, info: &MessageInfo) -> Content {
    inbound(message, info, &us()).content.expect("decodable")
}

/// Why a message in the 1:1 chat is malformed.
fn refusal_of(message: &wa::Message) -> String {
    let decoded = inbound(message, &direct(), &us());
    assert_eq!(decoded.raw, waproto::codec::message_to_vec(message));
    decoded.content.expect_err("malformed").reason
}
