//! A Baileys folder goes on as our device: no new link, no new session.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use auth_store::{AccountName, BaileysReport, LocalMedium, Sealer, Snapshot};
use serde_json::json;
use simulator::people::Content;
use simulator::{GroupAddressing, Person};
use whatsapp_worker::app;
use whatsapp_worker::config::AuthConfig;
use whatsapp_worker::ids::OwnerId;
use whatsapp_worker::session::adoption::Adoption;
use whatsapp_worker::store::{AcquireLease, AuthMedium};

use super::driver::Script;
use super::{linked_baileys, linked_baileys_in};
use crate::theatre::{PATIENCE, Theatre};

async fn write(from: &mut Script, to: &str, text: &str) -> String {
    let sent = from
        .call("send_text", json!({"to": to, "text": text}))
        .await;
    sent["id"].as_str().expect("an id").to_owned()
}

/// What the CLI does: reads the folder and puts it where the account's worker will look.
async fn adopt(theatre: &Theatre, folder: &Path) -> BaileysReport {
    let store = theatre.store().await;
    let owner = OwnerId::incarnate("operator").expect("a good name");
    let added = store.add_account(&theatre.account, "operator").await;
    added.expect("the store answers");
    let bid = AcquireLease {
        account: &theatre.account,
        owner: &owner,
        ttl: Duration::from_secs(30),
        unchanged: None,
        dead: None,
    };
    let fence = store.acquire_lease(bid).await.expect("the store answers");
    let fence = fence.expect("nobody holds it");
    let config = AuthConfig {
        mode: AuthMedium::Local,
        dir: theatre.stage.auth_dir(),
        key: None,
    };
    let home = app::auth_home(&config).expect("writable");
    let name = AccountName::new(theatre.account.as_str()).expect("valid");
    let medium = LocalMedium::open(&home.dir, &name, store.store_id(), fence.epoch().0);
    let medium = Arc::new(medium.await.expect("nothing is there yet"));
    let (snapshot, report) = Snapshot::from_baileys(folder).expect("it is linked");
    let adoption = Adoption {
        store: &store,
        fence: &fence,
        medium: medium.clone(),
        sealer: &Sealer::new(home.ring().expect("there is a key"), name),
        auth_home: Some(&home.installation),
        replace_number: false,
    };
    adoption
        .adopt(&snapshot, "imported")
        .await
        .expect("it is ours");
    medium.close().await;
    let released = store.release_lease(&fence, &owner, "imported").await;
    assert!(released.expect("the store answers"));
    store.close().await;
    report
}

/// The one companion of a person.
fn companion(person: &Person) -> u16 {
    match person.companions().as_slice() {
        &[only] => only,
        several => panic!("{} companions", several.len()),
    }
}

#[tokio::test]
async fn a_baileys_device_goes_on_as_ours_in_its_sessions_and_groups() {
    let theatre = Theatre::with_settings(&[("SIMULATOR_REPLY", "text")]).await;
    let folder = theatre.stage.dir.join("baileys");
    let (shop, alice) = (theatre.shop.jid(), theatre.alice.jid());
    let group = theatre.sim.create_group(
        "Team",
        &theatre.alice,
        &[&theatre.shop],
        GroupAddressing::Lid,
    );
    let group = group.to_string();
    let mut old = linked_baileys_in(&theatre, &theatre.shop, Some(&folder)).await;
    let mut peer = linked_baileys(&theatre, &theatre.alice).await;
    // Twice each way: the first message opens a session, its answer confirms it.
    for round in ["first", "second"] {
        for to in [&shop.to_string(), &group] {
            let id = write(&mut peer, to, round).await;
            old.message(&id).await;
        }
        for to in [&alice.to_string(), &group] {
            let id = write(&mut old, to, round).await;
            peer.message(&id).await;
        }
        let content = Content::Text(round.to_owned());
        let id = theatre.alice.send(&shop, &content).expect("accepted");
        old.message(&id).await;
    }
    old.stop().await;
    let waiting = write(&mut peer, &shop.to_string(), "while nobody is there").await;

    let report = adopt(&theatre, &folder).await;
    assert_eq!(report.skipped, []);
    assert!(report.sessions >= 2, "Alice's phone and her client");
    assert_eq!(report.own_sender_keys, 1);

    let worker = theatre.stage.start("one").expect("the binary starts");
    theatre.connected(&worker, 1).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0);

    let ours = companion(&theatre.shop);
    let theirs = companion(&theatre.alice);
    let mut ids = vec![waiting];
    for (to, kind) in [(shop.to_string(), "msg"), (group, "skmsg")] {
        let before = worker.so_far();
        let id = write(&mut peer, &to, "go on").await;
        let sent = worker
            .wait_after(before, "whatsapp.outbound.sent", PATIENCE, |_| true)
            .await
            .expect("it answers");
        let answer = sent["channelMessageId"].as_str().expect("an id");
        let read = peer.message(answer).await;
        assert_eq!(read["text"], "thank you");
        assert_eq!(
            theatre.sim.ciphertexts(&theatre.shop, ours, &id),
            [kind],
            "from Baileys"
        );
        assert_eq!(
            theatre.sim.ciphertexts(&theatre.alice, theirs, answer),
            [kind],
            "from us"
        );
        ids.push(id);
    }
    theatre.assert_each_queued_once(&ids).await;
    peer.stop().await;
}
