//! Worker processes under observation, for `demo`, the tests and benchmarks: the real binary, started
//! with settings of its own, told apart by its event lines, killed when wanted.

mod credentials;
pub mod postgres;
mod process;
pub mod proxy;

pub use credentials::{give_credentials, give_sessions};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Seals the auth states of workers under observation. No secret: nothing real is linked to them.
pub const AUTH_KEY: &str = "72656865617273616c206b65792c206e6f742061207365637265742121212121";

/// What /proc counts processor time in, on every Linux.
const TICK_MS: u64 = 10;

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
    /// The shared store, as every worker reaches it unless its settings say otherwise.
    pub store_url: String,
    /// Further settings, and whatever else belongs into the environment.
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
            store_url: format!("sqlite:{}", dir.join("store.db").display()),
            settings: BTreeMap::new(),
        })
    }

    /// The shared store.
    pub fn store_url(&self) -> String {
        self.store_url.clone()
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
            // Workers of one machine would want the same port.
            ("HTTP_LISTEN".to_owned(), String::new()),
            ("METRICS_LISTEN".to_owned(), String::new()),
            (
                "WHATSAPP_AUTH_DIR".to_owned(),
                self.auth_dir().display().to_string(),
            ),
            ("WHATSAPP_AUTH_KEY".to_owned(), AUTH_KEY.to_owned()),
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

    /// As [`Stage::start`], but the log goes to `log` and nobody reads it: reading takes its time from the
    /// worker.
    ///
    /// # Errors
    /// The binary cannot be run.
    pub fn start_unheard(&self, name: &str, log: std::fs::File) -> std::io::Result<Worker> {
        let mut command = self.command(name, &["run"]);
        let child = command.stdout(log).stderr(Stdio::inherit()).spawn()?;
        Ok(Worker {
            name: name.to_owned(),
            child,
            lines: watch::channel(Vec::new()).1,
            _reader: AbortOnDropHandle::new(tokio::spawn(async {})),
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

    /// Whether its output has ended, and it with that.
    pub fn has_ended(&self) -> bool {
        self.lines.has_changed().is_err()
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
        self.wait_after(0, event, patience, fits).await
    }

    /// How many lines there are so far: what comes later has a place behind them.
    pub fn so_far(&self) -> usize {
        self.lines.borrow().len()
    }

    /// As [`Self::wait_for`], among the lines that came after the first `so_far`.
    ///
    /// # Errors
    /// [`NotSeen`] after `patience`.
    pub async fn wait_after(
        &self,
        so_far: usize,
        event: &str,
        patience: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value, NotSeen> {
        let mut lines = self.lines.clone();
        let wanted = |line: &&Value| line["event"] == event && fits(line);
        let seen = tokio::time::timeout(
            patience,
            lines.wait_for(|lines| lines.iter().skip(so_far).any(|line| wanted(&line))),
        )
        .await;
        if let Ok(Ok(lines)) = &seen
            && let Some(line) = lines.iter().skip(so_far).find(wanted)
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

    /// Sends a signal.
    ///
    /// # Errors
    /// It has ended, or is not ours to signal.
    pub fn signal(&self, signal: Signal) -> std::io::Result<()> {
        let pid = self
            .pid()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw)
            .ok_or(std::io::ErrorKind::NotFound)?;
        Ok(kill_process(pid, signal)?)
    }

    /// SIGSTOP. Returns when the kernel has stopped every thread.
    ///
    /// # Errors
    /// It has ended, or is not ours to signal.
    pub async fn freeze(&self) -> std::io::Result<()> {
        self.signal(Signal::STOP)?;
        while !self.is_frozen()? {
            // justified: the kernel tells this to nobody but a tracer.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It has ended, or is not ours to signal.
    pub fn thaw(&self) -> std::io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn is_frozen(&self) -> std::io::Result<bool> {
        let pid = self.pid().ok_or(std::io::ErrorKind::NotFound)?;
        let fields = process::stat(pid)?;
        Ok(fields.first().is_some_and(|state| state == "T"))
    }

    /// Processor time that it used so far, in user and kernel mode.
    ///
    /// # Errors
    /// It has ended.
    pub fn processor_time(&self) -> std::io::Result<Duration> {
        let pid = self.pid().ok_or(std::io::ErrorKind::NotFound)?;
        let ticks: u64 = process::stat(pid)?
            .iter()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * TICK_MS))
    }

    /// kill -9, and waits until the process is gone.
    ///
    /// # Errors
    /// It is gone already, or not ours.
    pub async fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill().await
    }

    /// Waits for the exit code; `None` when a signal ended it. Cancel safe.
    ///
    /// # Errors
    /// It is not ours.
    pub async fn ended(&mut self) -> std::io::Result<Option<i32>> {
        Ok(self.child.wait().await?.code())
    }

    /// SIGTERM, and waits for the exit code; `None` when a signal ended it.
    ///
    /// # Errors
    /// It is not ours to signal.
    pub async fn terminate(&mut self) -> std::io::Result<Option<i32>> {
        if self.pid().is_some() {
            self.signal(Signal::TERM)?;
        }
        self.ended().await
    }
}
