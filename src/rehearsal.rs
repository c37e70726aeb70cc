//! Worker processes under observation, for `demo`, the tests and benchmarks: the real binary, started
//! with settings of its own, told apart by its event lines, killed when wanted.

mod credentials;
pub mod postgres;

pub use credentials::give_credentials;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Settings of a worker that talks to a simulator.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The worker's binary.
    pub binary: PathBuf,
    /// Holds store and auth state.
    pub dir: PathBuf,
    /// The simulator's URL.
    pub ws_url: String,
    /// PEM of the simulator's media host.
    pub ca_file: PathBuf,
    /// Further settings.
    pub settings: BTreeMap<String, String>,
}

impl Stage {
    /// Writes what a worker needs into `dir`.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn set(binary: &Path, dir: &Path, ws_url: &str, ca_pem: &str) -> std::io::Result<Self> {
        let ca_file = dir.join("simulator-ca.pem");
        std::fs::write(&ca_file, ca_pem)?;
        Ok(Self {
            binary: binary.to_owned(),
            dir: dir.to_owned(),
            ws_url: ws_url.to_owned(),
            ca_file,
            settings: BTreeMap::new(),
        })
    }

    /// The shared store.
    pub fn store_url(&self) -> String {
        format!("sqlite:{}", self.dir.join("store.db").display())
    }

    /// Local auth state.
    pub fn auth_dir(&self) -> PathBuf {
        self.dir.join("auth")
    }

    /// The environment of a worker called `name`, without anything from outside.
    pub fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::from([
            ("STORE_URL".to_owned(), self.store_url()),
            ("WORKER_ID".to_owned(), name.to_owned()),
            (
                "WHATSAPP_AUTH_DIR".to_owned(),
                self.auth_dir().display().to_string(),
            ),
            ("WHATSAPP_WS_URL".to_owned(), self.ws_url.clone()),
            (
                "WHATSAPP_EXTRA_CA_FILE".to_owned(),
                self.ca_file.display().to_string(),
            ),
            (
                "WHATSAPP_CLIENT_VERSION".to_owned(),
                "2.3000.1026131876".to_owned(),
            ),
        ]);
        environment.extend(self.settings.clone());
        environment
    }

    /// A command of the worker's binary under these settings.
    pub fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| {
                matches!(
                    name.as_str(),
                    "PATH" | "HOME" | "TMPDIR" | "RUST_BACKTRACE" | "RUST_LOG"
                )
            }))
            .envs(self.environment(name))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts `whatsapp-worker run`. With `RUST_LOG` set, its lines are repeated on stderr.
    ///
    /// # Errors
    /// The binary cannot be started.
    pub fn start(&self, name: &str) -> std::io::Result<Worker> {
        let mut child = self
            .command(name, &["run"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let output = child.stdout.take().expect("stdout is piped");
        let (tell, lines) = watch::channel(Vec::new());
        let echo = std::env::var_os("RUST_LOG").is_some();
        let reader = tokio::spawn(async move {
            let mut output = BufReader::new(output).lines();
            while let Ok(Some(line)) = output.next_line().await {
                if echo {
                    eprintln!("{line}");
                }
                if let Ok(line) = serde_json::from_str::<Value>(&line) {
                    tell.send_modify(|lines: &mut Vec<Value>| lines.push(line));
                }
            }
        });
        Ok(Worker {
            name: name.to_owned(),
            child,
            lines,
            _reader: AbortOnDropHandle::new(reader),
        })
    }
}

/// A running worker. Dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    name: String,
    child: Child,
    lines: watch::Receiver<Vec<Value>>,
    _reader: AbortOnDropHandle<()>,
}

/// Something was not seen in time, or the worker ended before.
#[derive(Debug, thiserror::Error)]
#[error("{worker}: no {what} within {patience:?}; its last lines: {last}")]
pub struct NotSeen {
    worker: String,
    what: String,
    patience: Duration,
    last: String,
}

impl Worker {
    /// Its `WORKER_ID`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The lines so far, and a way to wait for more.
    pub fn lines(&self) -> watch::Receiver<Vec<Value>> {
        self.lines.clone()
    }

    /// How often `event` was seen.
    pub fn count(&self, event: &str) -> usize {
        self.lines
            .borrow()
            .iter()
            .filter(|line| line["event"] == event)
            .count()
    }

    /// Waits for the first line of `event` that `fits`. Cancel safe.
    ///
    /// # Errors
    /// [`NotSeen`] after `patience`.
    pub async fn wait_for(
        &self,
        event: &str,
        patience: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value, NotSeen> {
        let mut lines = self.lines.clone();
        let wanted = |line: &&Value| line["event"] == event && fits(line);
        let seen = tokio::time::timeout(
            patience,
            lines.wait_for(|lines| lines.iter().any(|line| wanted(&line))),
        )
        .await;
        if let Ok(Ok(lines)) = &seen
            && let Some(line) = lines.iter().find(wanted)
        {
            return Ok(line.clone());
        }
        drop(seen);
        let lines = self.lines.borrow();
        let last: Vec<String> = lines
            .iter()
            .rev()
            .take(8)
            .rev()
            .map(Value::to_string)
            .collect();
        Err(NotSeen {
            worker: self.name.clone(),
            what: event.to_owned(),
            patience,
            last: last.join("\n"),
        })
    }

    /// kill -9, and waits until the process is gone.
    ///
    /// # Errors
    /// It is gone already, or not ours.
    pub async fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill().await
    }

    /// SIGTERM, and waits for the exit code; `None` when a signal ended it.
    ///
    /// # Errors
    /// It is not ours to signal.
    pub async fn terminate(&mut self) -> std::io::Result<Option<i32>> {
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        Ok(self.child.wait().await?.code())
    }
}
