//! Messages by request: repeated safely, looked at, taken back; and files for them.

use serde_json::{Value, json};
use whatsapp_worker::webhooks::signature::Secret;

use super::{Agency, Answer, SECRET};
use crate::theatre::{Engine, on_each_engine};

on_each_engine!(
    a_request_with_a_key_is_done_once_and_another_request_with_it_is_refused,
    a_message_is_taken_back_and_tried_anew_while_it_waits,
    a_file_is_uploaded_and_sent_by_its_id,
);

fn hello(body: &str) -> Value {
    json!({"accountId": "default", "to": "+49151000002", "content": {"type": "text", "body": body}})
}

async fn with_key(agency: &Agency, key: &str, body: &Value) -> Answer {
    let request = agency
        .request("POST", "/v1/messages")
        .header("idempotency-key", key);
    Answer::of(
        request
            .body(body.to_string())
            .send()
            .await
            .expect("an answer"),
    )
    .await
}

async fn a_request_with_a_key_is_done_once_and_another_request_with_it_is_refused(engine: Engine) {
    let agency = Agency::open(engine, &[]).await;
    let first = with_key(&agency, "order-1", &hello("hi")).await;
    assert_eq!(first.status, 202, "{}", first.body);
    assert_eq!(first.body["status"], "pending");
    let again = with_key(&agency, "order-1", &hello("hi")).await;
    assert_eq!(
        (again.status, &again.body["outboxId"]),
        (200, &first.body["outboxId"])
    );
    assert_eq!(
        with_key(&agency, "order-1", &hello("ho")).await.problem(),
        (409, "")
    );
    assert_eq!(
        with_key(&agency, "", &hello("hi")).await.problem(),
        (422, "Idempotency-Key")
    );

    // A signed request has a name of its own.
    let secret = Secret::parse(SECRET).expect("a secret");
    let mut ids = Vec::new();
    for expected in [202, 200] {
        let (body, now) = (
            hello("signed").to_string(),
            whatsapp_worker::clock::wall_ms() / 1000,
        );
        let request = agency
            .client
            .post(format!("{}/v1/messages", agency.base))
            .header("webhook-id", "request-7")
            .header("webhook-timestamp", now)
            .header(
                "webhook-signature",
                secret.sign("request-7", now, body.as_bytes()),
            );
        let answer = Answer::of(request.body(body).send().await.expect("an answer")).await;
        assert_eq!(answer.status, expected, "{}", answer.body);
        ids.push(answer.body["outboxId"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    // Without a key each request is one of its own.
    let one = agency.post("/v1/messages", hello("hi")).await;
    let two = agency.post("/v1/messages", hello("hi")).await;
    assert_eq!((one.status, two.status), (202, 202));
    assert_ne!(one.body["outboxId"], two.body["outboxId"]);
}

async fn a_message_is_taken_back_and_tried_anew_while_it_waits(engine: Engine) {
    let agency = Agency::open(engine, &[]).await;
    let sent = agency.post("/v1/messages", hello("hi")).await;
    let path = format!(
        "/v1/messages/{}",
        sent.body["outboxId"].as_str().expect("an id")
    );
    let cancelled = agency.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(
        (cancelled.status, &cancelled.body["status"]),
        (200, &json!("cancelled"))
    );
    let again = agency.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(again.problem(), (409, ""));
    let retried = agency.post(&format!("{path}/retry"), json!({})).await;
    assert_eq!(
        (retried.status, &retried.body["status"]),
        (200, &json!("pending"))
    );
    let shown = agency.get(&path).await;
    assert_eq!(shown.body["status"], "pending");
    assert_eq!(shown.body["attempts"], json!([]));
    assert_eq!(
        agency.get("/v1/messages/out_none").await.problem(),
        (404, "")
    );
}

async fn a_file_is_uploaded_and_sent_by_its_id(engine: Engine) {
    let agency = Agency::open(engine, &[("MEDIA_MAX_BYTES", "1000000")]).await;
    let upload = async |bytes: Vec<u8>| {
        let request = agency
            .request("POST", "/v1/uploads")
            .header("content-type", "application/pdf")
            .header("x-file-name", "price%20list.pdf");
        Answer::of(request.body(bytes).send().await.expect("an answer")).await
    };
    let kept = upload(vec![7; 900_000]).await;
    assert_eq!(kept.status, 201, "{}", kept.body);
    assert_eq!(kept.body["size"], 900_000);
    assert_eq!(kept.body["fileName"], "price list.pdf");
    assert_eq!(upload(vec![7; 1_000_001]).await.problem(), (413, ""));
    assert_eq!(upload(Vec::new()).await.problem().0, 422);
    let document = |upload: &Value| {
        json!({"accountId": "default", "to": "+49151000002",
            "content": {"type": "document", "media": {"upload": upload}}})
    };
    let sent = agency
        .post("/v1/messages", document(&kept.body["upload"]))
        .await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let gone = json!("upl_00000000000000000000000000000000");
    let refused = agency.post("/v1/messages", document(&gone)).await;
    assert_eq!(
        refused.problem(),
        (422, "content.media"),
        "{}",
        refused.body
    );
}
