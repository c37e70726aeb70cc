//! `completions`: what a shell needs to complete commands and options.

use clap::Args;
use clap_complete::Shell;

use super::{Cli, CliError};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), CliError> {
        let mut script = Vec::new();
        let mut command = Cli::described();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        put!("{}", String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}
