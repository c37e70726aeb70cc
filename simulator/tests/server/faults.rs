//! What goes wrong on purpose.

use simulator::{Faults, StreamError};

use crate::client::{PATIENCE, text};
use crate::{assert_clean, linked, says, start};

#[tokio::test(flavor = "multi_thread")]
async fn corrupted_message_is_recovered_by_a_retry() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (mut client, device) = linked(&sim, &shop).await;
    sim.set_faults(Faults {
        corrupt: 1.0,
        ..Default::default()
    });
    let id = alice.send(&shop.jid(), &says("fragile")).expect("sent");
    sim.wait_receipt(&shop, device, &id, "retry", PATIENCE)
        .await
        .expect("the client asks again");
    sim.set_faults(Faults::default());
    assert_eq!(text(&client.message(&id).await), "fragile");
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_duplicated_and_reordered_messages_all_arrive() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (mut client, device) = linked(&sim, &shop).await;
    sim.set_faults(Faults {
        duplicate: 0.3,
        reorder: 0.5,
        delay_ms: 2,
        ..Default::default()
    });
    let sent: Vec<String> = (0..40)
        .map(|n| {
            alice
                .send(&shop.jid(), &says(&n.to_string()))
                .expect("sent")
        })
        .collect();
    for (n, id) in sent.iter().enumerate() {
        assert_eq!(
            text(&client.message(id).await),
            n.to_string(),
            "seed {}",
            sim.seed()
        );
    }
    sim.wait_empty(&shop, device, PATIENCE)
        .await
        .expect("all confirmed");
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_does_not_cost_the_message_behind_it() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (mut client, _) = linked(&sim, &shop).await;
    sim.set_faults(Faults {
        garbage: 1.0,
        ..Default::default()
    });
    let id = alice.send(&shop.jid(), &says("unharmed")).expect("sent");
    assert_eq!(text(&client.message(&id).await), "unharmed");
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deaf_server_keeps_what_it_does_not_send() {
    let sim = start().await;
    let shop = sim.add_person("Shop");
    let alice = sim.add_person("Alice");
    let (mut client, device) = linked(&sim, &shop).await;
    sim.set_faults(Faults {
        deaf: true,
        ..Default::default()
    });
    let id = alice.send(&shop.jid(), &says("later")).expect("sent");
    assert_eq!(sim.queue_len(&shop, device), Some(1));
    sim.set_faults(Faults::default());
    assert_eq!(sim.stream_error(&shop, StreamError::Restart), 1);
    assert_eq!(text(&client.message(&id).await), "later");
    client.stop().await;
    assert_clean(&sim);
    sim.stop().await;
}
