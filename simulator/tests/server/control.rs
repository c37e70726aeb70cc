//! The control over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use simulator::Simulator;
use simulator::control::Control;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, Stock, text};
use crate::{assert_clean, start};
use wacore::store::InMemoryBackend;

/// One request on a connection of its own: status and body.
async fn call(control: SocketAddr, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {control}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(control).await.expect("it listens");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.expect("a status"),
        serde_json::from_str(body).expect("JSON"),
    )
}

async fn controlled() -> (Arc<Simulator>, Control) {
    let sim = Arc::new(start().await);
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let control = Control::serve(Arc::clone(&sim), loopback).await;
    (sim, control.expect("loopback ports are free"))
}

#[tokio::test(flavor = "multi_thread")]
async fn script_links_a_client_and_sends_through_the_control() {
    let (sim, control) = controlled().await;
    let at = control.address();
    let (_, shop) = call(at, "POST", "/people", json!({"name": "Shop"})).await;
    let (_, alice) = call(at, "POST", "/people", json!({"name": "Alice"})).await;
    let phone = |person: &Value| person["phone"].as_str().expect("a number").to_owned();
    let (shop, alice) = (phone(&shop), phone(&alice));

    let (_, about) = call(at, "GET", "/", Value::Null).await;
    let url = about["url"].as_str().expect("a URL");
    let mut client = Stock::start(url, Arc::new(InMemoryBackend::new())).await;
    let qr = client.qr().await;
    let scan = call(
        at,
        "POST",
        &format!("/people/{shop}/scan"),
        json!({"qr": qr}),
    )
    .await;
    assert_eq!(scan, (200, json!({"device": 1})));
    client.connected().await;

    let content = json!({"kind": "text", "text": "by hand"});
    let order = json!({"to": shop, "content": content, "id": "SCRIPT1"});
    let sent = call(at, "POST", &format!("/people/{alice}/send"), order).await;
    assert_eq!(sent, (200, json!({"id": "SCRIPT1"})));
    assert_eq!(text(&client.message("SCRIPT1").await), "by hand");
    let accepted = call(at, "GET", &format!("/people/{shop}/accepted"), Value::Null).await;
    assert_eq!(accepted, (200, json!({"to": ["SCRIPT1"], "from": []})));

    let to = sim.person(&alice).expect("she was added").jid();
    let id = client.send_text(&to, "answer").await;
    let path = format!(
        "/people/{alice}/received?id={id}&wait_ms={}",
        PATIENCE.as_millis()
    );
    let (_, received) = call(at, "GET", &path, Value::Null).await;
    assert_eq!(received[0]["message"]["text"], "answer");

    client.stop().await;
    assert_eq!(
        call(at, "GET", "/lint", Value::Null).await,
        (200, json!([]))
    );
    assert_clean(&sim);
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_refuses_what_it_cannot_do() {
    let (sim, control) = controlled().await;
    let at = control.address();
    let (status, error) = call(at, "GET", "/people/123/received", Value::Null).await;
    assert_eq!((status, error), (404, json!({"error": "no such person"})));
    let (status, _) = call(at, "POST", "/people", json!({"nom": "Shop"})).await;
    assert_eq!(status, 400);
    let (status, _) = call(at, "PUT", "/faults", json!({"dropp": 1.0})).await;
    assert_eq!(status, 400);
    let (status, faults) = call(at, "PUT", "/faults", json!({"drop": 0.5})).await;
    assert_eq!((status, &faults["drop"]), (200, &json!(0.5)));
    assert_eq!(sim.faults().drop, 0.5);
    let phone = sim.add_person("Shop").phone_number();
    let order = json!({"to": "1@lid", "content": {"kind": "text", "text": "?"}});
    let (status, error) = call(at, "POST", &format!("/people/{phone}/send"), order).await;
    assert_eq!(
        (status, error),
        (404, json!({"error": "no such recipient"}))
    );
    control.stop().await;
}
