//! How clients are linked, log in and are thrown out.

use std::sync::Arc;

use simulator::{Faults, PairingError, StreamError};
use wacore::store::InMemoryBackend;
use wacore_binary::builder::NodeBuilder;

use crate::client::{self, PATIENCE, Stock, text};
use crate::raw::Raw;
use crate::{assert_clean, linked, says, start};

#[tokio::test(flavor = "multi_thread")]
async fn client_linked_by_code_receives_messages() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let mut client = Stock::start_with_code(&sim.url(), &shop.phone_number()).await;
    let code = client.code().await;
    let wrong = shop.enter_code("1234-5678").await;
    assert!(matches!(wrong, Err(PairingError::Phone(_))), "{wrong:?}");
    let device = shop.enter_code(&code).await.expect("the client is linked");
    client.connected().await;
    assert_eq!(shop.companions(), [device]);

    let id = alice.send(&shop.lid(), &says("hello")).expect("sent");
    assert_eq!(text(&client.message(&id).await), "hello");
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_device_logs_in_by_ik_and_a_second_login_replaces_it() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let device = sim.seed_linked_device(&shop).expect("the phone vouches");
    let number = device
        .pn
        .as_ref()
        .expect("a linked device has a name")
        .device;
    let backend = Arc::new(InMemoryBackend::new());
    client::save(&backend, &device).await;
    let mut first = Stock::start(&sim.url(), Arc::clone(&backend)).await;
    first.connected().await;
    let id = alice.send(&shop.jid(), &says("over IK")).expect("sent");
    assert_eq!(text(&first.message(&id).await), "over IK");

    let mut second = Stock::start(&sim.url(), backend).await;
    second.connected().await;
    first.replaced().await;
    assert!(sim.is_online(&shop, number));
    second.stop().await;
    first.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unlinked_device_is_thrown_out_and_cannot_log_in() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let (mut client, device) = linked(&sim, &shop).await;
    assert!(shop.unlink(device));
    client.logged_out().await;
    assert_eq!(sim.queue_len(&shop, device), None);
    assert!(!shop.unlink(device));
    let state = client.stop().await;
    let mut again = Stock::start(&sim.url(), state).await;
    again.logged_out().await;
    again.stop().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_with_a_stale_server_key_logs_in_by_fallback() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let device = sim.seed_linked_device(&shop).expect("the phone vouches");
    let backend = Arc::new(InMemoryBackend::new());
    client::save(&backend, &device).await;
    sim.set_faults(Faults {
        refuse_ik: true,
        ..Default::default()
    });
    let mut client = Stock::start(&sim.url(), backend).await;
    client.connected().await;
    let id = alice.send(&shop.jid(), &says("still you")).expect("sent");
    assert_eq!(text(&client.message(&id).await), "still you");
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_stream_comes_back_by_itself() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let (mut client, device) = linked(&sim, &shop).await;
    assert_eq!(sim.stream_error(&shop, StreamError::Restart), 1);
    client.connected().await;
    assert!(sim.is_online(&shop, device));
    assert_eq!(sim.disconnect(&shop), 1);
    client.connected().await;
    assert!(sim.is_online(&shop, device));
    assert_eq!(sim.clients(), 1);
    client.stop().await;
    sim.wait_online(&shop, device, false, PATIENCE)
        .await
        .expect("offline");
    assert_eq!(sim.disconnect(&shop), 0);
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_nobody_shows_is_refused() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let stale = shop.scan_qr(&format!("2@stale,{key},{key},{key},1")).await;
    assert!(matches!(stale, Err(PairingError::UnknownCode)), "{stale:?}");
    let damaged = shop.scan_qr("hello").await;
    assert!(
        matches!(damaged, Err(PairingError::Phone(_))),
        "{damaged:?}"
    );
    let typed = shop.enter_code("ABCD-EFGH").await;
    assert!(matches!(typed, Err(PairingError::UnknownCode)), "{typed:?}");
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_logs_out_is_unlinked() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let mut raw = Raw::log_in(&sim, &shop).await;
    let own = raw.device.pn.clone().expect("a linked device has a name");
    let logout = NodeBuilder::new("remove-companion-device")
        .attr("jid", own)
        .attr("reason", "user_initiated")
        .build();
    let answer = raw.ask("md", "set", logout).await;
    assert_eq!(answer.get_optional_child("error"), None);
    let goodbye = raw.next().await.expect("a last word");
    assert_eq!(goodbye.tag, "stream:error");
    assert_eq!(raw.next().await, None);
    assert_eq!(shop.companions(), [0; 0]);
    sim.stop().await;
}
