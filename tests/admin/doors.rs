//! Who is let in where, over all routes that the description names.

use rand::RngExt;
use serde_json::{Value, json};
use whatsapp_worker::store::Engine;

use super::{Desk, OPERATOR, READER};
use crate::agents::SECRET;

/// Each route with its method and the tag of who may use it.
async fn routes(desk: &Desk) -> Vec<(String, String, String)> {
    let document = desk.ask("", "GET", "/openapi.json", None).await;
    assert_eq!(document.status, 200);
    let mut routes = Vec::new();
    for (path, item) in document.body["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let tag = operation["tags"][0].as_str().expect("a tag").to_owned();
            let path = path.replace("{account}", "default");
            let path = path.replace(['{', '}'], "");
            routes.push((method.to_uppercase(), path, tag));
        }
    }
    assert!(routes.len() > 50, "{routes:?}");
    routes
}

fn token() -> String {
    let mut random = rand::rng();
    let length = random.random_range(0..80);
    let plain = |_| char::from(random.random_range(b'!'..=b'~'));
    (0..length).map(plain).collect()
}

#[tokio::test]
async fn each_route_asks_for_its_scope_and_random_tokens_open_none() {
    let desk = Desk::open(Engine::Sqlite).await;
    for (method, path, tag) in routes(&desk).await {
        if tag == "open" {
            continue;
        }
        let told = format!("{method} {path}");
        for _ in 0..20 {
            let answer = desk.ask(&token(), &method, &path, None).await;
            assert!(
                matches!(answer.problem().0, 401 | 429),
                "{told}: {answer:?}"
            );
        }
        let refused = if tag == "agents" { READER } else { SECRET };
        let answer = desk.ask(refused, &method, &path, None).await;
        assert_eq!(answer.problem().0, 403, "{told}");
        let answer = desk.ask(READER, &method, &path, None).await;
        let looks = method == "GET" && tag == "operators";
        assert_eq!(answer.status == 403, !looks, "{told}: {answer:?}");
        // What is refused was refused for nobody's token: a right one is let in from there all the same.
        if method == "GET" {
            let answer = desk.ask(OPERATOR, &method, &path, None).await;
            assert!(!matches!(answer.status, 401 | 403 | 429), "{told}");
        }
    }
    let answer = desk
        .ask("nobody's", "GET", "/v1/admin/accounts", None)
        .await;
    assert_eq!(answer.problem().0, 429);
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn bearer_tokens_count_too_and_the_header_of_its_own_wins() {
    let desk = Desk::open(Engine::Sqlite).await;
    let url = format!("{}/v1/admin/accounts", desk.0.base);
    let bearer = |token| desk.0.client.get(&url).bearer_auth(token);
    let status = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.expect("an answer");
        answer.status().as_u16()
    };
    assert_eq!(status(bearer(READER)).await, 200);
    assert_eq!(status(bearer(SECRET)).await, 403);
    let both = bearer("a proxy's own").header("x-admin-token", READER);
    assert_eq!(status(both).await, 200);
    let wrong = bearer(READER).header("x-admin-token", "x");
    assert_eq!(status(wrong).await, 401);
}

#[tokio::test]
async fn a_health_of_parts_is_for_readers_and_probes_are_for_all() {
    let desk = Desk::open(Engine::Sqlite).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(desk.ask("", "GET", path, None).await.status, 200, "{path}");
    }
    assert_eq!(desk.ask("", "GET", "/health/store", None).await.status, 401);
    for (part, status) in [
        ("store", "ok"),
        ("lease", "ok"),
        ("session", "ok"),
        ("queue", "ok"),
        ("outbox", "ok"),
    ] {
        let (code, body) = desk.get(&format!("/health/{part}")).await;
        assert_eq!(
            (code, &body["status"]),
            (200, &json!(status)),
            "{part}: {body}"
        );
    }
    assert_eq!(desk.get("/health/luck").await.0, 404);
    desk.dead("hello").await;
    let (_, queue) = desk.get("/health/queue").await;
    assert_eq!(
        (&queue["status"], &queue["dead"]),
        (&json!("degraded"), &json!(1))
    );
    desk.post("/v1/admin/accounts", json!({"accountId": "alone"}))
        .await;
    let (code, lease) = desk.get("/health/lease").await;
    let expected = (200, "degraded".into(), json!(["alone"]));
    let told: (u16, Value, Value) = (
        code,
        lease["status"].clone(),
        lease["withoutHolder"].clone(),
    );
    assert_eq!(told, expected);
    let path = "/v1/admin/leases/default/release";
    assert_eq!(desk.post(path, json!({"force": true})).await.0, 202);
    assert_eq!(desk.get("/health/lease").await.0, 503);
}
