//! Where the passphrase of an export bundle comes from.

use std::io::IsTerminal;
use std::path::PathBuf;

use auth_store::Passphrase;
use clap::Args;

use crate::cli::CliError;

/// Where the passphrase comes from.
#[derive(Debug, Args)]
pub(super) struct PassphraseSource {
    /// File that holds the passphrase, in its first line. Without it the terminal asks.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseSource {
    /// Reads it; `twice` has the terminal ask again, so that a slip seals nothing for ever.
    pub(super) fn read(&self, twice: bool) -> Result<Passphrase, CliError> {
        let text = match &self.passphrase_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    CliError::Failed(format!("--passphrase-file {}: {error}", path.display()))
                })?;
                text.lines().next().unwrap_or_default().to_owned()
            }
            None if std::io::stdin().is_terminal() => ask(twice)?,
            None => {
                return Err(CliError::Failed(
                    "a passphrase is needed: name a file with --passphrase-file, or run this in a terminal".to_owned(),
                ));
            }
        };
        Passphrase::new(text).map_err(|error| CliError::Failed(error.to_string()))
    }
}

fn ask(twice: bool) -> Result<String, CliError> {
    let first = rpassword::prompt_password("Passphrase of the bundle: ")?;
    if twice && rpassword::prompt_password("Once more: ")? != first {
        return Err(CliError::Failed(
            "the two passphrases differ: nothing was written".to_owned(),
        ));
    }
    Ok(first)
}
