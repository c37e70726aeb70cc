//! Who is let in, and what is said about requests that cannot be served.

use serde_json::{Value, json};
use whatsapp_worker::webhooks::signature::Secret;

use super::{Agency, Answer, SECRET};
use crate::theatre::Engine;

#[tokio::test]
async fn only_who_knows_the_secret_is_let_in() {
    let agency = Agency::open(Engine::Sqlite, &[]).await;
    let url = format!("{}/v1/jobs/claim", agency.base);
    let with = async |header: Option<&str>| {
        let mut request = agency.client.post(&url).body("{}");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        Answer::of(request.send().await.expect("an answer")).await
    };
    let good = format!("Bearer {SECRET}");
    assert_eq!(with(Some(&good)).await.status, 200);
    let longer = format!("{good}x");
    for bad in [
        None,
        Some("Bearer wrong"),
        Some("Bearer "),
        Some("Basic eDp5"),
        Some(&*longer),
    ] {
        let answer = with(bad).await;
        assert_eq!(answer.problem(), (401, ""), "{bad:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    for open in ["/healthz", "/readyz"] {
        let answer = agency.client.get(format!("{}{open}", agency.base)).send();
        assert_eq!(answer.await.expect("an answer").status(), 200, "{open}");
    }
}

#[tokio::test]
async fn without_a_configured_secret_nobody_is_let_in_and_it_is_said() {
    let agency = Agency::open(Engine::Sqlite, &[("AGENT_SECRET", "")]).await;
    let answer = agency.post("/v1/jobs/claim", json!({})).await;
    assert_eq!(answer.problem(), (401, ""));
    let detail = answer.body["detail"].as_str().expect("text");
    assert!(
        detail.contains("no token is set: set AGENT_SECRET"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_signed_body_opens_a_request_for_five_minutes_and_an_empty_one_none() {
    let agency = Agency::open(Engine::Sqlite, &[]).await;
    let secret = Secret::parse(SECRET).expect("a secret");
    let send = async |age: i64, signed: &str, sent: &str| {
        let timestamp = whatsapp_worker::clock::wall_ms() / 1000 - age;
        let request = agency
            .client
            .post(format!("{}/v1/jobs/claim", agency.base))
            .header("webhook-id", "req-1")
            .header("webhook-timestamp", timestamp)
            .header(
                "webhook-signature",
                secret.sign("req-1", timestamp, signed.as_bytes()),
            )
            .body(sent.to_owned());
        Answer::of(request.send().await.expect("an answer")).await
    };
    assert_eq!(send(0, "{}", "{}").await.status, 200);
    assert_eq!(send(290, "{}", "{}").await.status, 200);
    for (age, signed, sent, words) in [
        (302, "{}", "{}", "webhook-timestamp"),
        (-302, "{}", "{}", "webhook-timestamp"),
        (0, "{}", r#"{"limit": 100}"#, "webhook-signature"),
        (0, "", "", "without a body"),
    ] {
        let answer = send(age, signed, sent).await;
        assert_eq!(answer.problem(), (401, ""), "{age} {sent}");
        let detail = answer.body["detail"].as_str().expect("text");
        assert!(detail.contains(words), "{detail}");
    }
    // What it says is said by its body: elsewhere it opens nothing.
    for (method, path) in [
        ("GET", "/v1/conversations/conv_x/messages"),
        ("DELETE", "/v1/webhooks/x"),
        ("POST", "/v1/messages/out_x/cancel"),
    ] {
        let timestamp = whatsapp_worker::clock::wall_ms() / 1000;
        let request = agency
            .client
            .request(
                method.parse().expect("a method"),
                format!("{}{path}", agency.base),
            )
            .header("webhook-id", "req-1")
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", secret.sign("req-1", timestamp, b"{}"))
            .body("{}");
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        assert_eq!(answer.problem(), (401, ""), "{method} {path}");
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_a_problem_that_names_the_field() {
    let agency = Agency::open(Engine::Sqlite, &[]).await;
    let message = |draft: Value| {
        let mut body = json!({"accountId": "default", "to": "+49151000002"});
        body.as_object_mut()
            .expect("an object")
            .extend(draft.as_object().expect("an object").clone());
        body
    };
    let said = |body: &str| message(json!({"content": {"type": "text", "body": body}}));
    let file = |url: &str| message(json!({"content": {"type": "image", "media": {"url": url}}}));
    let claim = "/v1/jobs/claim";
    let job = "/v1/jobs/job_none";
    for (path, body, status, field) in [
        (claim, json!({"limit": 0}), 422, "limit"),
        (claim, json!({"limit": "many"}), 422, "limit"),
        (claim, json!({"waitMs": 55_001}), 422, "waitMs"),
        (claim, json!({"lockMs": 999}), 422, "lockMs"),
        (claim, json!({"accounts": []}), 422, "accounts"),
        (
            claim,
            json!({"accounts": ["default", "nobody"]}),
            422,
            "accounts[1]",
        ),
        (claim, json!({"processorId": ""}), 422, "processorId"),
        (claim, json!({"wait": 5}), 422, "wait"),
        (&format!("{job}/heartbeat"), json!({}), 422, "claimToken"),
        (
            &format!("{job}/heartbeat"),
            json!({"claimToken": "x"}),
            404,
            "",
        ),
        (
            &format!("{job}/complete"),
            json!({"claimToken": "x"}),
            404,
            "",
        ),
        (
            &format!("{job}/fail"),
            json!({"claimToken": "x", "errorReason": "broke"}),
            404,
            "",
        ),
        (
            &format!("{job}/fail"),
            json!({"claimToken": "x", "errorReason": "in words"}),
            422,
            "errorReason",
        ),
        (
            "/v1/messages",
            json!({"to": "+49151000002"}),
            422,
            "accountId",
        ),
        ("/v1/messages", said(""), 422, "content.body"),
        (
            "/v1/messages",
            said(&"x".repeat(65_537)),
            422,
            "content.body",
        ),
        (
            "/v1/messages",
            json!({"accountId": "default", "content": {"type": "text", "body": "hi"}}),
            422,
            "to",
        ),
        (
            "/v1/messages",
            json!({"accountId": "nobody", "to": "+49151000002", "content": {"type": "text", "body": "hi"}}),
            422,
            "accountId",
        ),
        (
            "/v1/messages",
            json!({"accountId": "default", "to": "conv_none", "content": {"type": "text", "body": "hi"}}),
            422,
            "to",
        ),
        (
            "/v1/messages",
            json!({"accountId": "default", "to": "call me", "content": {"type": "text", "body": "hi"}}),
            422,
            "to",
        ),
        (
            "/v1/messages",
            file("http://127.0.0.1:1/private"),
            422,
            "content.media",
        ),
        (
            "/v1/messages",
            file("ftp://example.com/x"),
            422,
            "content.media.url",
        ),
        ("/v1/messages/out_none/cancel", json!({}), 404, ""),
        (
            "/v1/webhooks",
            json!({"name": "a b", "url": "http://127.0.0.1:1"}),
            422,
            "name",
        ),
        (
            "/v1/webhooks",
            json!({"name": "a", "url": "http://127.0.0.1", "accounts": ["nobody"]}),
            422,
            "accounts[0]",
        ),
        (
            "/v1/webhooks",
            json!({"name": "a", "url": "ftp://127.0.0.1"}),
            422,
            "url",
        ),
        (
            "/v1/webhooks",
            json!({"name": "a", "url": "http://127.0.0.1", "secret": "short"}),
            422,
            "secret",
        ),
        ("/v1/nothing", json!({}), 404, ""),
    ] {
        let answer = agency.post(path, body.clone()).await;
        assert_eq!(
            answer.problem(),
            (status, field),
            "{path} {body:.200}: {}",
            answer.body
        );
    }
    let long = agency.post("/v1/messages", said(&"x".repeat(65_537))).await;
    let detail = long.body["detail"].as_str().expect("text");
    assert!(
        detail.contains("65537") && detail.contains("65536"),
        "{detail}"
    );
    assert_eq!(agency.outbox().await, []);
}

#[tokio::test]
async fn what_is_no_request_of_ours_is_a_problem_too() {
    let agency = Agency::open(Engine::Sqlite, &[]).await;
    let raw = async |method: &str, path: &str, kind: &str, body: Vec<u8>| {
        let request = agency.request(method, path).header("content-type", kind);
        Answer::of(request.body(body).send().await.expect("an answer")).await
    };
    let (claim, json) = ("/v1/jobs/claim", "application/json");
    for (method, path, kind, body, status) in [
        ("POST", claim, json, b"{\"limit\":".to_vec(), 400),
        ("POST", claim, json, b"{} {}".to_vec(), 400),
        ("POST", claim, json, b"[1]".to_vec(), 400),
        ("POST", claim, json, b"\xff\xfe".to_vec(), 400),
        ("POST", claim, "text/plain", b"{}".to_vec(), 415),
        ("POST", claim, json, vec![b' '; (1 << 20) + 1], 413),
        ("GET", claim, json, Vec::new(), 405),
        ("DELETE", "/healthz", json, Vec::new(), 405),
        ("GET", "/v1/nothing", json, Vec::new(), 404),
        (
            "GET",
            "/v1/conversations/conv_none/messages",
            json,
            Vec::new(),
            404,
        ),
        ("GET", "/v1/media/default/none", json, Vec::new(), 404),
    ] {
        let answer = raw(method, path, kind, body).await;
        assert_eq!(
            answer.problem(),
            (status, ""),
            "{method} {path}: {}",
            answer.body
        );
        assert_eq!(answer.headers["x-request-id"].len(), 32);
    }
    let named = agency
        .request("GET", "/v1/webhooks")
        .header("x-request-id", "mine-1");
    let named = Answer::of(named.send().await.expect("an answer")).await;
    assert_eq!(
        (named.status, &named.headers["x-request-id"]),
        (200, &"mine-1".parse().expect("valid"))
    );
}
