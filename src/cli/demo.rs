//! `demo`: the main job, seen by a person without a phone. A simulated WhatsApp and real worker
//! processes; the end is checked, and the exit code tells.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use simulator::people::{Attachment, Content, MediaKind};
use simulator::{GroupAddressing, Options, Person, Simulator};
use tokio::task::JoinSet;

use super::CliError;
use crate::clock::Boot;
use crate::ids::AccountId;
use crate::rehearsal::{Stage, Worker};
use crate::session::qr::{LinkQr, TerminalStyle};
use crate::shutdown::{Shutdown, TOOL_GRACE};
use crate::store::{Job, JobFilter, Store, StoreOptions};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages of the stream in which the first worker is killed, and when.
const STREAM: usize = 60;
const KILL_AFTER: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Start a second worker, kill the first in mid-stream, and show that nothing is lost or doubled.
    #[arg(long)]
    standby: bool,
    /// Stay when everything was shown, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let shutdown = Shutdown::listen(TOOL_GRACE)?;
        let stop = shutdown.token().clone();
        tokio::select! {
            // With --keep the signal is the wanted end, and the show itself waits for it.
            () = stop.cancelled(), if !self.keep => Err(CliError::Failed("interrupted".to_owned())),
            outcome = self.show(&stop) => outcome.map_err(|error| CliError::Failed(format!("{error:#}"))),
        }
    }

    async fn show(&self, stop: &tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        say("A simulated WhatsApp, with phones, on loopback. Nothing leaves this machine.");
        let sim = Simulator::start(Options::default()).await?;
        let cast = Cast::of(&sim);
        let stage = Stage::set(
            &std::env::current_exe()?,
            dir.path(),
            &sim.url(),
            sim.ca_pem(),
        )?;
        let mut shows = JoinSet::new();

        say("A worker starts. It acquires the lease of account 'default' and shows a QR code.");
        let mut first = stage.start("worker-1")?;
        shows.spawn(show_events(first.lines(), first.name().to_owned()));
        let store = Store::open(&stage.store_url(), StoreOptions::default()).await?;
        link(&store, &cast.shop).await?;
        first
            .wait_for("whatsapp.connection.established", PATIENCE, |_| true)
            .await?;

        let mut second = None;
        if self.standby {
            say("A second worker starts. It sees the lease and stands by.");
            let worker = stage.start("worker-2")?;
            shows.spawn(show_events(worker.lines(), worker.name().to_owned()));
            worker
                .wait_for("whatsapp.lease.acquire.contended", PATIENCE, |_| true)
                .await?;
            second = Some(worker);
        }

        say("People write: a text, an image, to a group, and a text that WhatsApp delivers twice.");
        let mut sent = cast.write()?;
        first
            .wait_for("whatsapp.inbound.dedupe_skipped", PATIENCE, |_| true)
            .await?;
        if let Some(second) = &second {
            say("Many messages arrive. In mid-stream the first worker is killed with kill -9.");
            for n in 0..STREAM {
                sent.push(
                    cast.alice
                        .send(&cast.shop.jid(), &Content::Text(format!("message {n}")))?,
                );
                if n == KILL_AFTER {
                    first.kill().await?;
                    say("worker-1 is dead. Messages go on arriving at the server.");
                }
            }
            second
                .wait_for("whatsapp.connection.established", PATIENCE, |_| true)
                .await?;
        }
        let jobs = wait_for_jobs(&store, &sent).await?;
        self.conclude(&sim, &sent, &jobs)?;
        if self.keep {
            say("Staying until Ctrl-C. For other commands, in another terminal:");
            for (name, value) in stage.environment("another") {
                put!("export {name}='{value}'");
            }
            stop.cancelled().await;
        }
        let last = second.as_mut().unwrap_or(&mut first);
        stop_worker(last).await?;
        shows.shutdown().await;
        sim.stop().await;
        Ok(())
    }

    /// Checks the end: each message that the server accepted is one job.
    fn conclude(&self, sim: &Simulator, sent: &[String], jobs: &[Job]) -> anyhow::Result<()> {
        put!("");
        let mut per_message: BTreeMap<&str, usize> = BTreeMap::new();
        for job in jobs.iter().rev() {
            *per_message.entry(&job.channel_message_id).or_default() += 1;
            if !self.standby || !job.summary.starts_with("text") {
                put!(
                    "  {}  {:<9} {}",
                    job.job_id.as_str(),
                    job.status.as_str(),
                    job.summary
                );
            }
        }
        let lost = sent
            .iter()
            .filter(|id| !per_message.contains_key(id.as_str()))
            .count();
        let doubled = per_message.values().filter(|jobs| **jobs > 1).count();
        let lint = sim.lint();
        say(&format!(
            "{} messages accepted by the server, {} jobs queued, {lost} lost, {doubled} doubled, {} violations of the protocol.",
            sent.len(),
            jobs.len(),
            lint.len()
        ));
        anyhow::ensure!(
            lost == 0 && doubled == 0 && jobs.len() == sent.len() && lint.is_empty(),
            "that is not what was promised: {lint:?}"
        );
        Ok(())
    }
}

/// Who takes part.
struct Cast {
    shop: Person,
    alice: Person,
    bob: Person,
    group: wacore_binary::Jid,
}

impl Cast {
    fn of(sim: &Simulator) -> Self {
        let shop = sim.add_person("Shop");
        let alice = sim.add_person("Alice");
        let bob = sim.add_person("Bob");
        let group = sim.create_group("Team", &alice, &[&bob, &shop], GroupAddressing::Lid);
        Self {
            shop,
            alice,
            bob,
            group,
        }
    }

    /// Returns the ids that the server accepted.
    fn write(&self) -> anyhow::Result<Vec<String>> {
        let shop = self.shop.jid();
        let text = self.alice.send(
            &shop,
            &Content::Text("Hello, is the red one in stock?".to_owned()),
        )?;
        let picture = Content::Media(Attachment {
            kind: MediaKind::Image,
            bytes: PIXEL.to_vec(),
            mime_type: "image/png".to_owned(),
            caption: Some("this one".to_owned()),
            file_name: None,
        });
        let image = self.bob.send(&shop, &picture)?;
        let group = self
            .bob
            .send(&self.group, &Content::Text("See you at nine".to_owned()))?;
        self.alice.resend(&text)?;
        Ok(vec![text, image, group])
    }
}

/// The smallest PNG: one pixel.
const PIXEL: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0,
    1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0d, 0x49, 0x44, 0x41, 0x54,
    0x78, 0x9c, 0x63, 0xf8, 0xcf, 0xc0, 0xf0, 0x1f, 0, 5, 0, 1, 0xff, 0x89, 0x99, 0x3d, 0x1d, 0, 0,
    0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

async fn link(store: &Store, shop: &Person) -> anyhow::Result<()> {
    let account: AccountId = "default".parse()?;
    let give_up = Boot::now().plus(PATIENCE);
    let code = loop {
        if let Some(code) = store.link_code(&account).await? {
            break code;
        }
        anyhow::ensure!(
            Boot::now() < give_up,
            "the worker showed no QR code within {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    put!(
        "{}",
        LinkQr::new(&code.code)?.terminal(TerminalStyle::Coloured)
    );
    say("The simulated phone scans it.");
    shop.scan_qr(&code.code).await?;
    Ok(())
}

async fn wait_for_jobs(store: &Store, sent: &[String]) -> anyhow::Result<Vec<Job>> {
    let filter = JobFilter {
        limit: 100_000,
        ..JobFilter::default()
    };
    let give_up = Boot::now().plus(PATIENCE);
    loop {
        let jobs = store.jobs(&filter).await?;
        let all = sent
            .iter()
            .all(|id| jobs.iter().any(|job| job.channel_message_id == *id));
        if all || Boot::now() > give_up {
            return Ok(jobs);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn stop_worker(worker: &mut Worker) -> anyhow::Result<()> {
    say(&format!(
        "SIGTERM to {}: it drains, closes, releases.",
        worker.name()
    ));
    let code = worker.terminate().await?;
    anyhow::ensure!(code == Some(0), "{} ended with {code:?}", worker.name());
    Ok(())
}

/// Prints what a worker tells, without the part that is the same in every line.
async fn show_events(mut lines: tokio::sync::watch::Receiver<Vec<Value>>, name: String) {
    let mut shown = 0;
    loop {
        let new: Vec<Value> = lines.borrow_and_update()[shown..].to_vec();
        shown += new.len();
        for line in new.iter().filter(|line| line["event"].is_string()) {
            let message = line["message"].as_str().unwrap_or_default();
            put!("  {name}  {}", message.trim_start_matches("[whatsapp] "));
        }
        if lines.changed().await.is_err() {
            return;
        }
    }
}

fn say(text: &str) {
    put!("\n» {text}");
}
