//! Operators over HTTP: who may do what, and what it does.

mod described;
mod doors;
mod linking;
mod steering;

use serde_json::{Value, json};
use whatsapp_worker::ids::JobId;
use whatsapp_worker::store::Engine;

use crate::agents::{Agency, Answer, text};

pub const OPERATOR: &str = "an-operators-token-and-a-long-one";
pub const READER: &str = "a-readers-token-and-a-long-one-too";

/// A worker that lets operators in.
pub struct Desk(pub Agency);

impl Desk {
    pub async fn open(engine: Engine) -> Self {
        let tokens = [("ADMIN_API_TOKEN", OPERATOR), ("ADMIN_READ_TOKEN", READER)];
        Self(Agency::open(engine, &tokens).await)
    }

    pub async fn ask(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", self.0.base);
        let mut request = self.0.client.request(method, url);
        if !token.is_empty() {
            request = request.header("x-admin-token", token);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// What an operator is answered, with its status.
    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.ask(OPERATOR, "POST", path, Some(body)).await;
        (answer.status, answer.body)
    }

    /// What a reader is answered, with its status.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.ask(READER, "GET", path, None).await;
        (answer.status, answer.body)
    }

    /// A job that was given up.
    pub async fn dead(&self, words: &str) -> JobId {
        let job = self.0.receives(text(words)).await;
        let path = format!("/v1/admin/jobs/{}/fail", job.as_str());
        let (status, body) = self.post(&path, json!({"reason": "test_reason"})).await;
        assert_eq!((status, &body["dead"]), (200, &json!(true)), "{body}");
        job
    }
}
