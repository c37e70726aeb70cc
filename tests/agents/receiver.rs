//! Somebody's server, to which jobs are pushed: it answers by a script and remembers what came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use whatsapp_worker::webhooks::signature::{Secret, Signed, Unverified};

use crate::theatre::PATIENCE;

/// What a receiver answers next.
#[derive(Clone)]
pub enum Script {
    Status(u16, &'static str),
    RetryAfter(u16, u32),
    Redirect(String),
    /// Nothing, for ever.
    Hang,
    /// When the test says so.
    Late(watch::Receiver<bool>),
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Post {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Post {
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }

    /// As text.
    pub fn body(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn verify(&self, secret: &Secret) -> Result<(), Unverified> {
        let signed = Signed {
            id: self.header("webhook-id"),
            timestamp: self.header("webhook-timestamp"),
            signatures: self.header("webhook-signature"),
        };
        let now = whatsapp_worker::clock::wall_ms() / 1000;
        signed.verify(std::slice::from_ref(secret), &self.body, now)
    }
}

type Shared = Arc<(Mutex<VecDeque<Script>>, watch::Sender<Vec<Post>>)>;

/// Somebody's server.
pub struct Receiver {
    pub url: String,
    shared: Shared,
    _serving: AbortOnDropHandle<()>,
}

impl Receiver {
    /// Answers by `script`; the last answer is repeated.
    pub async fn start(script: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        Self::start_on(listener.expect("loopback has free ports"), script)
    }

    /// The same where `listener` listens.
    pub fn start_on(listener: TcpListener, script: impl IntoIterator<Item = Script>) -> Self {
        let shared: Shared = Arc::new((
            Mutex::new(script.into_iter().collect()),
            watch::channel(Vec::new()).0,
        ));
        let router = axum::Router::new()
            .fallback(axum::routing::any(answer))
            .with_state(shared.clone());
        let address = listener.local_addr().expect("bound");
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            url: format!("http://{address}/hook"),
            shared,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Waits until there were `count` posts, and returns all.
    pub async fn posts(&self, count: usize) -> Vec<Post> {
        let mut posts = self.shared.1.subscribe();
        let waiting = posts.wait_for(|posts| posts.len() >= count);
        let posts = tokio::time::timeout(PATIENCE, waiting).await;
        posts.expect("posted in time").expect("it lives").clone()
    }
}

async fn answer(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let post = Post {
        path,
        headers,
        body,
    };
    shared.1.send_modify(|posts| posts.push(post));
    let next = {
        let mut script = shared.0.lock().expect("no panic while it is held");
        match script.len() {
            0 => None,
            1 => script.front().cloned(),
            _ => script.pop_front(),
        }
    };
    let status = |code| axum::http::StatusCode::from_u16(code).expect("a status");
    match next.expect("the script has an answer") {
        Script::Status(code, body) => (status(code), body).into_response(),
        Script::RetryAfter(code, seconds) => {
            (status(code), [("retry-after", seconds.to_string())]).into_response()
        }
        Script::Redirect(to) => (status(307), [("location", to)]).into_response(),
        Script::Hang => std::future::pending().await,
        Script::Late(mut go) => {
            go.wait_for(|go| *go).await.expect("the test says when");
            status(204).into_response()
        }
    }
}
