//! Drives a Node script from a Rust test: a real Baileys client, a browser.
//!
//! The script is a process of its own that speaks JSON lines. Every event it ever reported is
//! kept, so a test may ask for one after it happened. The process ends when its standard input
//! closes, thus with the test, however that ends.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a client may take to answer or to report something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running script.
pub struct Script {
    stdin: ChildStdin,
    child: Child,
    seen: Arc<Seen>,
    reader: JoinHandle<()>,
    next_seq: u64,
}

/// A command that was sent.
#[must_use]
pub struct Call {
    seq: u64,
    name: String,
}

#[derive(Default)]
struct Seen {
    lines: Mutex<Vec<Value>>,
    count: watch::Sender<usize>,
}

impl Script {
    /// Starts a Baileys client towards `url` that trusts the certificate in `ca_file` and keeps its auth
    /// state in `folder`, or else in memory. It is not connected yet: `call("connect", json!({}))`.
    pub fn baileys(interop: &Path, url: &str, ca_file: &Path, folder: Option<&Path>) -> Self {
        Self::start(interop, "client.mjs", |client| {
            client.arg(url).args(folder);
            client.env("NODE_EXTRA_CA_CERTS", ca_file);
        })
    }

    /// Starts a script of `interop`, the directory of this file, in which `npm ci` must have been run.
    pub fn start(interop: &Path, script: &str, set: impl FnOnce(&mut Command)) -> Self {
        assert!(
            interop.join("node_modules/baileys").is_dir(),
            "run `npm ci` in tests/interop first"
        );
        let mut command = Command::new("node");
        command.arg(interop.join(script));
        set(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let stdin = child.stdin.take().expect("standard input is piped");
        let stdout = child.stdout.take().expect("standard output is piped");
        let seen = Arc::new(Seen::default());
        let reader = tokio::spawn(read(BufReader::new(stdout), Arc::clone(&seen)));
        Self {
            stdin,
            child,
            seen,
            reader,
            next_seq: 1,
        }
    }

    /// Sends a command of `client.mjs` and returns its answer.
    pub async fn call(&mut self, name: &str, fields: Value) -> Value {
        let call = self.begin(name, fields).await;
        self.answer(call).await
    }

    /// Sends a command without waiting for its answer.
    pub async fn begin(&mut self, name: &str, fields: Value) -> Call {
        let seq = self.next_seq;
        self.next_seq += 1;
        let mut command = json!({"seq": seq, "do": name});
        let extra = fields.as_object().expect("fields are an object");
        command
            .as_object_mut()
            .expect("a command is an object")
            .extend(extra.clone());
        let line = format!("{command}\n");
        self.stdin
            .write_all(line.as_bytes())
            .await
            .expect("the client reads");
        Call {
            seq,
            name: name.to_owned(),
        }
    }

    /// The answer to a command that was begun; the command must have succeeded.
    pub async fn answer(&self, call: Call) -> Value {
        let Call { seq, name } = call;
        let what = format!("answer to {name}");
        let answer = self.first(&what, |line| line["seq"] == seq).await;
        assert_eq!(answer["ok"], true, "{name}: {answer}");
        answer
    }

    /// The first event of this name, past or future, that `accept` takes.
    pub async fn event(&self, name: &str, accept: impl Fn(&Value) -> bool) -> Value {
        self.first(name, |line| line["event"] == name && accept(line))
            .await
    }

    /// The message with this id, once the client decrypted it.
    pub async fn message(&self, id: &str) -> Value {
        self.event("message", |message| message["id"] == id).await
    }

    /// Every event of this name so far.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let lines = self
            .seen
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .filter(|line| line["event"] == name)
            .cloned()
            .collect()
    }

    /// Ends the client and waits for it.
    pub async fn stop(mut self) {
        drop(self.stdin);
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status
            .expect("the client ends with its input")
            .expect("it is our child");
        assert!(status.success(), "the client ended with {status}");
        self.reader.await.expect("the reader does not panic");
    }

    async fn first(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut count = self.seen.count.subscribe();
        let search = async {
            let mut looked_at = 0;
            loop {
                let until = *count.borrow_and_update();
                {
                    let lines = self
                        .seen
                        .lines
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    let new = lines.iter().skip(looked_at);
                    if let Some(found) = new.into_iter().find(|line| wanted(line)) {
                        return found.clone();
                    }
                }
                looked_at = until;
                count.changed().await.expect("the sender lives in self");
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => panic!("no {what} within {PATIENCE:?}"),
        }
    }
}

async fn read(mut stdout: BufReader<tokio::process::ChildStdout>, seen: Arc<Seen>) {
    let mut line = String::new();
    while stdout
        .read_line(&mut line)
        .await
        .is_ok_and(|length| length > 0)
    {
        let value = serde_json::from_str(&line).expect("the script writes JSON lines");
        let mut lines = seen.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(value);
        let total = lines.len();
        drop(lines);
        seen.count.send_replace(total);
        line.clear();
    }
}
