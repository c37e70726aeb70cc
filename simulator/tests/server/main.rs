//! A stock whatsapp-rust client against the simulator.

mod client;

use std::sync::Arc;

use client::{PATIENCE, Stock, text};
use simulator::people::Content;
use simulator::{Options, Person, Simulator};
use wacore::store::InMemoryBackend;

async fn start() -> Simulator {
    let sim = Simulator::start(Options::default()).await;
    sim.expect("loopback ports are free")
}

fn says(text: &str) -> Content {
    Content::Text(text.to_owned())
}

async fn linked(sim: &Simulator, owner: &Person) -> (Stock, u16) {
    let mut client = Stock::start(&sim.url(), Arc::new(InMemoryBackend::new())).await;
    let qr = client.qr().await;
    let device = owner.scan_qr(&qr).await.expect("the client is linked");
    client.connected().await;
    (client, device)
}

fn assert_clean(sim: &Simulator) {
    assert_eq!(sim.lint(), [], "seed {}", sim.seed());
    assert_eq!(sim.unknown_iqs(), [].into(), "seed {}", sim.seed());
}

#[tokio::test(flavor = "multi_thread")]
async fn client_linked_by_qr_exchanges_texts_both_ways() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (mut client, device) = linked(&sim, &shop).await;

    let id = alice.send(&shop.jid(), &says("hello")).expect("sent");
    assert_eq!(text(&client.message(&id).await), "hello");
    sim.wait_receipt(&shop, device, &id, "delivered", PATIENCE)
        .await
        .expect("the client sends a receipt");

    let id = client.send_text(&alice.jid(), "hi there").await;
    let arrived = alice.wait_for(PATIENCE, |delivery| delivery.id == id).await;
    let arrived = arrived.expect("the message reaches alice");
    assert_eq!(arrived.message.text.as_deref(), Some("hi there"));
    let copy = shop.wait_for(PATIENCE, |delivery| delivery.id == id).await;
    let copy = copy.expect("the shop's phone gets its copy");
    assert!(copy.from_me);
    assert_eq!(copy.chat, alice.lid().to_string());

    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}
