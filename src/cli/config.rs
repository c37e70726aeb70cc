//! `config`: what is set, from where, and whether it fits.

use clap::Subcommand;
use serde_json::json;

use super::table::print;
use super::{CliError, Output};
use crate::config::settings::{DEFAULT_FILE, Shown};
use crate::config::{Config, Values};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check all settings; exit code 78 and the fix when one is wrong.
    Check,
    /// The commented default file, to copy and change; WHATSAPP_CONFIG_FILE names the copy.
    Default,
    /// All settings with their values and where they come from; secrets are not shown.
    Print,
}

impl ConfigCommand {
    pub(super) fn run(self, output: Output) -> Result<(), CliError> {
        if let Self::Default = self {
            put!("{}", DEFAULT_FILE.trim_end());
            return Ok(());
        }
        let values = Values::load()?;
        match self {
            Self::Default => {}
            Self::Check => {
                for notice in values.notices() {
                    put!("note: {notice}");
                }
                Config::parse(&values)?.auth.check_for_worker()?;
                put!("The settings are right.");
            }
            Self::Print => {
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
        }
        Ok(())
    }
}
