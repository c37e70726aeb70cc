//! Simulated people against the client library's own view of the protocol.

mod linking;
mod media;
mod sessions;
mod writing;

use simulator::people::{Letterhead, Received};
use wacore::libsignal::protocol::KeyPair;
use wacore_binary::Jid;
use waproto::whatsapp as wa;

fn jid(text: &str) -> Jid {
    text.parse().expect("a JID of the test")
}

fn text_of(message: wa::Message) -> Option<String> {
    Received::read(message).text
}

fn encoded(text: &str) -> Vec<u8> {
    waproto::codec::message_to_vec(&wa::Message {
        conversation: Some(text.to_owned()),
        ..Default::default()
    })
}

fn raw(pair: &KeyPair) -> [u8; 32] {
    pair.public_key.public_key_bytes().try_into().unwrap()
}

fn letterhead(id: &str) -> Letterhead {
    Letterhead {
        id: id.to_owned(),
        chat: jid("200@lid"),
        author: jid("100@lid"),
    }
}
