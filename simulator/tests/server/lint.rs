//! What the lint lets pass and what it writes down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use simulator::{GroupAddressing, Person, Simulator, Violation};
use wacore::libsignal::protocol::{
    IdentityKey, KeyPair, PreKeySignalMessage, SenderKeyMessage, SignalMessage,
};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node, NodeContent};

use crate::client::PATIENCE;
use crate::raw::Raw;
use crate::{linked, says, start};

fn enc(kind: &'static str, ciphertext: &[u8]) -> Node {
    NodeBuilder::new("enc")
        .attr("v", "2")
        .attr("type", kind)
        .bytes(ciphertext)
        .build()
}

fn message(id: &str, to: &Jid, ciphertexts: Vec<(Jid, Node)>) -> Node {
    let participants = ciphertexts.into_iter().map(|(device, enc)| {
        NodeBuilder::new("to")
            .attr("jid", device)
            .children([enc])
            .build()
    });
    let participants = NodeBuilder::new("participants")
        .children(participants)
        .build();
    NodeBuilder::new("message")
        .attr("id", id)
        .attr("to", to)
        .attr("type", "text")
        .children([participants])
        .build()
}

fn device_query(user: &Jid) -> Node {
    let protocol = NodeBuilder::new("devices").attr("version", "2").build();
    let query = NodeBuilder::new("query").children([protocol]).build();
    let user = NodeBuilder::new("user").attr("jid", user).build();
    let list = NodeBuilder::new("list").children([user]).build();
    NodeBuilder::new("usync").children([query, list]).build()
}

async fn raw_client() -> (Simulator, Person, Raw) {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let raw = Raw::log_in(&sim, &shop).await;
    (sim, alice, raw)
}

async fn acknowledged(raw: &mut Raw, stanza: &Node) -> Node {
    raw.send(stanza).await;
    loop {
        let answer = raw.next().await.expect("an ack");
        if answer.tag == "ack" && answer.attrs.get("id") == stanza.attrs.get("id") {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_device_is_noted_once_the_sender_knew_of_it() {
    let (sim, alice, mut raw) = raw_client().await;
    let empty = message("A1", &alice.lid(), Vec::new());
    acknowledged(&mut raw, &empty).await;
    assert_eq!(sim.lint(), []);
    raw.ask("usync", "get", device_query(&alice.lid())).await;
    let empty = message("A2", &alice.lid(), Vec::new());
    acknowledged(&mut raw, &empty).await;
    let message_id = "A2".to_owned();
    assert_eq!(
        sim.lint(),
        [Violation::MissedDevice {
            message_id,
            device: 0
        }]
    );
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_id_may_be_repeated_in_its_chat_only() {
    let (sim, alice, mut raw) = raw_client().await;
    let bob = sim.add_person("Bob");
    for to in [alice.lid(), alice.jid()] {
        acknowledged(&mut raw, &message("A1", &to, Vec::new())).await;
    }
    assert_eq!(sim.lint(), []);
    acknowledged(&mut raw, &message("A1", &bob.lid(), Vec::new())).await;
    let message_id = "A1".to_owned();
    assert_eq!(sim.lint(), [Violation::ReusedMessageId { message_id }]);
    sim.stop().await;
}

/// A chain of ciphertexts, each at the position that it is asked for.
struct Chain {
    ratchet: KeyPair,
    identity: IdentityKey,
}

impl Chain {
    fn begin() -> Self {
        let mut rng = rand::rng();
        Self {
            ratchet: KeyPair::generate(&mut rng),
            identity: IdentityKey::new(KeyPair::generate(&mut rng).public_key),
        }
    }

    fn whisper(&self, counter: u32, content: &[u8]) -> SignalMessage {
        let (key, us) = (self.ratchet.public_key, &self.identity);
        SignalMessage::new(3, &[7; 32], key, counter, 0, content, us, us).expect("it encodes")
    }

    fn enc(&self, kind: &'static str, counter: u32, content: &[u8]) -> Node {
        let bytes = match kind {
            "msg" => self.whisper(counter, content).serialized().to_vec(),
            "pkmsg" => {
                let (base, inner) = (self.ratchet.public_key, self.whisper(counter, content));
                let opened =
                    PreKeySignalMessage::new(3, 1, None, 1.into(), base, self.identity, inner);
                opened.expect("it encodes").serialized().to_vec()
            }
            _ => {
                let key = &self.ratchet.private_key;
                let content = content.to_vec().into_boxed_slice();
                let sealed = SenderKeyMessage::new(3, 5, counter, content, &mut rand::rng(), key);
                sealed.expect("it encodes").serialized().to_vec()
            }
        };
        enc(kind, &bytes)
    }
}

/// As a companion sends it: to a group with the ciphertext for all, to a person with one for a device.
fn sealed(id: &str, to: &Jid, enc: Node) -> Node {
    let mut stanza = match to.is_group() {
        true => NodeBuilder::new("message")
            .attr("id", id)
            .attr("to", to)
            .attr("type", "text")
            .children([enc])
            .build(),
        false => message(id, to, vec![(to.clone(), enc)]),
    };
    if let Some(NodeContent::Nodes(children)) = &mut stanza.content {
        children.push(NodeBuilder::new("device-identity").bytes(vec![1]).build());
    }
    stanza
}

#[tokio::test(flavor = "multi_thread")]
async fn position_of_a_chain_may_be_repeated_with_the_same_bytes_only() {
    let (sim, alice, mut raw) = raw_client().await;
    let shop = sim.people()[0].clone();
    let group = sim.create_group("Team", &alice, &[&shop], GroupAddressing::Lid);
    let mut noted = Vec::new();
    for (kind, to) in [
        ("msg", alice.lid()),
        ("pkmsg", alice.lid()),
        ("skmsg", group),
    ] {
        let chain = Chain::begin();
        let first = chain.enc(kind, 3, b"first");
        for (suffix, ciphertext) in [
            ("sent", first.clone()),
            ("sent again", first),
            ("next position", chain.enc(kind, 4, b"other")),
        ] {
            let id = format!("{kind} {suffix}");
            acknowledged(&mut raw, &sealed(&id, &to, ciphertext)).await;
            assert_eq!(sim.lint(), noted, "{id}");
        }
        let message_id = format!("{kind} reused");
        let reused = sealed(&message_id, &to, chain.enc(kind, 3, b"other"));
        acknowledged(&mut raw, &reused).await;
        noted.push(Violation::ReusedCounter {
            message_id,
            counter: 3,
        });
        assert_eq!(sim.lint(), noted, "{kind}");
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_of_two_readers_are_told_apart() {
    let (sim, alice, mut raw) = raw_client().await;
    let bob = sim.add_person("Bob");
    let chain = Chain::begin();
    for (id, to) in [("A1", alice.lid()), ("B1", bob.lid())] {
        let content = chain.enc("msg", 3, id.as_bytes());
        acknowledged(&mut raw, &sealed(id, &to, content)).await;
    }
    assert_eq!(sim.lint(), []);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ciphertext_that_is_none_and_missing_identity_are_noted() {
    let (sim, alice, mut raw) = raw_client().await;
    let broken = vec![(alice.lid(), enc("pkmsg", b"nonsense"))];
    acknowledged(&mut raw, &message("A1", &alice.lid(), broken)).await;
    let message_id = || "A1".to_owned();
    let malformed = Violation::MalformedCiphertext {
        message_id: message_id(),
    };
    let unproven = Violation::PreKeyWithoutIdentity {
        message_id: message_id(),
    };
    assert_eq!(sim.lint(), [malformed, unproven]);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmation_of_an_unknown_stanza_is_noted() {
    let (sim, alice, mut raw) = raw_client().await;
    let receipt = NodeBuilder::new("receipt")
        .attr("id", "NEVER")
        .attr("to", alice.lid())
        .build();
    acknowledged(&mut raw, &receipt).await;
    let unknown = Violation::UnknownConfirmation {
        class: "message".to_owned(),
        id: "NEVER".to_owned(),
    };
    assert_eq!(sim.lint(), [unknown]);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_request_is_answered_and_counted() {
    let (sim, _, mut raw) = raw_client().await;
    let answer = raw
        .ask("w:new", "get", NodeBuilder::new("thing").build())
        .await;
    assert_eq!(
        answer.attrs.get("type").map(ToString::to_string).as_deref(),
        Some("result")
    );
    assert_eq!(
        sim.unknown_iqs(),
        [("iq get w:new thing".to_owned(), 1)].into()
    );
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_stanza_ends_its_own_connection_only() {
    let (sim, alice, mut raw) = raw_client().await;
    let mut other = Raw::log_in(&sim, &alice).await;
    raw.send_bytes(vec![0, 0xF8, 0x03, 0xFF, 0xFF]).await;
    while raw.next().await.is_some() {}
    assert!(!sim.is_online(&sim.people()[0], 1));
    let answer = other
        .ask("w:p", "get", NodeBuilder::new("ping").build())
        .await;
    assert_eq!(answer.tag, "iq");
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login_with_another_noise_key_is_refused() {
    let (sim, _, raw) = raw_client().await;
    let mut device = raw.device.clone();
    device.noise_key = wacore::store::Device::new().noise_key;
    let mut thief = Raw::connect(&sim, device).await;
    let refusal = thief.next().await.expect("an answer");
    assert_eq!(refusal.tag, "failure");
    assert_eq!(
        refusal
            .attrs
            .get("reason")
            .map(ToString::to_string)
            .as_deref(),
        Some("401")
    );
    assert_eq!(thief.next().await, None);
    assert_eq!(sim.clients(), 1);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_has_to_pass_the_check() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let committed = Arc::new(AtomicBool::new(true));
    let answer = Arc::clone(&committed);
    let number = shop.phone_number();
    sim.on_receipt(Arc::new(move |account, _| {
        let committed = account == number && answer.load(Ordering::SeqCst);
        Box::pin(std::future::ready(committed))
    }));
    let (client, device) = linked(&sim, &shop).await;
    let id = alice.send(&shop.jid(), &says("kept")).expect("sent");
    sim.wait_delivered(&shop, device, &id, PATIENCE)
        .await
        .expect("confirmed");
    sim.wait_empty(&shop, device, PATIENCE)
        .await
        .expect("confirmed");
    assert_eq!(sim.lint(), []);

    committed.store(false, Ordering::SeqCst);
    let id = alice.send(&shop.jid(), &says("lost")).expect("sent");
    sim.wait_delivered(&shop, device, &id, PATIENCE)
        .await
        .expect("confirmed");
    client.stop().await;
    assert_eq!(
        sim.lint(),
        [Violation::ReceiptBeforeCommit { message_id: id }]
    );
    sim.stop().await;
}
