//! A section under test: its commands are run in their order, its events and metrics are ticked off.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::{Child, Command};
use whatsapp_worker::rehearsal::{Stage, Worker};

use super::pages::{self, Page, fits};
use crate::metrics;
use crate::theatre::{PATIENCE, binary};

/// So that a worker tells Prometheus.
pub const TOLD: (&str, &str) = ("METRICS_LISTEN", "127.0.0.1:0");

/// What a command said, and how it ended.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What it said when it ended well.
    pub fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// What it complained of when it ended with `code`.
    pub fn ended(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self.err
    }
}

pub struct Section {
    page: Page,
    commands: Vec<String>,
    /// How many of them were run.
    run: usize,
    unseen: BTreeSet<String>,
}

impl Section {
    /// # Panics
    /// The runbook has no section of this title.
    pub fn of(title: &str) -> Self {
        Self::among(pages::pages(), title)
    }

    pub fn read(text: &'static str, title: &str) -> Self {
        Self::among(pages::read(text), title)
    }

    fn among(pages: Vec<Page>, title: &str) -> Self {
        let page = pages.into_iter().find(|page| page.title == title);
        let page = page.unwrap_or_else(|| panic!("no section is called {title:?}"));
        Self {
            commands: page.commands(),
            run: 0,
            unseen: page.events().into_iter().chain(page.metrics()).collect(),
            page,
        }
    }

    /// The next command, which contains `part`, with its placeholders replaced.
    ///
    /// # Panics
    /// It is another command, or has no such placeholder.
    pub fn command(&mut self, part: &str, words: &[(&str, &str)]) -> String {
        let none = String::new();
        let next = self.commands.get(self.run).unwrap_or(&none);
        assert!(
            next.contains(part),
            "{}: {part:?} is not in its turn: the next command is: {next}",
            self.page.title
        );
        self.run += 1;
        words.iter().fold(next.clone(), |command, (name, word)| {
            assert!(command.contains(name), "no {name} in: {command}");
            command.replace(name, word)
        })
    }

    /// Runs the next command to its end, as an operator of `stage`.
    pub async fn run(&mut self, stage: &Stage, part: &str, words: &[(&str, &str)]) -> Said {
        let line = self.command(part, words);
        run(stage, &line).await
    }

    /// As [`Self::run`], with data for programs, which the command must end well for.
    pub async fn data(&mut self, stage: &Stage, part: &str, words: &[(&str, &str)]) -> Value {
        let line = self.command(part, words);
        data(stage, &line).await
    }

    /// Starts the next command, which goes on until somebody has done something.
    pub fn start(&mut self, stage: &Stage, part: &str, words: &[(&str, &str)]) -> Child {
        spawn(stage, &self.command(part, words))
    }

    /// Waits for an event that the section tells of.
    pub async fn event(
        &mut self,
        worker: &Worker,
        event: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Value {
        self.tick(event);
        let seen = worker.wait_for(event, PATIENCE, fits).await;
        seen.unwrap_or_else(|error| panic!("{}: {error}", self.page.title))
    }

    /// Waits until a metric that the section tells of `fits` in what `worker` tells Prometheus; `series`
    /// is its name with the first of its labels.
    pub async fn metric(&mut self, worker: &Worker, series: &str, fits: impl Fn(f64) -> bool) {
        self.tick(series.split('{').next().unwrap_or(series));
        let place = metrics::place(worker).await;
        metrics::seen(&place, series.trim_end_matches('}'), fits).await;
    }

    /// An event that the section says is missing has not come.
    pub fn no_event(&mut self, worker: &Worker, event: &str, fits: impl Fn(&Value) -> bool) {
        self.tick(event);
        let lines = worker.lines();
        let lines = lines.borrow();
        let of_it = lines
            .iter()
            .find(|line| line["event"] == event && fits(line));
        assert_eq!(of_it, None, "{}", self.page.title);
    }

    fn tick(&mut self, name: &str) {
        let told = format!("`{name}");
        assert!(self.page.mentions(&told), "{}: no {told}", self.page.title);
        self.unseen.remove(name);
    }

    /// Waits until the worker has logged the line that the section quotes with this beginning.
    pub async fn logs(&self, worker: &Worker, begins: &str) -> String {
        let quote = self.page.line(begins);
        let mut lines = worker.lines();
        let said = |line: &Value| {
            let text = line["message"].as_str()?;
            fits(&quote, text).then(|| text.to_owned())
        };
        let waiting = lines.wait_for(|lines| lines.iter().any(|line| said(line).is_some()));
        let seen = tokio::time::timeout(PATIENCE, waiting).await;
        let seen = seen.unwrap_or_else(|_| panic!("not logged in time: {quote}"));
        let seen = seen.expect("the worker lives");
        seen.iter().find_map(said).expect("it was there")
    }

    /// `said` has the words that the section quotes with this beginning.
    pub fn quotes(&self, said: &str, begins: &str) {
        let quote = self.page.line(begins);
        assert!(fits(&quote, said), "no {quote:?} in: {said}");
    }

    /// # Panics
    /// A command was not run, or an event or a metric not seen.
    pub fn done(self) {
        let left = &self.commands[self.run..];
        let title = self.page.title;
        assert!(left.is_empty(), "{title}: was not run: {}", left.join(", "));
        let unseen: Vec<String> = self.unseen.into_iter().collect();
        assert!(
            unseen.is_empty(),
            "{title}: was not seen: {}",
            unseen.join(", ")
        );
    }
}

/// Runs a line, as an operator of `stage`.
pub async fn run(stage: &Stage, line: &str) -> Said {
    let running = shell(stage, line).output();
    let output = tokio::time::timeout(PATIENCE, running).await;
    let output = output.unwrap_or_else(|_| panic!("does not end: {line}"));
    Said::of(&output.expect("it starts"))
}

/// What a command says to programs.
pub async fn data(stage: &Stage, line: &str) -> Value {
    let format = if line.contains("--output json") {
        ""
    } else {
        " --output json"
    };
    let said = run(stage, &format!("{line}{format}")).await.well();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{line}: {error}: {said}"))
}

/// Looks with a command until what it says `fits`.
pub async fn until(stage: &Stage, line: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let looking = async {
        loop {
            last = data(stage, line).await;
            if fits(&last) {
                return;
            }
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looking).await;
    assert!(seen.is_ok(), "not seen in time with {line}: {last}");
    last
}

/// Waits until the only account's session is in this state.
pub async fn in_state(stage: &Stage, state: &str) -> Value {
    let list = "whatsapp-worker accounts list";
    let mut list = until(stage, list, |list| list[0]["session"] == state).await;
    list[0].take()
}

/// Starts a line, which goes on until somebody has done something.
pub fn spawn(stage: &Stage, line: &str) -> Child {
    let mut command = shell(stage, line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// What was started says so when it has ended.
pub async fn ended(child: Child) -> Said {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    Said::of(&output.expect("it ends in time").expect("ours"))
}

fn shell(stage: &Stage, line: &str) -> Command {
    let dir = binary().parent().expect("it has a place").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("exec {line}")])
        .env_clear()
        .env("PATH", format!("{}:{path}", dir.display()))
        .envs(stage.environment("operator"))
        .current_dir(&stage.dir)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}
