//! Dead letters and the outbox, by their buttons.

use serde_json::json;
use whatsapp_worker::ids::JobId;
use whatsapp_worker::store::{Engine, JobStatus};

use super::Browser;
use crate::admin::{Desk, OPERATOR, READER};

/// What would run if anything on a page were not escaped.
const EVIL: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>";

async fn status(desk: &Desk, id: &JobId) -> (JobStatus, bool) {
    let detail = desk
        .0
        .store
        .job(id)
        .await
        .expect("answers")
        .expect("is there");
    (detail.job.status, detail.job.dead)
}

#[tokio::test]
async fn a_dead_letter_is_read_retried_and_discarded() {
    let desk = Desk::open(Engine::Sqlite).await;
    let (first, second) = (desk.dead(EVIL).await, desk.dead("bye").await);
    let mut browser = Browser::at(&desk.0.base);
    browser.enter(OPERATOR, "/ui/jobs").await;
    assert_eq!(browser.read(".rows .badge").await, ["dead", "dead"]);
    assert_eq!(browser.read(".rows .why b").await, ["test_reason"; 2]);
    browser.check("dead-letters").await;

    let page = format!("/ui/jobs/{}", first.as_str());
    browser.open(&page).await;
    assert_eq!(browser.read("pre").await, [EVIL]);
    browser.check("job").await;
    assert_eq!(browser.press("retry").await, format!("{page}?done=retry"));
    assert_eq!(browser.read(".headline .badge").await, ["pending"]);
    assert_eq!(status(&desk, &first).await, (JobStatus::Pending, false));

    browser
        .open_as("/ui/jobs", json!({"width": 390, "height": 844}))
        .await;
    browser.check("dead-letters-phone").await;
    assert_eq!(browser.press("discard").await, "/ui/jobs?done=discard");
    assert_eq!(browser.read(".done").await, ["Discarded."]);
    assert!(browser.read(".rows li").await.is_empty());
    assert!(!status(&desk, &second).await.1, "no dead letter any more");
    let audit = desk.0.store.audit(&desk.0.theatre.account, 10).await;
    let audit = audit.expect("answers");
    for action in ["job.retried", "job.discarded"] {
        let found = audit
            .iter()
            .any(|row| row.action == action && row.actor == "admin");
        assert!(found, "{action}: {audit:?}");
    }

    let mut reader = Browser::at(&desk.0.base);
    reader.enter(READER, &page).await;
    let shown = reader.read("pre, main button").await;
    assert!(
        shown.is_empty(),
        "nothing that people wrote, no buttons: {shown:?}"
    );
    reader.close().await;
    browser.close().await;
}

#[tokio::test]
async fn a_message_that_waits_is_taken_back() {
    let desk = Desk::open(Engine::Sqlite).await;
    let message = json!({"accountId": "default", "to": "+49 151 2345678", "content": {"type": "text", "body": EVIL}});
    let (code, sent) = desk.post("/v1/admin/outbox", message).await;
    assert_eq!(code, 202, "{sent}");
    let mut browser = Browser::at(&desk.0.base);
    browser.enter(OPERATOR, "/ui/outbox").await;
    assert_eq!(browser.read(".rows .badge").await, ["pending"]);
    browser.check("outbox").await;
    browser.follow("text").await;
    assert_eq!(browser.read("pre").await, [EVIL]);
    browser.check("message").await;
    browser.press("cancel").await;
    assert_eq!(browser.read(".headline .badge").await, ["cancelled"]);
    browser.close().await;
}
