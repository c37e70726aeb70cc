//! What is mended by itself while a worker runs.

use simulator::people::Content;

use crate::theatre::{PATIENCE, Theatre};

#[tokio::test]
async fn a_bad_session_is_dropped_once_and_built_anew_and_others_are_left_alone() {
    let theatre = Theatre::open().await;
    theatre.check_receipts().await;
    let worker = theatre.linked_worker("one").await;
    let (alice, shop) = (&theatre.alice, &theatre.shop);
    let bob = theatre.sim.add_person("Bob");
    let by_bob = |text: &str| {
        bob.send(&shop.jid(), &Content::Text(text.to_owned()))
            .expect("accepted")
    };
    let mut ids = vec![theatre.text("hello"), by_bob("hello")];
    theatre.jobs_of(&ids).await;

    let device = shop.companions()[0];
    alice.doze(true);
    alice.spoil_session(shop, device).expect("there is one");
    ids.push(theatre.text("one"));
    ids.push(theatre.text("two"));
    let second = ids[3].clone();
    let asked = theatre
        .sim
        .wait_receipt(shop, device, &second, "retry", PATIENCE)
        .await;
    asked.expect("the library asks for what it cannot read");
    assert_eq!(
        worker.count("whatsapp.auth.repaired"),
        0,
        "two are not enough"
    );
    ids.push(by_bob("in between"));
    ids.push(theatre.text("three"));
    let repaired = worker
        .wait_for("whatsapp.auth.repaired", PATIENCE, |_| true)
        .await
        .expect("three are enough, whatever others write");
    assert_eq!(repaired["times"], 1, "counted");
    let record = repaired["name"].as_str().expect("named");
    assert!(record.starts_with("session of "), "{record}");
    let whole = [alice.lid(), alice.jid()].map(|jid| jid.user.to_string());
    assert!(whole.iter().all(|user| !record.contains(user)), "{record}");
    ids.push(theatre.text("four"));
    let fourth = ids[6].clone();
    let asked = theatre
        .sim
        .wait_receipt(shop, device, &fourth, "retry", PATIENCE)
        .await;
    asked.expect("the library asks for what it cannot read");

    alice.doze(false);
    theatre.jobs_of(&ids).await;
    ids.push(theatre.text("readable again"));
    ids.push(by_bob("as before"));
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.count("whatsapp.auth.repaired"), 1, "once");
    for theirs in [&ids[1], &ids[4], &ids[8]] {
        let receipts = theatre.sim.receipts(theirs);
        assert!(
            receipts.iter().all(|receipt| receipt.kind != "retry"),
            "the session with Bob was read on throughout: {receipts:?}"
        );
    }
}
