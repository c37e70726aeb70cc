//! What reaches a client, and what it sends.

use simulator::{Faults, GroupAddressing};

use crate::client::{PATIENCE, Stock, text};
use crate::{assert_clean, linked, says, start};

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
async fn message_to_a_killed_client_is_delivered_again() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (client, device) = linked(&sim, &shop).await;
    sim.set_faults(Faults {
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

    sim.set_faults(Faults::default());
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

#[tokio::test(flavor = "multi_thread")]
async fn group_messages_reach_every_member() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let bob = sim.add_person("Bob");
    for addressing in [GroupAddressing::Lid, GroupAddressing::Pn] {
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
async fn clients_of_several_accounts_write_to_each_other() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let bank = sim.add_person("Bank");
    let (mut shop_client, shop_device) = linked(&sim, &shop).await;
    let (mut bank_client, bank_device) = linked(&sim, &bank).await;
    let (mut second_client, second_device) = linked(&sim, &shop).await;

    let id = shop_client.send_text(&bank.lid(), "from the shop").await;
    assert_eq!(text(&bank_client.message(&id).await), "from the shop");
    sim.wait_delivered(&bank, bank_device, &id, PATIENCE)
        .await
        .expect("the bank's client confirms");
    let copy = second_client.message(&id).await;
    assert!(copy.info.source.is_from_me);
    assert_eq!(copy.info.source.chat.user, bank.lid().user);

    let id = bank_client.send_text(&shop.jid(), "from the bank").await;
    assert_eq!(text(&shop_client.message(&id).await), "from the bank");
    assert_eq!(text(&second_client.message(&id).await), "from the bank");
    for device in [shop_device, second_device] {
        sim.wait_delivered(&shop, device, &id, PATIENCE)
            .await
            .expect("both clients of the shop confirm");
    }
    shop_client.stop().await;
    second_client.stop().await;
    bank_client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_may_come_under_the_phone_number_and_the_lid() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (mut client, _) = linked(&sim, &shop).await;
    let id = "3EB0FLIP";
    for to in [shop.jid(), shop.lid()] {
        alice.send_with_id(id, &to, &says("flip")).expect("sent");
    }
    let copies = client.copies(id, 2).await;
    let chats = copies
        .iter()
        .map(|copy| copy.info.source.chat.user.as_str());
    let mut chats: Vec<_> = chats.collect();
    chats.sort_unstable();
    let (pn, lid) = (alice.jid(), alice.lid());
    let mut names = [pn.user.as_str(), lid.user.as_str()];
    names.sort_unstable();
    assert_eq!(chats, names);
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_receipt_travels_to_the_writer() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (mut client, _) = linked(&sim, &shop).await;
    let id = client.send_text(&alice.jid(), "read me").await;
    alice
        .wait_for(PATIENCE, |delivery| delivery.id == id)
        .await
        .expect("alice gets it");
    client.receipt(&id, "Delivered").await;
    alice.read(&id);
    client.receipt(&id, "Read").await;
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_update_reaches_everybody() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let bob = sim.add_person("Bob");
    let (mut client, device) = linked(&sim, &shop).await;
    let status = wacore_binary::Jid::status_broadcast();
    let id = alice.send(&status, &says("on holiday")).expect("sent");
    let arrived = client.message(&id).await;
    assert_eq!(text(&arrived), "on holiday");
    assert_eq!(arrived.info.source.chat, status);
    let heard = bob.wait_for(PATIENCE, |delivery| delivery.id == id).await;
    assert_eq!(heard.expect("bob sees it").chat, status.to_string());
    sim.wait_empty(&shop, device, PATIENCE)
        .await
        .expect("confirmed");
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}
