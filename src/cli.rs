//! The command line: one file for each command. Data goes to stdout, chatter to stderr.

/// Prints a line of data. A reader that has seen enough (`| head`) ends the command, quietly.
macro_rules! put {
    ($($arg:tt)*) => {
        $crate::cli::put_line(format_args!($($arg)*))
    };
}

mod accounts;
mod auth;
mod completions;
mod config;
mod confirm;
mod conversations;
#[cfg(feature = "simulator")]
mod demo;
mod doctor;
mod events;
mod examples;
mod healthcheck;
mod jobs;
mod lease;
mod link;
mod man;
mod media;
mod outbox;
mod run;
#[cfg(feature = "simulator")]
mod simulate;

mod table;
mod workers;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::app::StartError;
use crate::config::{Config, ConfigError, Values};
use crate::store::StoreError;
use crate::telemetry::{self, Sink};

/// Operates WhatsApp numbers for AI agents and support desks.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// How data is printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Operate the configured accounts until SIGTERM.
    Run,
    /// See the main job run against a simulated WhatsApp: no phone, no network.
    #[cfg(feature = "simulator")]
    Demo(demo::Demo),
    /// Serve a simulated WhatsApp on loopback.
    #[cfg(feature = "simulator")]
    Simulate(simulate::Simulate),
    /// Show the code that links an account, until it is linked.
    Link(link::Link),
    /// Who operates which account.
    #[command(subcommand)]
    Lease(lease::Lease),
    /// The agent queue.
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Messages that wait to be sent, and what became of them.
    #[command(subcommand)]
    Outbox(outbox::Outbox),
    /// Who was talked with.
    #[command(subcommand)]
    Conversations(conversations::Conversations),
    /// What the workers tell.
    #[command(subcommand)]
    Events(events::Events),
    /// The numbers that are operated.
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// The processes that operate them.
    #[command(subcommand)]
    Workers(workers::Workers),
    /// The linked device's keys.
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Files behind messages.
    #[command(subcommand)]
    Media(media::Media),
    /// Settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Check settings, store, keys and network, and say what to do.
    Doctor(doctor::Doctor),
    /// Ask the worker of this machine how it is; the exit code tells.
    Healthcheck(healthcheck::Healthcheck),
    /// Print what a shell needs to complete commands.
    Completions(completions::Completions),
    /// Write manual pages.
    Man(man::Man),
}

/// Why a command failed, by what its caller should do about it.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// Something does not exist, or a check failed.
    #[error("{0}")]
    Failed(String),
    /// Store or network do not answer.
    #[error("{0}")]
    Unavailable(String),
    /// Somebody else holds what is needed.
    #[error("{0}")]
    TryLater(String),
    /// The auth state cannot be used.
    #[error("{0}")]
    Auth(String),
    /// Settings must be corrected.
    #[error("{0}")]
    Config(String),
}

impl CliError {
    /// From sysexits(3).
    fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Unavailable(_) => 69,
            Self::TryLater(_) => 75,
            Self::Auth(_) => 77,
            Self::Config(_) => 78,
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unusable(text) => Self::Config(text),
            StoreError::Fenced(_) => Self::TryLater(error.to_string()),
            StoreError::Rejected(_) => Self::Failed(error.to_string()),
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<Vec<ConfigError>> for CliError {
    fn from(errors: Vec<ConfigError>) -> Self {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::Config(match lines.len() {
            1 => lines.concat(),
            n => format!("{n} settings must be corrected:\n  {}", lines.join("\n  ")),
        })
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(text) => Self::Config(text),
            StartError::Auth(text) => Self::Auth(text),
            StartError::Store(error) => error.into(),
        }
    }
}

fn put_line(line: std::fmt::Arguments<'_>) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Cli {
    /// What the process was started with; ends it with exit code 2 and the usage when that is wrong.
    pub fn from_arguments() -> Self {
        let matches = Self::described().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// All commands with their options and examples.
    fn described() -> clap::Command {
        examples::add(Self::command())
    }

    /// Runs the command to its end.
    pub fn run(self) -> ExitCode {
        let sink = match self.command {
            Command::Run => Sink::Stdout,
            _ => Sink::Stderr,
        };
        let filter = std::env::var("RUST_LOG").ok();
        let quiet = match self.command {
            Command::Run => telemetry::DEFAULT_FILTER,
            _ => "warn,whatsapp_rust=error,wacore=error",
        };
        let outcome = telemetry::init(sink, filter.as_deref(), quiet)
            .map_err(CliError::Config)
            .and_then(|()| {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .enable_all()
                    .build()?;
                let outcome = runtime.block_on(self.dispatch());
                // Blocking work of a library must not hold up the exit.
                runtime.shutdown_background();
                outcome
            });
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(error.exit_code())
            }
        }
    }

    async fn dispatch(self) -> Result<(), CliError> {
        let output = self.output;
        match self.command {
            Command::Run => run::run().await,
            #[cfg(feature = "simulator")]
            Command::Demo(command) => command.run().await,
            #[cfg(feature = "simulator")]
            Command::Simulate(command) => command.run().await,
            Command::Link(command) => command.run().await,
            Command::Lease(command) => command.run(output).await,
            Command::Jobs(command) => command.run(output).await,
            Command::Outbox(command) => command.run(output).await,
            Command::Conversations(command) => command.run(output).await,
            Command::Events(command) => command.run(output).await,
            Command::Accounts(command) => command.run(output).await,
            Command::Workers(command) => command.run(output).await,
            Command::Auth(command) => command.run(output).await,
            Command::Media(command) => command.run(output).await,
            Command::Config(command) => command.run(output),
            Command::Doctor(command) => command.run(output).await,
            Command::Healthcheck(command) => command.run(output).await,
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        }
    }
}

/// Loads the settings and says what was set in vain.
fn load_config() -> Result<Config, CliError> {
    let (values, mut problems) = Values::gather();
    for notice in values.notices() {
        tracing::warn!("{notice}");
    }
    match Config::parse_whole(&values) {
        Ok(config) if problems.is_empty() => return Ok(config),
        Ok(_) => {}
        Err(more) => problems.extend(more),
    }
    Err(problems.into())
}
