//! A message and its reply as one trace.

use reqwest::Client;
use serde_json::{Value, json};

use crate::agents::receiver::{Receiver, Script};
use crate::agents::{SECRET, SERVING, listening};
use crate::theatre::{Engine, Theatre};

/// Waits until all of `names` are told, and returns the spans so far.
async fn spans(receiver: &Receiver, names: [&str; 3]) -> Vec<Value> {
    for count in 1.. {
        let posts = receiver.posts(count).await;
        let spans: Vec<Value> = posts
            .iter()
            .flat_map(|post| {
                assert_eq!(
                    (post.path(), post.header("x-key")),
                    ("/hook/v1/traces", "a key")
                );
                let told = post.json();
                let service = &told["resourceSpans"][0]["resource"]["attributes"][0];
                assert_eq!(service["value"]["stringValue"], "shop-bots");
                let spans = &told["resourceSpans"][0]["scopeSpans"][0]["spans"];
                spans.as_array().expect("spans").clone()
            })
            .collect();
        if names
            .iter()
            .all(|name| spans.iter().any(|span| span["name"] == *name))
        {
            return spans;
        }
    }
    unreachable!("it counts for ever")
}

#[tokio::test]
async fn a_message_its_job_and_its_reply_are_one_trace_without_texts_and_numbers() {
    let receiver = Receiver::start([Script::Status(200, "{}")]).await;
    let mut settings = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20key"),
        ("OTEL_SERVICE_NAME", "shop-bots"),
    ];
    settings.extend(SERVING);
    let theatre = Theatre::open_on(Engine::Sqlite, &settings).await;
    let worker = theatre.linked_worker("one").await;
    let base = listening(&worker).await;
    theatre.text("a text that is nobody's business");
    let client = Client::new();
    let ask = async |path: &str, body: Value| -> Value {
        let request = client.post(format!("{base}{path}")).bearer_auth(SECRET);
        let answer = request
            .body(body.to_string())
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        {
            let text = answer.text().await.expect("text");
            serde_json::from_str(&text).expect("JSON")
        }
    };
    let claimed = ask(
        "/v1/jobs/claim",
        json!({"processorId": "test", "waitMs": 20_000}),
    )
    .await;
    let claim = &claimed["jobs"][0];
    let id = claim["job"]["jobId"].as_str().expect("an id");
    let done = json!({"claimToken": claim["claimToken"], "replies": [{"content": {"type": "text", "body": "a reply"}}]});
    // A receipt that overtakes the server's word would end the attempt without a span.
    theatre.alice.doze(true);
    ask(&format!("/v1/jobs/{id}/complete"), done).await;

    let names = ["whatsapp.inbound", "agent.job", "whatsapp.outbound"];
    let spans = spans(&receiver, names).await;
    let [inbound, worked, sent] = names.map(|name| {
        let mut all = spans.iter().filter(|span| span["name"] == name);
        let first = all.next().expect("told");
        assert!(all.next().is_none(), "{name} once");
        first
    });
    for span in [inbound, worked, sent] {
        assert_eq!(span["traceId"], id.trim_start_matches("job_"), "{span}");
        let at = |name: &str| {
            span[name]
                .as_str()
                .and_then(|text| text.parse::<u64>().ok())
        };
        let times = at("startTimeUnixNano").zip(at("endTimeUnixNano"));
        assert!(times.is_some_and(|(start, end)| start <= end), "{span}");
        assert_eq!(span["status"], Value::Null, "{span}");
    }
    for child in [worked, sent] {
        assert_eq!(child["parentSpanId"], inbound["spanId"]);
    }
    let posts = receiver.posts(1).await;
    let told: String = posts.iter().map(|post| post.body()).collect();
    let number = theatre.alice.phone_number();
    for secret in ["business", "a reply", number.trim_start_matches('+')] {
        assert!(!told.contains(secret), "{secret}");
    }
}
