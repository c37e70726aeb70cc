//! Codes that link.

use std::time::Duration;

use serde_json::json;
use whatsapp_worker::store::{Engine, LinkCode, LinkCodeKind};

use super::Desk;

#[tokio::test]
async fn a_code_is_shown_once_by_a_link_and_never_stored() {
    let desk = Desk::open(Engine::Sqlite).await;
    let (status, asked) = desk
        .post("/v1/admin/accounts/default/link", json!({}))
        .await;
    assert_eq!((status, &asked["code"]), (202, &json!(null)), "{asked}");
    let store = &desk.0.store;
    let wish = store.link_wish(&desk.0.theatre.account).await;
    assert!(
        wish.expect("answers")
            .is_some_and(|wish| wish.phone.is_none())
    );
    let link = asked["link"].as_str().expect("a link").to_owned();
    let early = desk.ask("", "GET", &link, None).await;
    assert_eq!(early.problem().0, 409);
    let code = LinkCode {
        kind: LinkCodeKind::Qr,
        code: "2@secret,of,a,link".to_owned(),
        remaining: Duration::from_secs(20),
    };
    let published = store.publish_link_code(&desk.0.fence, &code).await;
    published.expect("the fence holds");
    let wrong = desk.ask("", "GET", &format!("{link}?as=gif"), None).await;
    assert_eq!(wrong.problem(), (422, "as"));
    let url = format!("{}{link}", desk.0.base);
    let shown = desk.0.client.get(&url).send().await.expect("an answer");
    assert_eq!(shown.status(), 200);
    assert_eq!(shown.headers()["cache-control"], "no-store");
    assert_eq!(shown.headers()["content-type"], "image/svg+xml");
    let svg = shown.text().await.expect("text");
    assert!(svg.contains("<svg") && !svg.contains("secret"), "{svg}");
    assert_eq!(desk.ask("", "GET", &link, None).await.problem().0, 404);
    let (_, listed) = desk.get("/v1/admin/accounts/default").await;
    assert!(!listed.to_string().contains("secret"));
}

#[tokio::test]
async fn a_pairing_code_is_for_a_number_that_can_be_read() {
    let desk = Desk::open(Engine::Sqlite).await;
    let path = "/v1/admin/accounts/default/link";
    let (status, refused) = desk.post(path, json!({"phone": "call me"})).await;
    assert_eq!((status, &refused["field"]), (422, &json!("phone")));
    let (status, _) = desk.post(path, json!({"phone": "+49 151 2345678"})).await;
    assert_eq!(status, 202);
    let wish = desk.0.store.link_wish(&desk.0.theatre.account).await;
    let wish = wish.expect("answers").expect("somebody looks");
    assert!(wish.phone.is_some());
    let (status, _) = desk.post("/v1/admin/accounts/none/link", json!({})).await;
    assert_eq!(status, 404);
}
