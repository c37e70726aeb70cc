//! Reads from a raw `<message>` which ratchet steps its decryption will take.
//!
//! Wire formats, as Signal and WhatsApp use them: a `msg` is a version byte, a
//! `SignalMessage` and an 8-byte MAC; a `pkmsg` is a version byte and a
//! `PreKeySignalMessage` around such a `msg`; a `skmsg` is a version byte, a
//! `SenderKeyMessage` and a 64-byte signature. What does not parse here does
//! not decrypt either, and is skipped.

use prost::Message;
use wacore_binary::NodeRef;

const MAC_LEN: usize = 8;
const SIGNATURE_LEN: usize = 64;
/// Marks a Curve25519 key in its 33-byte serialisation.
const DJB_KEY: u8 = 5;

/// Sending device and stanza id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct StanzaKey {
    sender: Box<str>,
    id: Box<str>,
}

impl StanzaKey {
    pub(super) fn new(sender: &str, id: &str) -> Self {
        Self {
            sender: sender.into(),
            id: id.into(),
        }
    }

    pub(super) fn sender(&self) -> &str {
        &self.sender
    }
}

/// One position that a decryption uses up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A message key of a receiving chain.
    Session { ratchet_key: [u8; 32], counter: u32 },
    /// A message key of a group sender's chain.
    SenderKey { chain: u32, iteration: u32 },
}

#[derive(Clone, PartialEq, Message)]
struct SignalMessageHead {
    #[prost(bytes = "vec", tag = "1")]
    ratchet_key: Vec<u8>,
    #[prost(uint32, tag = "2")]
    counter: u32,
}

#[derive(Clone, PartialEq, Message)]
struct PreKeyMessageHead {
    #[prost(bytes = "vec", tag = "4")]
    message: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SenderKeyMessageHead {
    #[prost(uint32, tag = "1")]
    chain: u32,
    #[prost(uint32, tag = "2")]
    iteration: u32,
}

const _: () = {
    use waproto::tags;
    assert!(tags::signal_message::RATCHET_KEY == 1);
    assert!(tags::signal_message::COUNTER == 2);
    assert!(tags::pre_key_signal_message::MESSAGE == 4);
    assert!(tags::sender_key_message::ID == 1);
    assert!(tags::sender_key_message::ITERATION == 2);
};

/// The steps of a stanza; `None` if it takes none.
pub(super) fn read(stanza: &NodeRef<'_>) -> Option<(StanzaKey, Vec<Step>)> {
    if stanza.tag != "message" {
        return None;
    }
    let id = stanza.get_attr("id")?.as_str();
    let sender = stanza
        .get_attr("participant")
        .or_else(|| stanza.get_attr("from"))?
        .to_jid()?
        .to_string();
    // Some stanzas address each device's copy; those of other devices match nothing.
    let per_device = stanza
        .get_optional_child("participants")
        .into_iter()
        .flat_map(|participants| participants.get_children_by_tag("to"))
        .flat_map(|to| to.get_children_by_tag("enc"));
    let steps: Vec<Step> = stanza
        .get_children_by_tag("enc")
        .chain(per_device)
        .filter_map(|enc| {
            let kind = enc.get_attr("type")?.as_str();
            step(&kind, enc.content_bytes()?)
        })
        .collect();
    (!steps.is_empty()).then(|| (StanzaKey::new(&sender, &id), steps))
}

fn step(kind: &str, ciphertext: &[u8]) -> Option<Step> {
    match kind {
        "msg" => session_step(ciphertext),
        "pkmsg" => {
            let head = PreKeyMessageHead::decode(ciphertext.get(1..)?).ok()?;
            session_step(&head.message)
        }
        "skmsg" => {
            let end = ciphertext.len().checked_sub(SIGNATURE_LEN)?;
            let head = SenderKeyMessageHead::decode(ciphertext.get(1..end)?).ok()?;
            Some(Step::SenderKey {
                chain: head.chain,
                iteration: head.iteration,
            })
        }
        _ => None,
    }
}

fn session_step(message: &[u8]) -> Option<Step> {
    let end = message.len().checked_sub(MAC_LEN)?;
    let head = SignalMessageHead::decode(message.get(1..end)?).ok()?;
    Some(Step::Session {
        ratchet_key: bare_key(&head.ratchet_key)?,
        counter: head.counter,
    })
}

/// A public key without its type byte.
pub(super) fn bare_key(serialized: &[u8]) -> Option<[u8; 32]> {
    match serialized {
        [DJB_KEY, key @ ..] => key.try_into().ok(),
        key => key.try_into().ok(),
    }
}
