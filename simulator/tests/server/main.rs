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
    sim.wait_delivered(&shop, device, &id, PATIENCE)
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

#[tokio::test(flavor = "multi_thread")]
async fn client_linked_by_code_receives_messages() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let mut client = Stock::start_with_code(&sim.url(), &shop.phone_number()).await;
    let code = client.code().await;
    let wrong = shop.enter_code("1234-5678").await;
    assert!(
        matches!(wrong, Err(simulator::PairingError::Phone(_))),
        "{wrong:?}"
    );
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
async fn backlog_is_delivered_once_on_the_next_login_and_then_gone() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (client, device) = linked(&sim, &shop).await;
    let state = client.stop().await;
    sim.wait_online(&shop, device, false, PATIENCE)
        .await
        .expect("offline");

    let sent: Vec<String> = (0..450)
        .map(|n| {
            alice
                .send(&shop.jid(), &says(&n.to_string()))
                .expect("sent")
        })
        .collect();
    assert_eq!(sim.accepted_for(&shop), sent);
    assert_eq!(sim.queue_len(&shop, device), Some(450));

    let mut client = Stock::start(&sim.url(), state).await;
    client.connected().await;
    sim.wait_empty(&shop, device, PATIENCE)
        .await
        .expect("all confirmed");
    for id in &sent {
        client.message(id).await;
    }
    let mut arrived = client.inbox_of(&alice);
    arrived.sort_unstable();
    let mut sent = sent;
    sent.sort_unstable();
    assert_eq!(arrived.len(), sent.len());
    assert!(
        arrived == sent,
        "the client saw other messages than were sent"
    );
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn group_messages_reach_every_member() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let bob = sim.add_person("Bob");
    for addressing in [
        simulator::GroupAddressing::Lid,
        simulator::GroupAddressing::Pn,
    ] {
        let (mut client, _) = linked(&sim, &shop).await;
        let group = sim.create_group("Team", &alice, &[&shop, &bob], addressing);
        for round in ["first", "second"] {
            let id = alice.send(&group, &says(round)).expect("sent");
            let arrived = client.message(&id).await;
            assert_eq!(text(&arrived), round);
            assert_eq!(arrived.info.source.chat, group);
            let heard = bob.wait_for(PATIENCE, |delivery| delivery.id == id).await;
            assert_eq!(
                heard.expect("bob gets it").message.text.as_deref(),
                Some(round)
            );

            let id = client.send_text(&group, "from the shop").await;
            for member in [&alice, &bob, &shop] {
                let heard = member
                    .wait_for(PATIENCE, |delivery| delivery.id == id)
                    .await;
                let heard = heard.expect("everybody gets it");
                assert_eq!(heard.message.text.as_deref(), Some("from the shop"));
                assert_eq!(heard.chat, group.to_string());
            }
        }
        client.stop().await;
        let device = shop.companions()[0];
        assert!(shop.unlink(device));
    }
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupted_message_is_recovered_by_a_retry() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (mut client, device) = linked(&sim, &shop).await;
    sim.set_faults(simulator::Faults {
        corrupt: 1.0,
        ..Default::default()
    });
    let id = alice.send(&shop.jid(), &says("fragile")).expect("sent");
    sim.wait_receipt(&shop, device, &id, "retry", PATIENCE)
        .await
        .expect("the client asks again");
    sim.set_faults(simulator::Faults::default());
    assert_eq!(text(&client.message(&id).await), "fragile");
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
async fn message_to_a_killed_client_is_delivered_again() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (client, device) = linked(&sim, &shop).await;
    sim.set_faults(simulator::Faults {
        drop: 1.0,
        ..Default::default()
    });
    let id = alice.send(&shop.jid(), &says("still here")).expect("sent");
    let state = client.kill();
    sim.disconnect(&shop);
    sim.wait_online(&shop, device, false, PATIENCE)
        .await
        .expect("offline");
    assert_eq!(sim.queue_len(&shop, device), Some(1));

    sim.set_faults(simulator::Faults::default());
    let mut client = Stock::start(&sim.url(), state).await;
    assert_eq!(text(&client.message(&id).await), "still here");
    sim.wait_empty(&shop, device, PATIENCE)
        .await
        .expect("confirmed");
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resent_message_arrives_again_under_its_id() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (mut client, device) = linked(&sim, &shop).await;
    let id = alice.send(&shop.jid(), &says("once")).expect("sent");
    assert_eq!(text(&client.message(&id).await), "once");
    sim.wait_empty(&shop, device, PATIENCE)
        .await
        .expect("confirmed");
    alice.resend(&id).expect("sent again");
    sim.wait_empty(&shop, device, PATIENCE)
        .await
        .expect("confirmed");
    assert_eq!(sim.accepted_for(&shop), [id.clone(), id.clone()]);
    let marker = alice.send(&shop.jid(), &says("last")).expect("sent");
    client.message(&marker).await;
    assert_eq!(client.inbox_of(&alice), [id.clone(), id, marker]);
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}
