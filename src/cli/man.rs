//! `man`: manual pages, one for each command.

use std::path::PathBuf;

use clap::Args;

use super::{Cli, CliError};

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Where to put them, e.g. /usr/local/share/man/man1; made when it is not there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Man {
    pub(super) fn run(self) -> Result<(), CliError> {
        std::fs::create_dir_all(&self.dir)
            .and_then(|()| clap_mangen::generate_to(Cli::described(), &self.dir))
            .map_err(|error| CliError::Failed(format!("{}: {error}", self.dir.display())))
    }
}
