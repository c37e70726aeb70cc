//! `config`: what is set, from where, and whether it fits.

use clap::Subcommand;
use serde_json::json;

use super::table::print;
use super::{CliError, Output};
use crate::config::{Config, Values};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check all settings; exit code 78 and the fix when one is wrong.
    Check,
    /// All settings with their values and where they come from; secrets are not shown.
    Print,
}

impl ConfigCommand {
    pub(super) fn run(self, output: Output) -> Result<(), CliError> {
        let values = Values::load()?;
        match self {
            Self::Check => {
                for notice in values.notices() {
                    println!("note: {notice}");
                }
                Config::parse(&values)?;
                println!("The settings are right.");
            }
            Self::Print => {
                let rows = values.iter().map(|(setting, value, origin)| {
                    let value = match (setting.secret, value) {
                        (_, "") => json!(null),
                        (true, _) => json!("(secret)"),
                        (false, value) => json!(value),
                    };
                    vec![json!(setting.name), value, json!(origin.to_string()), json!(setting.help)]
                });
                print(output, &["setting", "value", "origin", "help"], rows.collect());
            }
        }
        Ok(())
    }
}
