//! Agents over HTTP: a real worker process that serves them, on either store, and what they may do.

mod asking;
mod examples;
mod listening;
mod pushing;
pub mod receiver;
mod sending;
mod working;

use std::sync::Arc;

use rand::RngExt;
use serde_json::Value;
use whatsapp_worker::ids::{JobId, OwnerId};
use whatsapp_worker::inbound::disposition::dispose;
use whatsapp_worker::inbound::identity::Identity;
use whatsapp_worker::inbound::message::{Chat, Content, Context, Inbound, MessageKey, Party};
use whatsapp_worker::inbound::policy::Policy;
use whatsapp_worker::rehearsal::Worker;
use whatsapp_worker::store::{
    Accepted, AcquireLease, Arrival, Engine, Fence, OutboxFilter, OutboxRow, Store,
};

use crate::theatre::{PATIENCE, Theatre};

pub const SECRET: &str = "an-agents-secret-and-a-long-one";
const ALICE: &str = "49151000001";

/// An answer: status, headers and JSON, if it was some.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.expect("a whole answer");
        Self {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    /// Status and field of a problem, which is well formed.
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], self.status, "{}", self.body);
        for name in ["type", "title", "detail"] {
            assert!(self.body[name].is_string(), "{}", self.body);
        }
        (self.status, self.body["field"].as_str().unwrap_or_default())
    }
}

/// A process that serves agents, and a store that tests put messages into.
pub struct Agency {
    pub theatre: Theatre,
    pub store: Store,
    pub worker: Worker,
    pub base: String,
    pub client: reqwest::Client,
    pub fence: Arc<Fence>,
}

/// The settings of a worker that serves agents.
pub const SERVING: [(&str, &str); 2] = [("HTTP_LISTEN", "127.0.0.1:0"), ("AGENT_SECRET", SECRET)];

impl Agency {
    pub async fn open(engine: Engine, settings: &[(&str, &str)]) -> Self {
        let mut all = vec![("AGENT_ROLE", "agent")];
        all.extend(SERVING);
        all.extend(settings);
        let theatre = Theatre::open_on(engine, &all).await;
        let store = theatre.store().await;
        store
            .add_account(&theatre.account, "test")
            .await
            .expect("answers");
        let owner = OwnerId::incarnate("holder").expect("valid");
        let bid = AcquireLease {
            account: &theatre.account,
            owner: &owner,
            ttl: std::time::Duration::from_secs(600),
            unchanged: None,
            dead: None,
        };
        let fence = store.acquire_lease(bid).await.expect("answers");
        let worker = theatre.stage.start("agent").expect("starts");
        let base = listening(&worker).await;
        Self {
            store,
            worker,
            base,
            client: reqwest::Client::new(),
            fence: Arc::new(fence.expect("the lease is free")),
            theatre,
        }
    }

    /// A message of Alice is committed, and its job returned.
    pub async fn receives(&self, content: Content) -> JobId {
        self.receives_from(ALICE, content).await
    }

    pub async fn receives_from(&self, number: &str, content: Content) -> JobId {
        let sender = Party {
            pn: Some(whatsapp_worker::ids::Jid::new(format!(
                "{number}@s.whatsapp.net"
            ))),
            lid: None,
        };
        let inbound = Inbound {
            key: MessageKey {
                id: format!("M{:016X}", rand::rng().random::<u64>()),
                chat: Chat::Direct(sender.clone()),
                sender,
                from_me: false,
            },
            sent_at_ms: 1_700_000_000_000,
            push_name: Some("Alice".to_owned()),
            offline: false,
            content: Ok(content),
            context: Context::default(),
            raw: Vec::new(),
        };
        let arrival = Arrival {
            identity: Identity::of(&inbound),
            disposition: dispose(&inbound, &Policy::default()),
            summary: "text".to_owned(),
            inbound,
        };
        let accepted = self.store.accept_inbound(&self.fence, &[arrival]).await;
        match &accepted.expect("the fence holds")[..] {
            [Accepted::Queued { job, .. }] => job.clone(),
            other => panic!("not queued: {other:?}"),
        }
    }

    /// All that waits to be sent, or was.
    pub async fn outbox(&self) -> Vec<OutboxRow> {
        let filter = OutboxFilter {
            limit: 1000,
            ..OutboxFilter::default()
        };
        self.store.outbox(&filter).await.expect("answers")
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.base));
        request.bearer_auth(SECRET)
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = self.request(method, path).body(body.to_string());
        Answer::of(request.send().await.expect("an answer")).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path).send().await.expect("an answer")).await
    }
}

pub fn text(body: &str) -> Content {
    Content::Text {
        body: body.to_owned(),
    }
}

/// Where a worker's API is.
pub async fn listening(worker: &Worker) -> String {
    let mut lines = worker.lines();
    let heard = |line: &&Value| line["message"] == "[http] Listening";
    let waiting = lines.wait_for(|lines| lines.iter().any(|line| heard(&line)));
    let lines = tokio::time::timeout(PATIENCE, waiting).await;
    let lines = lines.expect("in time").expect("the worker lives");
    let line = lines.iter().find(heard).expect("it was there");
    format!("http://{}", line["address"].as_str().expect("an address"))
}
