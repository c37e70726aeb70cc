//! Asks before what cannot be taken back.

use std::io::{BufRead, IsTerminal, Write};

use super::CliError;

/// On a terminal the person there must agree, unless `yes` was given. A script has decided already.
pub(super) fn confirm(yes: bool, question: &str) -> Result<(), CliError> {
    let mut terminal = std::io::stderr();
    if yes || !std::io::stdin().is_terminal() || !terminal.is_terminal() {
        return Ok(());
    }
    write!(terminal, "{question} [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(CliError::Failed("nothing was done".to_owned()))
    }
}
