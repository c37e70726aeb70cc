//! `config`: what is set, from where, and whether it fits.

use clap::Subcommand;
use serde_json::json;

use super::table::print;
use super::{CliError, Output};
use crate::config::settings::{DEFAULT_FILE, Shown, markdown};
use crate::config::{Config, Values};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check all settings; exit code 78 and the fix for each that is wrong.
    Check,
    /// The commented default file, to copy and change; WHATSAPP_CONFIG_FILE names the copy.
    Default,
    /// All settings with their values and where they come from; secrets are not shown.
    Print {
        /// The settings with their defaults as a table in Markdown.
        #[arg(long)]
        markdown: bool,
    },
}

impl ConfigCommand {
    pub(super) fn run(self, output: Output) -> Result<(), CliError> {
        match self {
            Self::Default => put!("{}", DEFAULT_FILE.trim_end()),
            Self::Print { markdown: true } => put!("{}", markdown().trim_end()),
            Self::Print { markdown: false } => list(output, &Values::load()?),
            Self::Check => return check(output),
        }
        Ok(())
    }
}

fn check(output: Output) -> Result<(), CliError> {
    let (values, mut problems) = Values::gather();
    problems.extend(Config::parse_for_worker(&values).err().unwrap_or_default());
    match output {
        Output::Json => {
            let told: Vec<_> = problems
                .iter()
                .map(|problem| json!({"settings": problem.settings(), "problem": problem.to_string()}))
                .collect();
            let right = problems.is_empty();
            put!(
                "{}",
                json!({"right": right, "problems": told, "notices": values.notices()})
            );
        }
        Output::Table => {
            for notice in values.notices() {
                put!("note: {notice}");
            }
            if problems.is_empty() {
                put!("The settings are right.");
            }
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.into())
    }
}

fn list(output: Output, values: &Values) {
    let rows = values.iter().map(|(setting, value, origin)| {
        let value = match (setting.shown, value) {
            (_, "") => json!(null),
            (Shown::Never, _) => json!("(secret)"),
            (_, value) => json!(setting.show(value)),
        };
        vec![
            json!(setting.name),
            value,
            json!(origin.to_string()),
            json!(setting.help),
        ]
    });
    print(
        output,
        &["setting", "value", "origin", "help"],
        rows.collect(),
    );
}
