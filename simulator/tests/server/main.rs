//! A stock whatsapp-rust client against the simulator.

mod client;
mod control;
mod delivery;
mod faults;
mod linking;
mod lint;
mod raw;

use std::sync::Arc;

use client::Stock;
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
