//! Which phone may be linked to an account.

use tokio::io::{AsyncBufReadExt, BufReader};
use whatsapp_worker::store::AuthOrder;

use super::{event, on_each_medium, order, scan, status};
use crate::theatre::{PATIENCE, Theatre};

on_each_medium!(a_phone_with_another_number_is_turned_away_unless_it_is_wished_for);

async fn a_phone_with_another_number_is_turned_away_unless_it_is_wished_for(theatre: Theatre) {
    theatre.check_receipts().await;
    let rival = theatre.sim.add_person("Rival");
    let worker = theatre.linked_worker("one").await;
    order(&theatre, AuthOrder::Clear).await;
    event(&worker, "whatsapp.auth.reset").await;
    // The rival's phone has messages for whoever links with it.
    scan(&theatre, &rival).await;
    let greeting = simulator::people::Content::Text("to the rival".to_owned());
    theatre
        .alice
        .send(&rival.jid(), &greeting)
        .expect("the server accepts it");
    event(&worker, "whatsapp.auth.number_refused").await;
    let shown = status(&theatre, |status| {
        status.reason.as_deref() == Some("other_number")
    });
    let shown = shown.await;
    assert_eq!(shown.state, "linking");
    assert!(
        shown.detail.contains("--replace-number"),
        "{}",
        shown.detail
    );
    assert_eq!(rival.companions(), [0_u16; 0], "its device was logged out");
    assert_eq!(theatre.jobs_of(&[]).await, [], "nothing of it was taken in");
    assert_eq!(worker.count("whatsapp.connection.established"), 1);
    // The right phone is still welcome.
    scan(&theatre, &theatre.shop).await;
    theatre.connected(&worker, 2).await;
    let ours = theatre.text("the same number");
    theatre.assert_each_queued_once(&[ours]).await;
    order(&theatre, AuthOrder::Clear).await;
    let cleared = async || worker.count("whatsapp.auth.reset") == 2;
    super::seen("cleared again", async || cleared().await.then_some(())).await;
    let mut link = theatre
        .stage
        .command("operator", &["link", "--replace-number", "--raw"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    let mut codes = BufReader::new(link.stdout.take().expect("piped")).lines();
    loop {
        let code = codes.next_line().await.expect("text").expect("a code");
        if rival.scan_qr(&code).await.is_ok() {
            break;
        }
    }
    let linked = tokio::time::timeout(PATIENCE, link.wait()).await;
    assert_eq!(linked.expect("in time").expect("ours").code(), Some(0));
    theatre.connected(&worker, 3).await;
    assert_eq!(worker.count("whatsapp.auth.number_refused"), 1);
    assert_eq!(worker.count("whatsapp.lease.acquire.success"), 1);
    let store = theatre.store().await;
    let account = store.account(&theatre.account).await.expect("answers");
    let number = account.expect("there").linked.expect("linked");
    assert_eq!(number.user(), rival.phone_number());
}

/// Credentials came with another number, and whoever brought them died before the link was recorded.
#[tokio::test]
async fn credentials_in_use_are_recorded_and_not_turned_away() {
    let theatre = Theatre::open().await;
    let worker = theatre.linked_worker("one").await;
    super::stop(worker).await;
    let earlier =
        "UPDATE accounts SET linked_jid = '4915199999999:4@s.whatsapp.net', linked_lid = '9:4@lid'";
    super::older_copies::sql(&theatre, earlier).await;
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    let ours = theatre.text("it is taken in");
    theatre.assert_each_queued_once(&[ours]).await;
    assert_eq!(worker.count("whatsapp.auth.number_refused"), 0);
    let store = theatre.store().await;
    let account = store.account(&theatre.account).await.expect("answers");
    let number = account.expect("there").linked.expect("linked");
    assert_eq!(number.user(), theatre.shop.phone_number());
}
