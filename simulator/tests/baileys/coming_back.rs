//! Clients link, leave, come back, and ask again.

use serde_json::json;
use simulator::people::Content;
use simulator::{Faults, GroupAddressing};

use crate::{PATIENCE, Stage, id_of, reaches};

#[tokio::test]
async fn baileys_links_by_code_and_answers_a_phone() {
    let stage = Stage::set("code").await;
    let (shop, alice) = (stage.sim.add_person("Shop"), stage.sim.add_person("Alice"));
    let mut client = stage.client();
    client.call("connect", json!({})).await;
    client.event("qr", |_| true).await;
    let answer = client
        .call("link_code", json!({"phone": shop.phone_number()}))
        .await;
    shop.enter_code(answer["code"].as_str().unwrap())
        .await
        .unwrap();
    let me = client.event("open", |_| true).await;
    assert!(
        me["jid"]
            .as_str()
            .unwrap()
            .starts_with(&shop.phone_number())
    );

    let id = alice
        .send(&shop.jid(), &Content::Text("hello".to_owned()))
        .unwrap();
    let got = client.message(&id).await;
    assert_eq!(
        (&got["text"], &got["own"]),
        (&json!("hello"), &json!(false))
    );
    let answer = client
        .call("send_text", json!({"to": got["chat"], "text": "welcome"}))
        .await;
    let back = reaches(&alice, &id_of(&answer)).await;
    assert_eq!(back.message.text.as_deref(), Some("welcome"));
    let copy = reaches(&shop, &id_of(&answer)).await;
    assert_eq!(
        (copy.from_me, copy.message.text.as_deref()),
        (true, Some("welcome"))
    );
    stage.close(vec![client]).await;
}

#[tokio::test]
async fn a_backlog_reaches_a_client_that_comes_back() {
    let stage = Stage::set("backlog").await;
    let (alice, shop) = (stage.sim.add_person("Alice"), stage.sim.add_person("Shop"));
    let (mut client, device) = stage.linked_device(&shop).await;
    let text = |number: usize| Content::Text(format!("line {number}"));
    let first = alice.send(&shop.jid(), &text(0)).unwrap();
    client.message(&first).await;
    stage.sim.wait_empty(&shop, device, PATIENCE).await.unwrap();

    client.call("disconnect", json!({})).await;
    stage
        .sim
        .wait_online(&shop, device, false, PATIENCE)
        .await
        .unwrap();
    let ids: Vec<String> = (1..=250)
        .map(|number| alice.send(&shop.jid(), &text(number)).unwrap())
        .collect();
    assert_eq!(stage.sim.queue_len(&shop, device), Some(250));
    client.call("connect", json!({})).await;
    stage.sim.wait_empty(&shop, device, PATIENCE).await.unwrap();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(
            client.message(id).await["text"],
            format!("line {}", number + 1)
        );
    }
    stage.close(vec![client]).await;
}

#[tokio::test]
async fn a_removed_client_is_told_so() {
    let stage = Stage::set("removed").await;
    let shop = stage.sim.add_person("Shop");
    let (client, device) = stage.linked_device(&shop).await;
    assert!(shop.unlink(device));
    let closed = client.event("closed", |_| true).await;
    assert_eq!(closed["status"], 401);
    assert_eq!(shop.companions(), Vec::<u16>::new());
    stage.close(vec![client]).await;
}

#[tokio::test]
async fn a_client_asks_again_for_what_arrived_damaged() {
    let stage = Stage::set("damaged").await;
    let (alice, shop) = (stage.sim.add_person("Alice"), stage.sim.add_person("Shop"));
    let (client, device) = stage.linked_device(&shop).await;
    let group = stage
        .sim
        .create_group("Team", &alice, &[&shop], GroupAddressing::Lid);
    for to in [shop.jid(), group.clone()] {
        let id = alice.send(&to, &Content::Text("warm".to_owned())).unwrap();
        client.message(&id).await;
    }
    stage.sim.set_faults(Faults {
        corrupt: 0.15,
        ..Faults::default()
    });
    let sent: Vec<(String, String)> = (0..40)
        .map(|number| {
            let to = if number % 2 == 0 {
                shop.jid()
            } else {
                group.clone()
            };
            let text = format!("line {number}");
            let id = alice.send(&to, &Content::Text(text.clone())).unwrap();
            (id, text)
        })
        .collect();
    for (id, text) in &sent {
        let got = client
            .event("message", |message| {
                message["id"] == **id && message["text"] == **text
            })
            .await;
        assert_eq!(got["own"], false, "seed {}", stage.sim.seed());
    }
    let retries = |(id, _): &&(String, String)| {
        let receipts = stage.sim.receipts(id);
        receipts.iter().any(|receipt| receipt.kind == "retry")
    };
    assert!(
        sent.iter().filter(retries).count() > 0,
        "seed {}",
        stage.sim.seed()
    );
    stage.sim.set_faults(Faults::default());
    stage.sim.wait_empty(&shop, device, PATIENCE).await.unwrap();
    stage.close(vec![client]).await;
}
