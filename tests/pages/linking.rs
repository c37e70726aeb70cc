//! A phone links an account by the code on its page.

use serde_json::json;
use simulator::PairingError;
use whatsapp_worker::store::Engine;

use super::Browser;
use crate::admin::{OPERATOR, READER};
use crate::agents::{SERVING, listening};
use crate::theatre::Theatre;

#[tokio::test]
async fn an_account_is_linked_by_the_code_on_its_page_which_turns_connected_by_itself() {
    let mut settings = vec![("ADMIN_API_TOKEN", OPERATOR), ("ADMIN_READ_TOKEN", READER)];
    settings.extend(SERVING);
    let theatre = Theatre::open_on(Engine::Sqlite, &settings).await;
    let worker = theatre.stage.start("one").expect("starts");
    let base = listening(&worker).await;

    let mut reader = Browser::at(&base);
    reader.enter(READER, "/ui/accounts/default").await;
    reader.wait(".headline .badge", "needs a link").await;
    assert!(reader.read(".qr, .acts").await.is_empty(), "a reader");
    reader.check("reader").await;

    let mut operator = Browser::at(&base);
    operator.enter(OPERATOR, "/ui").await;
    operator.wait(".accounts .badge", "needs a link").await;
    assert_eq!(operator.read("h1").await, ["One account needs you"]);
    operator.check("fleet-needs-you").await;
    assert_eq!(operator.follow("default").await, "/ui/accounts/default");
    // A picture that is replaced while it is photographed, and a code that has just ended, are no code.
    let linking = async {
        loop {
            let Some(code) = operator.qr().await else {
                continue;
            };
            operator.check("linking").await;
            match theatre.shop.scan_qr(&code).await {
                Ok(_) => return,
                Err(PairingError::UnknownCode | PairingError::OtherIdentity) => {}
                Err(error) => panic!("the phone links the worker: {error}"),
            }
        }
    };
    tokio::time::timeout(crate::theatre::PATIENCE, linking)
        .await
        .expect("linked in time");
    operator
        .wait("[data-state=connected] .badge", "connected")
        .await;
    operator.wait(".history", "lease.acquired").await;
    assert!(operator.read(".qr").await.is_empty(), "the code is gone");
    operator.check("account").await;
    reader.wait("[data-state=connected]", "connected").await;

    for (name, how) in [
        ("fleet", json!({})),
        ("fleet-dark", json!({"dark": true})),
        ("fleet-phone", json!({"width": 390, "height": 844})),
    ] {
        operator.open_as("/ui", how).await;
        assert_eq!(operator.read("h1").await, ["All is well"]);
        operator.check(name).await;
    }
    for (name, how) in [
        ("account-dark", json!({"dark": true})),
        (
            "account-phone",
            json!({"width": 390, "height": 844, "dark": true}),
        ),
    ] {
        operator.open_as("/ui/accounts/default", how).await;
        operator.check(name).await;
    }
    // Without script a page is as whole.
    let how = json!({"script": false});
    operator.open_as("/ui/accounts/default", how).await;
    assert_eq!(operator.read(".headline .badge").await, ["connected"]);
    assert_eq!(
        operator.press("pause").await,
        "/ui/accounts/default?done=pause"
    );
    assert_eq!(operator.read(".headline .badge").await, ["paused"]);
    assert!(operator.read(".done").await[0].starts_with("Paused"));
    operator.close().await;
    reader.close().await;
}
